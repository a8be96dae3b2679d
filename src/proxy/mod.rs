//! The reverse proxy of an environment: its listeners, the one snapshot they route by, the drain of the color that was
//! live, the control of it all, the local certificates. Imports `base` and `model`.
//!
//! Requests are served on a few threads, each with a runtime of its own that shares nothing with the others but the
//! snapshot and some counters: a connection stays on its thread, and so do the connections to the services that it uses.
//! Control (switches, health, files) has a thread for itself, so that no request waits for an fsync.

mod accept;
mod access;
mod assets;
mod ca;
mod chooser;
mod client;
mod clock;
mod control;
mod control_io;
mod ctl;
mod database;
mod drain;
mod error;
mod exchange;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod headers;
mod health;
mod hosts;
mod idle;
mod link;
mod load;
mod metrics;
mod multiplexed;
mod options;
mod page;
mod proxy_protocol;
mod request;
mod retire;
mod server;
mod share;
mod snapshot;
mod store;
mod target;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod traffic;
mod tunnel;
mod upload;
mod watched;

pub use ctl::ctl;
pub use database::{Folders, sign_for_database};
pub use error::ProxyError;
pub use options::{Limits, Options};
pub use server::serve;
