//! Bytes as people read them.

/// `1.2 GB`: decimal units, as disks are sold.
pub(super) fn human(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes, "bytes");
    let mut tenths = 0;
    for next in ["kB", "MB", "GB", "TB", "PB"] {
        if value < 1000 {
            break;
        }
        (tenths, value, unit) = (value % 1000 / 100, value / 1000, next);
    }
    if unit == "bytes" || value >= 100 {
        format!("{value} {unit}")
    } else {
        format!("{value}.{tenths} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn three_digits_and_a_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1250, "1.2 kB"),
            (268_435_456, "268 MB"),
            (50_000_000_000, "50.0 GB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
