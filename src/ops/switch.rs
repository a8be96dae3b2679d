//! `switch` and `rollback`: the traffic moves at one instant.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::locked,
    state,
};
use crate::{
    model::{Color, Observed, Outcome, Routing, control::Draining, labels},
    plan::{self, Plan, Switch},
};

#[derive(Debug, Clone, Copy, Default)]
pub struct SwitchOptions {
    /// None: the idle one.
    pub color: Option<Color>,
    /// Whatever its tests said.
    pub force: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct Switched {
    pub from: Option<Color>,
    pub to: Color,
    pub release: String,
    /// What the old color still has open.
    pub draining: Option<Draining>,
    /// Nothing was to do.
    pub already: bool,
    #[serde(skip)]
    pub plan: Plan,
    #[serde(skip)]
    pub took: Duration,
}

/// Moves the traffic to the color, or to the idle one where none is named.
pub async fn switch(session: &Session<'_>, options: SwitchOptions) -> Result<Switched, OpsError> {
    let what = options.color.map_or_else(|| "switch".to_owned(), |color| format!("switch {color}"));
    locked(session, &what, async || switch_locked(session, "switch", options).await).await
}

/// Moves the traffic back to the color that was live before.
pub async fn rollback(session: &Session<'_>) -> Result<Switched, OpsError> {
    locked(session, "rollback", async || {
        let observed = session.observe().await?;
        let routing: Routing = state::routing(session, &observed).await?;
        let to = routing.live.ok_or(OpsError::NothingLive)?.other();
        if !routing.stacks.contains_key(&to) {
            return Err(OpsError::NothingToRollBack { color: to });
        }
        let release = &routing.stacks[&to].release;
        let served = state::changes(session, &observed).await?.iter().any(|change| {
            matches!(change.command.as_str(), "switch" | "rollback")
                && change.color == Some(to)
                && change.release.as_ref() == Some(release)
                && change.outcome == Outcome::Done
        });
        if !served {
            return Err(OpsError::NeverServed { color: to });
        }
        // It served before: that is its test.
        switch_locked(session, "rollback", SwitchOptions { color: Some(to), force: true }).await
    })
    .await
}

pub(super) async fn switch_locked(
    session: &Session<'_>,
    command: &str,
    options: SwitchOptions,
) -> Result<Switched, OpsError> {
    let started = Instant::now();
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let to = options.color.unwrap_or_else(|| Session::idle(&routing));
    let plan = plan::switch(&Switch {
        names: &session.project.names,
        to,
        observed: &observed,
        routing: &routing,
        tested: !session.project.file.checks.is_empty(),
        force: options.force,
        wait: session.wait,
    })?;
    let stack = &routing.stacks[&to];
    let mut switched = Switched {
        from: routing.live,
        to,
        release: stack.release.clone(),
        draining: None,
        already: plan.is_empty(),
        plan,
        took: Duration::ZERO,
    };
    if switched.already {
        return Ok(switched);
    }
    let recorded = Recorded::new(command)
        .release(to, &stack.release)
        .made_of(stack.revision.as_deref(), stack.images.clone())
        .image_ids(image_ids(session, &observed, to))
        .plan(&switched.plan)
        // A rollback skips the tests by its nature.
        .forced(options.force && command == "switch");
    history::recorded(session, recorded, async || session.execute(&switched.plan, Some(to)).await)
        .await?;
    if let Some(status) = state::proxy_status(session, &observed).await? {
        switched.draining = status.draining.get(&to.other()).copied();
    }
    switched.took = started.elapsed();
    Ok(switched)
}

/// What a color's containers were made from, by service.
fn image_ids(session: &Session<'_>, observed: &Observed, color: Color) -> BTreeMap<String, String> {
    plan::of_color(observed, &session.project.names, color.as_str())
        .into_iter()
        .filter_map(|found| {
            Some((found.label(labels::SERVICE)?.to_owned(), found.image_id.clone()))
        })
        .collect()
}
