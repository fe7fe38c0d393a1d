//! (being written)
pub struct Revocations;
