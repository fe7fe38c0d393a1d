//! The statements of tests/statements, for the fuzz targets. They live there, once, for these and for the property tests.

#![forbid(unsafe_code)]

#[path = "../../statements/mod.rs"]
pub mod statements;
