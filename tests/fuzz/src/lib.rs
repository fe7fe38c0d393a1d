//! The statements of tests/statements, for the fuzz targets. They live there, once, for these and for the property tests.

#[path = "../../statements/mod.rs"]
pub mod statements;
