//! Use cases on the in-memory engine.

mod builds;
mod by_id;
mod cancel;
mod durable;
mod faults;
mod lock;
mod proxy;
mod stage;
mod traffic;
