//! Bytes as people read them.

const UNITS: [(&str, u64); 5] = [
    ("PB", 1 << 50),
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("kB", 1 << 10),
];

/// `1.2GB`, in the units in which sizes are configured: 1 kB is 1024 bytes. Three digits, rounded down, unless they say
/// nothing: `50GB`.
pub(crate) fn human(bytes: u64) -> String {
    let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| bytes >= *size) else {
        return format!("{bytes} bytes");
    };
    let whole = bytes / size;
    // Less than 1024 times ten: it cannot overflow.
    let tenths = (bytes % size / (size >> 10) * 10) >> 10;
    if whole >= 100 || tenths == 0 {
        format!("{whole}{unit}")
    } else {
        format!("{whole}.{tenths}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn three_digits_and_the_units_of_the_configuration() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1kB"),
            (1300, "1.2kB"),
            (1_000_000, "976kB"),
            (256 << 20, "256MB"),
            (3 << 29, "1.5GB"),
            (50 << 30, "50GB"),
            ((50 << 30) - 1, "49.9GB"),
            (u64::MAX, "16383PB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
