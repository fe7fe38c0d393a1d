//! What must hold of any input, each said once: a function that takes the input and panics where it does not.
//!
//! `tests/properties.rs` calls them with made-up inputs in the normal run, the targets in `tests/fuzz` with
//! whatever a fuzzer finds. Nothing here uses what is not public, and nothing shares code with what it judges:
//! each says in slow, plain words what the product does fast.

pub mod bytes;
pub mod configuration;
pub mod credentials;
pub mod firewall;
pub mod heads;
pub mod jsons;
pub mod library;
pub mod paths;
pub mod places;
pub mod readings;
pub mod routes;
pub mod spellings;
pub mod tokens;
pub mod wire;
