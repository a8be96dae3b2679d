//! What a failed deployment left is removed again, where that was asked for.

use std::collections::BTreeSet;

use super::{
    OpsError, Session,
    history::{self, Recorded},
    state,
};
use crate::{model::Color, plan, run::Event};

/// Tells of a failure with its evidence, removes what stands of the color, and returns the error that tells of both.
///
/// Other errors, an interruption too, are returned as they are: nothing is removed.
pub(super) async fn undo(
    session: &Session<'_>,
    error: OpsError,
    color: Color,
    release: &str,
) -> OpsError {
    if !matches!(error, OpsError::Failed { .. } | OpsError::TestsFailed { .. }) {
        return error;
    }
    session.reporter.on(Event::Error(&error.to_string()));
    let kept =
        remove(session, color, release).await.unwrap_or_else(|error| Some(error.to_string()));
    OpsError::Undone { error: Box::new(error), color, kept }
}

/// Removes the color's containers, networks and volumes; or returns why they stay.
async fn remove(
    session: &Session<'_>,
    color: Color,
    release: &str,
) -> Result<Option<String>, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    if routing.live == Some(color) {
        return Ok(Some(format!("{color} is live")));
    }
    // The deployment failed before it took the last release down: there may be a way back to that.
    if let Some(stack) = routing.stacks.get(&color).filter(|stack| stack.release != release) {
        return Ok(Some(format!("{color} holds its last release {} as before", stack.release)));
    }
    session.reporter.on(Event::Phase(&format!("remove {color}")));
    // Images stay: the next deployment may need them.
    let plan = plan::cleanup(&plan::Cleanup {
        names: &session.project.names,
        color,
        observed: &observed,
        routing: &routing,
        made: plan::Made { images: &[], retained: &BTreeSet::new(), let_go: &BTreeSet::new() },
        drain: session.project.file.proxy.drain,
        // It was never whole: it has nothing that its hooks could end.
        hooks: None,
    })?;
    let recorded = Recorded::new("cleanup").plan(&plan).release(color, release);
    history::recorded(session, recorded, async || session.execute_through(&plan).await).await?;
    Ok(None)
}
