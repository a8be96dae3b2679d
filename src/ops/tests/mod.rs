//! Use cases on the in-memory engine.

mod by_id;
mod cancel;
mod durable;
mod faults;
mod lock;
mod proxy;
mod scale;
mod stage;
mod status;
mod traffic;
