//! Executes a plan: order, concurrency, cancellation, events. Takes no decisions. Imports what is below it.

mod event;
mod evidence;
mod execute;
mod follow;
mod proxy;
#[cfg(test)]
mod tests;
mod wait;

pub use event::{Event, Reporter};
pub use evidence::Evidence;
pub use execute::{Executor, Failure, RunError};
pub use proxy::{ProxyError, tell};
pub use wait::{Poll, WaitError, poll};
