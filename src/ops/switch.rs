//! `switch`: the traffic moves at one instant.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    OpsError, Session, bake,
    history::{self, Recorded},
    lock::locked,
    releases, revision, state,
};
use crate::{
    model::{Color, Figures, Observed, Routing, Stack, When, control::Draining, labels},
    plan::{self, Bake, Id, Plan, Switch},
    run::Event,
};

#[derive(Debug, Clone, Copy, Default)]
pub struct SwitchOptions {
    /// None: the idle one.
    pub color: Option<Color>,
    /// Whatever its tests said.
    pub force: bool,
    /// How it is watched afterwards, with the way back.
    pub bake: Option<Bake>,
    /// Also to a color that has a clone of the database.
    pub keep_clone: bool,
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
    /// What came of its requests while it was watched.
    pub bake: Option<Figures>,
    #[serde(skip)]
    pub plan: Plan,
    /// How long each step took.
    #[serde(skip)]
    pub steps: BTreeMap<Id, Duration>,
    #[serde(skip)]
    pub took: Duration,
}

/// Moves the traffic to the color, or to the idle one where none is named.
pub async fn switch(session: &Session<'_>, options: SwitchOptions) -> Result<Switched, OpsError> {
    let what = options.color.map_or_else(|| "switch".to_owned(), |color| format!("switch {color}"));
    locked(session, &what, async || switch_locked(session, "switch", options).await).await
}

/// Moves the traffic to the release of a revision; nothing is to do where it is live, and a color of another one is refused.
pub async fn promote(
    session: &Session<'_>,
    options: SwitchOptions,
    wanted: &str,
) -> Result<Switched, OpsError> {
    locked(session, &format!("switch --revision {wanted}"), async || {
        let options = aimed(session, options, wanted).await?;
        switch_locked(session, "switch", options).await
    })
    .await
}

/// Plans a promotion without doing it.
pub async fn plan_promote(
    session: &Session<'_>,
    options: SwitchOptions,
    wanted: &str,
) -> Result<Plan, OpsError> {
    let options = aimed(session, options, wanted).await?;
    plan_switch(session, options).await
}

/// The options, with the color that has the revision.
async fn aimed(
    session: &Session<'_>,
    options: SwitchOptions,
    wanted: &str,
) -> Result<SwitchOptions, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let to = options.color.unwrap_or_else(|| Session::idle(&routing));
    if let Some(live) = revision::live(&routing, to, wanted) {
        return Ok(SwitchOptions { color: Some(live), ..options });
    }
    revision::check(&routing, to, wanted)?;
    Ok(SwitchOptions { color: Some(to), ..options })
}

pub(super) async fn switch_locked(
    session: &Session<'_>,
    command: &str,
    options: SwitchOptions,
) -> Result<Switched, OpsError> {
    let begun = Instant::now();
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let to = options.color.unwrap_or_else(|| Session::idle(&routing));
    let plan = planned(session, &observed, &routing, to, options).await?;
    let stack = &routing.stacks[&to];
    let mut switched = Switched {
        from: routing.live,
        to,
        release: stack.release.clone(),
        draining: None,
        already: plan.is_empty(),
        bake: None,
        plan,
        steps: BTreeMap::new(),
        took: Duration::ZERO,
    };
    if switched.already {
        return Ok(switched);
    }
    if command == "switch" {
        let without = SwitchOptions { force: false, bake: None, ..options };
        let unforced = planned(session, &observed, &routing, to, without).await;
        warn_if_forced(session, options, unforced.err());
    }
    if options.force && routing.live != Some(to) {
        for ended in plan::ended(&observed, &session.project.names, to) {
            let service = ended.label(labels::SERVICE).unwrap_or(&ended.name);
            let text = format!("{to}/{service} does not run; {to} is switched to all the same");
            session.reporter.on(Event::Warning(&text));
        }
    }
    warn_of_clone_left(session, &observed, routing.live.filter(|live| *live != to));
    let recorded = standing(session, &observed, command, (to, stack))
        .plan(&switched.plan)
        .replaces(releases::live(&routing).filter(|_| routing.live != Some(to)))
        // A rollback skips the tests by its nature.
        .forced(options.force && command == "switch");
    let watched = (options.bake, routing.live);
    (switched.steps, switched.bake) =
        carry_out(session, recorded, &switched.plan, to, watched).await?;
    // The switch is done, whether the figure is to be had or not.
    if let Ok(Some(status)) = state::proxy_status(session, &observed).await {
        switched.draining = status.draining.get(&to.other()).copied();
    }
    switched.took = begun.elapsed();
    Ok(switched)
}

/// The record of a color that stands.
pub(super) fn standing(
    session: &Session<'_>,
    observed: &Observed,
    command: &str,
    (color, stack): (Color, &Stack),
) -> Recorded {
    let names = &session.project.names;
    let containers = plan::of_color(observed, names, color.as_str()).into_iter();
    let image_ids = containers.filter_map(|found| {
        Some((found.label(labels::SERVICE)?.to_owned(), found.image_id.clone()))
    });
    Recorded::new(command)
        .release(color, &stack.release)
        .made_of(stack.revision.as_deref(), stack.images.clone())
        .image_ids(image_ids.collect())
        .clone(!plan::clones_of(observed, names, color).is_empty())
}

