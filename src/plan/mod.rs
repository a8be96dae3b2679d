//! Desired × observed → plan. Pure: no I/O, no clock, no randomness. Imports what is below it.

mod aws;
mod bake;
mod build;
mod canary;
mod certificates;
mod cleanup;
mod clone;
mod conflict;
mod deploy;
pub mod desired;
mod down;
mod durable;
mod durable_down;
mod hooks;
#[expect(clippy::module_inception, reason = "the type that the module is named for")]
mod plan;
mod proxy;
mod restore;
mod scale;
mod stack;
mod switch;
mod test;
#[cfg(test)]
mod tests;

pub use aws::{At, Aws, AwsJob, uses_outputs};
pub use bake::Bake;
pub use build::build;
pub use canary::canary;
pub use certificates::{SIGNING, SignJob, Signing};
pub use cleanup::{Cleanup, Made, busy, cleanup};
pub use clone::clones_of;
pub use conflict::Conflict;
pub use deploy::{Deploy, deploy, is_up_to_date, of_color};
pub use down::{Down, down, serving};
pub use durable::{Difference, FieldChange, durable_up, looks, with_snapshots};
pub use durable_down::durable_down;
pub use hooks::hooks_of;
pub use plan::{Action, DataCheck, Id, ImageJob, Pipe, Plan, Sink, Source, Step, Until, Wait};
pub use proxy::proxy_is_current;
use restore::call_in;
pub use restore::{
    By, Changes, Copied, Restore, call, purge, put_back, rekey, remove_keyed, restore, start_again,
    sweep, verify,
};
pub use scale::{Scale, scale};
pub use switch::{Switch, ended, switch};
pub use test::{Test, test};
