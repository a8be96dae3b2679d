//! `switch --weight`: the idle color gets a share of the traffic.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    OpsError, Session, SwitchOptions,
    lock::locked,
    state,
    switch::{carry_out, input, standing, started_hooks, warn_if_forced},
};
use crate::{
    model::{Color, Figures, Observed, Routing, control::Draining},
    plan::{self, Plan},
};

/// Which part of the traffic the idle color gets.
#[derive(Debug, Clone, Serialize)]
pub struct Shared {
    pub live: Color,
    pub color: Color,
    pub release: String,
    /// Percent of new clients.
    pub weight: u8,
    /// What the color still has open, where its share ended.
    pub draining: Option<Draining>,
    /// Nothing was to do.
    pub already: bool,
    /// What came of the color's requests while it was watched.
    pub bake: Option<Figures>,
    #[serde(skip)]
    pub plan: Plan,
    #[serde(skip)]
    pub took: Duration,
}

/// Gives the color, or the idle one where none is named, this percentage of new clients: 0 to 99.
pub async fn share(
    session: &Session<'_>,
    options: SwitchOptions,
    weight: u8,
) -> Result<Shared, OpsError> {
    let command = format!("switch --weight {weight}");
    locked(session, &command, async || {
        let begun = Instant::now();
        let observed = session.observe().await?;
        let routing = state::routing(session, &observed).await?;
        let (live, to, plan) = planned(session, &observed, &routing, options, weight).await?;
        let stack = &routing.stacks[&to];
        let mut shared = Shared {
            live,
            color: to,
            release: stack.release.clone(),
            weight,
            draining: None,
            already: plan.is_empty(),
            bake: None,
            plan,
            took: Duration::ZERO,
        };
        if shared.already {
            return Ok(shared);
        }
        let unforced = SwitchOptions { force: false, ..options };
        let unforced = planned(session, &observed, &routing, unforced, weight).await;
        warn_if_forced(session, options, unforced.err());
        let recorded = standing(session, &observed, &command, (to, stack))
            .plan(&shared.plan)
            .forced(options.force);
        let watched = (options.bake, Some(live));
        (_, shared.bake) = carry_out(session, recorded, &shared.plan, to, watched).await?;
        // The share is given, whether the figure is to be had or not.
        if let Ok(Some(status)) = state::proxy_status(session, &observed).await {
            shared.draining = status.draining.get(&to).copied();
        }
        shared.took = begun.elapsed();
        Ok(shared)
    })
    .await
}

/// Plans a share without giving it.
pub async fn plan_share(
    session: &Session<'_>,
    options: SwitchOptions,
    weight: u8,
) -> Result<Plan, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    Ok(planned(session, &observed, &routing, options, weight).await?.2)
}

async fn planned(
    session: &Session<'_>,
    observed: &Observed,
    routing: &Routing,
    options: SwitchOptions,
    weight: u8,
) -> Result<(Color, Color, Plan), OpsError> {
    let live = routing.live.ok_or(OpsError::NothingLive)?;
    let to = options.color.unwrap_or_else(|| live.other());
    let started = started_hooks(session, observed, to).await?;
    let input = input(session, observed, routing, &started, to, options);
    Ok((live, to, plan::canary(&input, weight)?))
}
