//! envctl: blue/green deployments on one Docker host. `ARCHITECTURE.md` is the map; `tests/layers.rs` holds its layers.

pub mod aws;
pub mod base;
pub mod cli;
pub mod compose;
pub mod config;
pub mod database;
pub mod engine;
pub mod model;
pub mod ops;
pub mod plan;
pub mod proxy;
pub mod run;
pub mod ui;
