//! freshgate: JWT policies in front of legacy backends, route by route.
//!
//! The modules are floors of one house, declared from the top down: an import points down this list
//! and never up; `auth` and `proxy` share a floor and never import each other. `tests/tidy.rs` checks it.

#![forbid(unsafe_code)]

pub mod cli;
pub mod server;

pub mod gateway;

pub mod auth;
pub mod proxy;

pub mod store;

pub mod config;

pub mod policy;

pub mod token;

pub mod telemetry;
