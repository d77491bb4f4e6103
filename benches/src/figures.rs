//! Figures of several rounds, and tables of them in Markdown.

use std::fmt::Write;

/// Median, least and most of what several rounds gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; the upper of two.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Spread {
    /// Of at least one figure; of none, zero.
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
        Self {
            median: at(sorted.len() / 2),
            least: at(0),
            most: at(sorted.len().saturating_sub(1)),
        }
    }

    /// `median (least–most)` with so many digits after the point.
    pub fn text(self, digits: usize) -> String {
        let Self {
            median,
            least,
            most,
        } = self;
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

impl Table {
    /// An empty table.
    pub fn new<const WIDTH: usize>(headings: [&str; WIDTH]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
        }
    }

    /// One row more, of as many cells as there are headings.
    pub fn row<const WIDTH: usize>(&mut self, cells: [String; WIDTH]) {
        self.rows.push(cells.to_vec());
    }

    /// The table as Markdown, with a line's end.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if number == 0 {
                let _ = writeln!(text, "|{}", " --- |".repeat(row.len()));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_both_ends() {
        let spread = Spread::of(&[3.0, 1.0, 2.0]);
        assert_eq!(spread.text(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::of(&[]).text(0), "0 (0–0)");
    }

    #[test]
    fn a_table_has_a_line_below_its_headings() {
        let mut table = Table::new(["what", "how much"]);
        table.row(["a".to_owned(), "1".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| what | how much |\n| --- | --- |\n| a | 1 |\n"
        );
    }
}
