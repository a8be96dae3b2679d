//! The revision that a job of a pipeline is about: what another pipeline deployed since is not its to test or to promote.

use super::OpsError;
use crate::{
    model::{Color, Routing, Stack},
    plan::Conflict,
};

/// Refuses a color whose release is of another revision; `wanted` may be the beginning of it.
pub(super) fn check(routing: &Routing, color: Color, wanted: &str) -> Result<(), OpsError> {
    let stack = routing.stacks.get(&color).ok_or(Conflict::NoRelease { color })?;
    if is_of(stack, wanted) {
        return Ok(());
    }
    Err(OpsError::OtherRevision {
        color,
        release: stack.release.clone(),
        found: stack.revision.clone(),
        wanted: wanted.to_owned(),
    })
}

/// The live color, where it has the revision and `to` has no newer release of it.
pub(super) fn live(routing: &Routing, to: Color, wanted: &str) -> Option<Color> {
    let live = routing.live?;
    let serving = routing.stacks.get(&live).filter(|stack| is_of(stack, wanted))?;
    // Names of releases sort by time.
    let newer = |stack: &Stack| is_of(stack, wanted) && stack.release > serving.release;
    let other = routing.stacks.get(&to).filter(|_| to != live);
    (!other.is_some_and(newer)).then_some(live)
}

fn is_of(stack: &Stack, wanted: &str) -> bool {
    stack.revision.as_deref().is_some_and(|revision| revision.starts_with(wanted))
}
