//! Use cases on the in-memory engine.

mod by_id;
mod cancel;
mod durable;
mod faults;
mod hooks;
mod lock;
mod proxy;
mod stage;
mod traffic;
