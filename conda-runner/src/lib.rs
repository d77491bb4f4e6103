//! Implements the engine's Loader: builds an environment once, runs workers in it, tells when they die.
