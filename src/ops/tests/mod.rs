//! Use cases on the in-memory engine.

mod builds;
mod by_id;
mod cancel;
mod crash;
mod durable;
mod faults;
mod hooks;
mod lock;
mod proxy;
mod rollback;
mod scale;
mod stage;
mod status;
mod traffic;
mod undo;
