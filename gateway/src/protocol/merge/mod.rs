//! Several callers' rows in one request to a worker, and its answer cut up again.
//!
//! The law: a row's answer is the same alone and in company. What a worker makes of a row depends on the rows beside it in
//! one way only: pandas and NumPy give a whole column, or a whole tensor, one type. So a request carries a [`MergeKey`] that
//! says everything from which types are inferred, and rows are joined under equal keys only. Whatever is not surely
//! understood has no key and goes alone, as it came: that is never an error. What a model itself makes of several rows is
//! for others to find out.
//!
//! [`Mergeable::read`] looks once at each byte and keeps where the rows are; [`join`] puts the rows of several requests one
//! after another; [`split`] cuts the answer between items. No number and no string is printed again. [`agree`] says whether
//! rows got the same answers in company as alone.
//!
//! What goes alone: CSV, parquet and LLM requests; column-oriented inputs (their first dimension need not be rows); no rows;
//! rows that differ in keys, order of keys, width, shape or kind (but integers and fractions in one column are fractions,
//! as for pandas); a column that is null in some rows only; repeated keys; unknown fields; an `index` other than `0, 1, …`;
//! integers beyond 64 bits; `NaN` and `Infinity`; half a surrogate pair; text that may be a date but not an ISO one, for pandas takes a
//! column's format from its first row, and ISO dates of other detail than those beside them; and for MLflow 1.x columns whose names sound like dates,
//! which it converts or not by all their values.

mod agree;
mod apart;
mod date;
mod join;
mod key;
mod mergeable;
mod reader;
mod row_type;
mod split;
#[cfg(test)]
mod tests;

pub use agree::{Difference, Disagreement, agree};
pub use join::join;
pub use key::MergeKey;
pub use mergeable::Mergeable;
pub use split::split;
