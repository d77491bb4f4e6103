//! Benchmarks of the whole and of its parts, against peers in the same run.
