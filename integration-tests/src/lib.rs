//! The whole system: the real binary, a real MLflow server, real workers.
