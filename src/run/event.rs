//! What an operation tells while it runs.

use std::time::Duration;

use crate::{
    engine,
    plan::{Id, Plan},
};

#[derive(Debug)]
pub enum Event<'a> {
    /// A part of the operation begins: `durable layer`, `deploy green`.
    Phase(&'a str),
    /// These steps are about to be done.
    Planned(&'a Plan),
    Started(&'a Plan, Id),
    /// A pull or a build moves on.
    Progress(&'a Plan, Id, engine::Step),
    Done(&'a Plan, Id, Duration),
    Failed(&'a Plan, Id, Duration),
    /// Something worth a line that is no step.
    Note(&'a str),
    Warning(&'a str),
    /// What failed, told before the operation goes on with what it does about it.
    Error(&'a str),
}

/// Takes the events of an operation; called from one task at a time.
pub trait Reporter: Send + Sync {
    fn on(&self, event: Event<'_>);
}

/// Says nothing.
impl Reporter for () {
    fn on(&self, _: Event<'_>) {}
}
