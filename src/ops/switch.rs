//! `switch`: the traffic moves at one instant.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::locked,
    releases, state,
};
use crate::{
    model::{Color, Observed, Routing, control::Draining, labels},
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

/// Plans a switch without doing it.
pub(super) async fn plan_switch(
    session: &Session<'_>,
    options: SwitchOptions,
) -> Result<Plan, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    Ok(planned(session, options, &observed, &routing)?.1)
}

fn planned(
    session: &Session<'_>,
    options: SwitchOptions,
    observed: &Observed,
    routing: &Routing,
) -> Result<(Color, Plan), OpsError> {
    let to = options.color.unwrap_or_else(|| Session::idle(routing));
    let plan = plan::switch(&Switch {
        names: &session.project.names,
        to,
        observed,
        routing,
        tested: !session.project.file.checks.is_empty(),
        force: options.force,
        wait: session.wait,
    })?;
    Ok((to, plan))
}

pub(super) async fn switch_locked(
    session: &Session<'_>,
    command: &str,
    options: SwitchOptions,
) -> Result<Switched, OpsError> {
    let started = Instant::now();
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let (to, plan) = planned(session, options, &observed, &routing)?;
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
        .replaces(releases::live(&routing).filter(|_| routing.live != Some(to)))
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
