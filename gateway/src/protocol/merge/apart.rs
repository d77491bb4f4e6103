//! The rows of one request, each as a request of its own.

use std::hash::Hash;

use super::agree::is_alike;
use super::mergeable::Mergeable;
use super::split::Scan;

impl Mergeable {
    /// Its first rows, `most` at most. Each has the key of all of them, whatever it would have alone.
    pub fn apart(&self, most: usize) -> Vec<Self> {
        let text = &self.body[self.parts.rows.clone()];
        let mut scan = Scan::new(text);
        let begin = self.parts.rows.start;
        let row = |range: std::ops::Range<usize>| {
            let mut one = self.clone();
            one.parts.rows = begin + range.start..begin + range.end;
            one.parts.count = 1;
            one
        };
        let count = self.parts.count.min(most);
        // What was read as rows can be passed over as items.
        scan.items(count).into_iter().flatten().map(row).collect()
    }

    /// Whether the rows of both are the same ones, however they are printed.
    pub fn has_rows_of(&self, other: &Self) -> bool {
        is_alike(self.rows_as_bytes(), other.rows_as_bytes())
    }

    /// By what a model may choose how it treats rows: it sees another type for each form, and the parameters.
    pub fn treatment(&self) -> impl Hash + '_ {
        let params = self.parts.params.clone();
        (
            self.form,
            self.content_type(),
            params.map(|params| &self.body[params]),
        )
    }

    fn rows_as_bytes(&self) -> &[u8] {
        &self.body[self.parts.rows.clone()]
    }
}
