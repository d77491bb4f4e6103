//! Databricks as the registry, over replies shaped as its public documentation shows them.
