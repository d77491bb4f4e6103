//! Turns an MLflow registry into a watch of aspired versions, and fetches their artifacts.
