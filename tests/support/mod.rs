//! What tests of the whole program share: a sandbox on the real engine, programs with a time limit, an HTTP client, Docker's
//! own Compose, a customer of the demo and what its hub sends.

pub mod browser;
pub mod compose;
pub mod customer;
pub mod engine;
pub mod http;
pub mod hub;
pub mod load;
pub mod ports;
pub mod program;
pub mod random;
pub mod sandbox;
pub mod small;
pub mod wait;

pub use program::Outcome;
pub use sandbox::Sandbox;
