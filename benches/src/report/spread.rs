//! Several measurements of one thing as one: the median, and how far they lie apart.

use serde::{Deserialize, Serialize};

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these values; all zero where there is none.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
            return Self {
                median: 0.0,
                least: 0.0,
                most: 0.0,
            };
        };
        let (below, above) = ((sorted.len() - 1) / 2, sorted.len() / 2);
        Self {
            median: f64::midpoint(sorted[below], sorted[above]),
            least: *least,
            most: *most,
        }
    }

    /// `median (least–most)`, with so many digits after the point, and the median alone where all are shown the same.
    pub fn shown(&self, digits: usize) -> String {
        let [median, least, most] =
            [self.median, self.least, self.most].map(|value| number(value, digits));
        if least == most {
            return median;
        }
        format!("{median} ({least}–{most})")
    }
}

/// With so many digits after the point, and commas between thousands.
pub(super) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).shown(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).shown(1), "2.5 (1.0–4.0)");
        assert_eq!(Spread::of(&[5.0]).shown(0), "5");
        assert_eq!(Spread::of(&[]).shown(0), "0");
    }

    #[test]
    fn thousands_are_told_apart() {
        let shown = [999.0, 1_000.0, 1_234_567.8, -45_678.0].map(|value| number(value, 0));
        assert_eq!(shown, ["999", "1,000", "1,234,568", "-45,678"]);
        assert_eq!(number(12_345.678, 2), "12,345.68");
    }
}
