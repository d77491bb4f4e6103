//! A schema of MLflow, inputs or outputs, taken apart.

use serde_json::{Map, Value, json};

use super::schema::{self, Side, is_required, or_null, with_required};

/// What goes in or comes out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fields<'a> {
    /// Nothing is known.
    Unknown,
    /// Columns of a data frame, or keys.
    Named(Vec<Column<'a>>),
    /// Columns of a data frame that has no names.
    Unnamed(Vec<&'a Value>),
    /// One tensor.
    Tensor(&'a Value),
    /// Tensors by name.
    Tensors(Vec<(&'a str, &'a Value)>),
}

/// A column with a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    declared: &'a Value,
}

impl<'a> Fields<'a> {
    /// Reads a schema: a list of declarations. What mixes names with none, or is no list, is unknown.
    pub(super) fn read(declared: Option<&'a Value>) -> Self {
        let Some(declared) = declared.and_then(Value::as_array) else {
            return Self::Unknown;
        };
        let name = |column: &'a Value| column["name"].as_str();
        let names: Option<Vec<_>> = declared.iter().map(name).collect();
        let is_tensor = |column: &Value| column["type"] == "tensor";
        match (declared.as_slice(), names) {
            ([], _) => Self::Unknown,
            ([tensor], None) if is_tensor(tensor) => Self::Tensor(&tensor["tensor-spec"]),
            (tensors, Some(names)) if tensors.iter().all(is_tensor) => {
                let specs = tensors.iter().map(|tensor| &tensor["tensor-spec"]);
                Self::Tensors(names.into_iter().zip(specs).collect())
            }
            (columns, Some(names)) => {
                let columns = names.into_iter().zip(columns);
                Self::Named(
                    columns
                        .map(|(name, declared)| Column { name, declared })
                        .collect(),
                )
            }
            (columns, None) if columns.iter().all(|column| name(column).is_none()) => {
                Self::Unnamed(columns.iter().collect())
            }
            _ => Self::Unknown,
        }
    }
}

impl Column<'_> {
    pub(super) fn is_required(&self) -> bool {
        is_required(self.declared)
    }

    /// One cell.
    pub(super) fn schema(&self, side: Side) -> Value {
        let schema = schema::of(self.declared, side);
        if self.is_required() {
            schema
        } else {
            or_null(schema)
        }
    }
}

/// One row as an object. More keys than declared are allowed: MLflow drops them.
pub(super) fn record(columns: &[Column<'_>], side: Side) -> Value {
    keyed(columns, |column| column.schema(side))
}

/// An object with a key for each column.
pub(super) fn keyed(columns: &[Column<'_>], value: impl Fn(&Column<'_>) -> Value) -> Value {
    let properties: Map<_, _> = columns
        .iter()
        .map(|column| (column.name.to_owned(), value(column)))
        .collect();
    let required: Vec<_> = columns
        .iter()
        .filter(|column| column.is_required())
        .map(|column| column.name)
        .collect();
    with_required(
        json!({"type": "object", "properties": properties}),
        &required,
    )
}

/// An object with a key for each tensor, without their first `skipped` dimensions.
pub(super) fn keyed_tensors(tensors: &[(&str, &Value)], skipped: usize, side: Side) -> Value {
    let properties: Map<_, _> = tensors
        .iter()
        .map(|(name, spec)| ((*name).to_owned(), schema::tensor(spec, skipped, side)))
        .collect();
    let required: Vec<_> = tensors.iter().map(|(name, _)| *name).collect();
    with_required(
        json!({"type": "object", "properties": properties}),
        &required,
    )
}

/// Any of these; one alone is itself, and each is said once.
pub(super) fn any_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    let mut different: Vec<Value> = Vec::new();
    for schema in schemas {
        if schema == json!({}) {
            return schema;
        }
        if !different.contains(&schema) {
            different.push(schema);
        }
    }
    match different.len() {
        0 => json!({}),
        1 => different.remove(0),
        _ => json!({"anyOf": different}),
    }
}

/// A list of such items.
pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(declared: &Value) -> &'static str {
        match Fields::read(Some(declared)) {
            Fields::Unknown => "unknown",
            Fields::Named(_) => "named",
            Fields::Unnamed(_) => "unnamed",
            Fields::Tensor(_) => "tensor",
            Fields::Tensors(_) => "tensors",
        }
    }

    #[test]
    fn a_schema_is_columns_or_tensors_with_names_or_without() {
        for (declared, expected) in [
            (json!([{"type": "double", "name": "a"}]), "named"),
            (json!([{"type": "double"}, {"type": "string"}]), "unnamed"),
            (
                json!([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]),
                "tensor",
            ),
            (
                json!([{"name": "a", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]),
                "tensors",
            ),
            (
                json!([{"type": "double"}, {"type": "long", "name": "a"}]),
                "unknown",
            ),
            (json!([]), "unknown"),
            (json!({"type": "double"}), "unknown"),
            (json!(["double"]), "unnamed"),
        ] {
            assert_eq!(kind(&declared), expected, "{declared}");
        }
        assert_eq!(Fields::read(None), Fields::Unknown);
    }

    #[test]
    fn a_column_is_required_unless_a_generation_of_mlflow_says_that_it_is_not() {
        let declared = json!([
            {"type": "double", "name": "of 1.x"},
            {"type": "double", "name": "required", "required": true},
            {"type": "double", "name": "not required", "required": false},
            {"type": "double", "name": "optional", "optional": true},
        ]);
        let Fields::Named(columns) = Fields::read(Some(&declared)) else {
            unreachable!("every column has a name");
        };
        let record = record(&columns, Side::Request);
        assert_eq!(record["required"], json!(["of 1.x", "required"]));
        let optional = &record["properties"]["optional"];
        assert_eq!(optional["type"], json!(["number", "null"]));
    }
}
