//! Executes a plan: order, concurrency, cancellation, events. Takes no decisions. Imports what is below it.

mod anew;
mod aws;
mod bake;
mod certificates;
mod course;
mod data;
mod diagnosis;
mod event;
mod evidence;
mod execute;
mod failure;
mod follow;
mod proxy;
mod ready;
mod secrets;
mod sign;
mod stream;
#[cfg(test)]
mod tests;
mod through;
mod wait;

pub use aws::{
    AwsFailure, NoWay, Standing, connect as connect_aws, outputs_hash, standing as aws_standing,
};
pub use certificates::certify;
pub use data::{log_text, to_its_end};
pub use diagnosis::Cause;
pub use event::{Event, Reporter};
pub use evidence::Evidence;
pub use execute::Executor;
pub use failure::{Failure, RunError};
pub use proxy::{ProxyError, tell};
pub use secrets::Secrets;
pub use stream::Heard;
pub use wait::{Poll, WaitError, poll};
