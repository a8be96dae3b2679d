//! The use cases, one file each: observe → plan → execute. Never prints. Imports what is below it.

mod aws;
mod bake;
mod bench;
mod build;
mod canary;
mod ci;
mod cleanup;
mod clone;
mod config;
mod connections;
mod crash;
mod credentials;
mod database;
mod definition;
mod deploy;
mod doctor;
mod down;
mod durable;
mod error;
mod gate;
mod graph;
mod history;
mod init;
mod journal;
mod lock;
mod logs;
mod ports;
mod preview;
mod proxy;
mod recovery;
mod release;
mod releases;
mod restore;
mod revision;
mod rollback;
mod rotate;
mod scale;
mod secret;
mod session;
mod snapshot;
mod snapshots;
mod sources;
mod state;
mod status;
mod switch;
mod test;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;
mod undo;
mod up;

pub use aws::{AwsStatus, aws_apply, aws_outputs, aws_status, peek, redrive};
pub use bench::{
    Bench, BenchOptions, Kind, OfKind, Switches, Target, Times, What, bench_command, bench_switch,
};
pub use build::{Built, build};
pub use canary::{Shared, plan_share, share};
pub use ci::{Host as CiHost, pipeline};
pub use cleanup::{Cleanup, cleanup, plan_cleanup};
pub use config::{Layer, Resolved, config};
pub use credentials::open_with_credentials;
pub use deploy::{DeployOptions, Deployed, deploy, plan_deploy};
pub use doctor::{Finding, Report, doctor};
pub use down::{DownOptions, down, plan_down, serving};
pub use durable::{
    Apply, Data, DurableService, DurableUp, durable_down, durable_reset, durable_status,
    durable_up, leans_on_durable, plan_durable_up, shell_command, volumes_of_no_service,
    without_snapshot,
};
pub use error::OpsError;
pub use gate::{PauseOptions, maintenance, pause, resume};
pub use graph::{Graph, graph};
pub use history::history;
pub use init::{Draft, bare_project, draft, write_draft};
pub use journal::Journal;
pub use logs::{LogTarget, access_log, log_targets};
pub use restore::{
    KEPT, RestoreOptions, Restored, clone_environment, kept_volumes, purge, restore,
};
pub use rollback::{Rollback, RollbackOptions, plan_rollback, rollback};
pub use rotate::{Rotated, rotate_key};
pub use scale::{ScaleOptions, Scaled, scale};
pub use secret::REDACTED;
pub use session::Session;
pub use snapshot::{SnapshotOptions, Verified, snapshot, verify_snapshot};
pub use snapshots::{Broken, Snapshot, Stored, remove_snapshot, snapshots};
pub use status::{
    CloneStatus, ColorStatus, DurableStatus, EnvironmentStatus, ProxyStatus, ServiceStatus, Status,
    Vitals, status,
};
pub use switch::{SwitchOptions, Switched, plan_promote, plan_switch, promote, switch};
pub use test::{CheckResult, Only, Tested, test};
pub use tls::tls;
pub use transfer::{export, import};
pub use up::{Up, UpOptions, up};
