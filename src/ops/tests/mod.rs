//! Use cases on the in-memory engine.

mod aws;
mod bake;
mod builds;
mod by_id;
mod canary;
mod cancel;
mod clone;
mod crash;
mod down;
mod durable;
mod durable_data;
mod durable_states;
mod faults;
mod hooks;
mod localstack;
mod lock;
mod proxy;
mod restore;
mod rollback;
mod rotate;
mod scale;
pub(super) mod stage;
mod status;
mod traffic;
mod undo;
