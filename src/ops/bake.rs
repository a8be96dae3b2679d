//! `--bake`: what came of the watch over a color that got traffic, and the way back.

use super::{
    OpsError, Session, history, state,
    switch::{SwitchOptions, planned, standing},
};
use crate::{
    model::{
        Color, Figures,
        control::{Answer, Request},
    },
    plan::Bake,
    run::{self, Event, Failure, RunError},
};

/// What was exceeded, if that is why a plan failed.
pub(super) fn exceeded(failure: &Failure, color: Color) -> Option<OpsError> {
    match &failure.source {
        RunError::Exceeded(reason) => {
            Some(OpsError::Exceeded { color, reason: reason.clone(), then: None })
        }
        _ => None,
    }
}

/// Ends the count. What was exceeded goes back to the color that had the traffic before; what was interrupted stays.
pub(super) async fn end<T>(
    session: &Session<'_>,
    bake: Option<Bake>,
    color: Color,
    before: Option<Color>,
    done: Result<T, OpsError>,
) -> Result<(T, Option<Figures>), OpsError> {
    if bake.is_none() {
        return done.map(|done| (done, None));
    }
    let figures = count(session).await;
    let shown = figures.as_ref().map(Figures::to_string).unwrap_or_default();
    match done {
        Ok(done) => Ok((done, figures)),
        Err(OpsError::Exceeded { reason, .. }) => {
            session.reporter.on(Event::Error(&format!("{color}: {reason}")));
            let then = match before {
                None => "nothing was live before: it stays".to_owned(),
                Some(before) => match back(session, before).await {
                    Ok(()) => format!("all of the traffic is on {before} again"),
                    Err(error) => format!("and the way back to {before} failed: {error}"),
                },
            };
            Err(OpsError::Exceeded { color, reason, then: Some(then) })
        }
        Err(OpsError::Interrupted) => {
            let text = format!("{color} keeps the traffic that it has, watched by nobody: {shown}");
            session.reporter.on(Event::Warning(&text));
            Err(OpsError::Interrupted)
        }
        Err(error) => Err(error),
    }
}

/// The figures so far; nothing is counted for a bake any more.
async fn count(session: &Session<'_>) -> Option<Figures> {
    let proxy = session.project.names.proxy();
    let watched = run::tell(session.engine, &proxy, &Request::Watched).await;
    // Where the proxy cannot be told, it counts on, which costs little and ends with its process.
    let _ = run::tell(session.engine, &proxy, &Request::Watch { color: None }).await;
    match watched {
        Ok(Answer::Watched(figures)) => Some(figures),
        _ => None,
    }
}

async fn back(session: &Session<'_>, to: Color) -> Result<(), OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    // It served before, with the database that it has: that is its test.
    let options = SwitchOptions { force: true, keep_clone: true, ..SwitchOptions::default() };
    let plan = planned(session, &observed, &routing, to, options).await?;
    let stack = &routing.stacks[&to];
    // What did not hold is no release to go back to: the history does not say that it was replaced.
    let recorded = standing(session, &observed, "rollback", (to, stack)).plan(&plan);
    history::recorded(session, recorded, async || session.execute(&plan, Some(to)).await.map(drop))
        .await
}
