//! Solving and installing from channels that the tests make.
