//! Keys, sizes and users of environments in few words.

use gateway::api::EnvironmentSummary;

/// Enough of a key to name one of many environments.
const SHORT: usize = 12;

/// The beginning of a key.
pub(super) fn short(key: &str) -> &str {
    key.get(..SHORT).unwrap_or(key)
}

/// `1.4 GB`, `700 MB`, `12 kB`, `3 B`; 1 MB is 1024 × 1024 bytes.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TB", 1 << 40),
        ("GB", 1 << 30),
        ("MB", 1 << 20),
        ("kB", 1 << 10),
    ];
    let Some((name, unit)) = UNITS.into_iter().find(|(_, unit)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let tenths = bytes / (unit / 10);
    match tenths {
        0..100 => format!("{}.{} {name}", tenths / 10, tenths % 10),
        _ => format!("{} {name}", bytes / unit),
    }
}

/// `iris@3, fraud@1, environment fedcba987654`, or a dash.
pub(super) fn users(environment: &EnvironmentSummary) -> String {
    let versions = environment.used_by.iter().map(ToString::to_string);
    let derived = environment.base_of.iter();
    let derived = derived.map(|key| format!("environment {}", short(key)));
    let users: Vec<_> = versions.chain(derived).collect();
    match users.as_slice() {
        [] => "-".to_owned(),
        users => users.join(", "),
    }
}

/// What is in it: `Python 3.11.7, MLflow 3.17.2, 700 MB`.
pub(super) fn content(environment: &EnvironmentSummary) -> String {
    let python = environment.python.as_ref();
    let mlflow = environment.mlflow.as_ref();
    let parts = [
        python.map(|version| format!("Python {version}")),
        mlflow.map(|version| format!("MLflow {version}")),
        Some(size(environment.size_bytes)),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_reads_well_at_every_magnitude() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (12 << 10, "12 kB"),
            (1536 << 10, "1.5 MB"),
            (700 << 20, "700 MB"),
            (1434 << 20, "1.4 GB"),
            (20 << 30, "20 GB"),
            (3 << 40, "3.0 TB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn a_key_is_shortened_and_a_strange_one_is_left_whole() {
        assert_eq!(short("0123456789abcdef"), "0123456789ab");
        assert_eq!(short("0123"), "0123");
    }
}
