//! Desired × observed → plan. Pure: no I/O, no clock, no randomness. Imports what is below it.

#[expect(clippy::module_inception, reason = "the type that the module is named for")]
mod plan;

pub use plan::{Action, Id, ImageJob, Plan, Step, Until, Wait};