/// Moves traffic to a color by a plan: recorded, and watched where that is asked for, with the way back to what was live
/// `before`.
pub(super) async fn carry_out(
    session: &Session<'_>,
    recorded: Recorded,
    plan: &Plan,
    to: Color,
    (bake, before): (Option<Bake>, Option<Color>),
) -> Result<(BTreeMap<Id, Duration>, Option<Figures>), OpsError> {
    let done = history::recorded(session, recorded, async || {
        let (failure, color) = match session.execute(plan, Some(to)).await {
            Err(OpsError::Failed { failure, color }) => (failure, color),
            done => return done,
        };
        Err(match bake::exceeded(&failure, to) {
            Some(exceeded) => exceeded,
            None if is_live(session, to).await => OpsError::Unfinished { color: to, failure },
            None => OpsError::Failed { failure, color },
        })
    });
    bake::end(session, bake, to, before, done.await).await
}

/// Says what `--force` overrides.
pub(super) fn warn_if_forced(
    session: &Session<'_>,
    options: SwitchOptions,
    conflict: Option<OpsError>,
) {
    if let Some(conflict) = conflict.filter(|_| options.force) {
        let text = format!("{conflict}: it is switched to all the same");
        session.reporter.on(Event::Warning(&text));
    }
}

/// Says what a color that had the traffic keeps to itself.
fn warn_of_clone_left(session: &Session<'_>, observed: &Observed, from: Option<Color>) {
    let Some(from) = from else { return };
    let services = plan::clones_of(observed, &session.project.names, from);
    if !services.is_empty() {
        let text = format!(
            "what was written to the clone of {} stays in {from}, and goes with it: `envctl switch {from} --keep-clone` goes back to it",
            services.join(", ")
        );
        session.reporter.on(Event::Warning(&text));
    }
}

/// Whether the color gets the traffic now, as far as that can be told.
async fn is_live(session: &Session<'_>, color: Color) -> bool {
    let Ok(observed) = session.observe().await else { return false };
    state::routing(session, &observed).await.is_ok_and(|routing| routing.live == Some(color))
}

/// Goes on with a switch that was broken off, before something else is done; returns whether it did anything.
///
/// What fails is told and stops nothing: what comes next may be what mends it.
pub(super) async fn finish(
    session: &Session<'_>,
    observed: &Observed,
    routing: &Routing,
) -> Result<bool, OpsError> {
    let Some(live) = routing.live.filter(|live| routing.stacks.contains_key(live)) else {
        return Ok(false);
    };
    let plan = unfinished(session, observed, routing, live).await?;
    if plan.is_empty() {
        return Ok(false);
    }
    session.reporter.on(Event::Note(&format!("going on with the switch to {live}")));
    match session.execute(&plan, Some(live)).await {
        Err(OpsError::Failed { failure, .. }) => {
            let text = format!("the switch to {live} is not finished: {failure}");
            session.reporter.on(Event::Warning(&text));
            Ok(true)
        }
        done => done.map(|_| true),
    }
}

/// Plans a switch without doing it.
pub async fn plan_switch(session: &Session<'_>, options: SwitchOptions) -> Result<Plan, OpsError> {
    let observed = session.observe().await?;
    let routing = state::routing(session, &observed).await?;
    let to = options.color.unwrap_or_else(|| Session::idle(&routing));
    planned(session, &observed, &routing, to, options).await
}

/// What a switch to the live color left undone. A share of another one is no part of that.
pub(super) async fn unfinished(
    session: &Session<'_>,
    observed: &Observed,
    routing: &Routing,
    live: Color,
) -> Result<Plan, OpsError> {
    let alone = Routing { canary: None, ..routing.clone() };
    let options = SwitchOptions { force: true, ..SwitchOptions::default() };
    planned(session, observed, &alone, live, options).await
}

pub(super) async fn planned(
    session: &Session<'_>,
    observed: &Observed,
    routing: &Routing,
    to: Color,
    options: SwitchOptions,
) -> Result<Plan, OpsError> {
    let started = started_hooks(session, observed, to).await?;
    Ok(plan::switch(&input(session, observed, routing, &started, to, options))?)
}

pub(super) fn input<'a>(
    session: &'a Session<'_>,
    observed: &'a Observed,
    routing: &'a Routing,
    started: &'a BTreeMap<String, i64>,
    to: Color,
    options: SwitchOptions,
) -> Switch<'a> {
    Switch {
        names: &session.project.names,
        to,
        observed,
        routing,
        started,
        tested: !session.project.file.checks.is_empty(),
        force: options.force,
        keep_clone: options.keep_clone,
        wait: session.wait,
        bake: options.bake,
    }
}

/// When each hook of the color that runs after a switch was last started.
pub(super) async fn started_hooks(
    session: &Session<'_>,
    observed: &Observed,
    color: Color,
) -> Result<BTreeMap<String, i64>, OpsError> {
    let mut started = BTreeMap::new();
    for hook in plan::hooks_of(observed, &session.project.names, color, When::AfterSwitch) {
        let seen = session.engine.inspect(&hook.name).await?;
        started.extend(seen.and_then(|seen| Some((hook.name.clone(), seen.started?))));
    }
    Ok(started)
}
