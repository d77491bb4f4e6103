//! An environment in the hands of somebody outside of the runner.

use std::fmt;

use crate::shelf::Hold;

/// As long as it lives, nobody removes the environment.
pub struct HeldEnvironment(
    #[expect(dead_code, reason = "kept until it is dropped")] pub(super) Hold,
);

impl fmt::Debug for HeldEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HeldEnvironment")
            .finish_non_exhaustive()
    }
}
