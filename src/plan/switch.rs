//! `switch` and `rollback`: the traffic moves to a color that stands.

use std::collections::BTreeMap;

use super::{
    Action, Bake, Conflict, Id, Plan, Until, Wait,
    clone::clones_of,
    conflict,
    deploy::of_color,
    hooks::{Moment, not_done},
};
use crate::model::{
    Color, Container, Names, Observed, Routing, Stack, State, When, control::Request, labels,
};

/// What a switch is planned from: what the engine and the proxy show, no files.
#[derive(Debug)]
pub struct Switch<'a> {
    pub names: &'a Names,
    pub to: Color,
    pub observed: &'a Observed,
    pub routing: &'a Routing,
    /// When the hooks that run after a switch were last started, by container: milliseconds since 1970.
    pub started: &'a BTreeMap<String, i64>,
    /// Whether the project has checks, which the color has to have passed.
    pub tested: bool,
    /// Switch whatever the checks said.
    pub force: bool,
    /// Switch to a color that has a clone of the database.
    pub keep_clone: bool,
    /// The longest that a hook may take.
    pub wait: std::time::Duration,
    /// How the color is watched once it gets traffic.
    pub bake: Option<Bake>,
}

/// Plans a switch. When the color is live already, only what an earlier switch that was broken off has not done is left:
/// workers to move, hooks to run. The first hooks run before it, with the old color still live. The old color's workers
/// stop after it, and only then the new one's start: never two colors' workers at once. Those of the new one that run
/// already are stopped and started. The last hooks run at the end.
pub fn switch(input: &Switch<'_>) -> Result<Plan, Conflict> {
    let Switch { names, to, observed, routing, wait, .. } = *input;
    let stack = routing.stacks.get(&to).ok_or(Conflict::NoRelease { color: to })?;
    let mut plan = Plan::default();
    let already = routing.live == Some(to);
    let clones = clones_of(observed, names, to);
    if !already && !input.keep_clone && !clones.is_empty() {
        return Err(Conflict::HasClone { color: to, services: clones });
    }
    let mut after = ready(&mut plan, input, stack, !already)?;
    let bake = input.bake.filter(|_| !already);
    if let Some(bake) = bake {
        after = bake.begin(&mut plan, to, after);
    }
    let workers = |color: Color| -> Vec<&Container> {
        let mut all = of_color(observed, names, color.as_str());
        all.retain(|container| container.label(labels::ROLE) == Some("worker"));
        all
    };
    let from = routing.live.map_or_else(|| "nothing".to_owned(), |live| live.to_string());
    let title = match &routing.canary {
        _ if !already => Some(format!("switch all routes from {from} to {to}")),
        Some(canary) => {
            Some(format!("take {} % of new clients back from {}", canary.weight, canary.to))
        }
        None => None,
    };
    let switched = title.map(|title| {
        // What gets most of the traffic already is not to be better than it is to get the rest.
        let switch = Action::Tell(Box::new(Request::Switch { to, health: !already }));
        plan.push(after, switch, title, format!("release {}", stack.release))
    });
    if let (Some(bake), Some(switched)) = (bake, switched) {
        bake.watch(&mut plan, to, switched);
    }
    let mut last: Vec<Id> = switched.into_iter().collect();
    for worker in workers(to.other()).into_iter().filter(|worker| worker.is_running()) {
        last.push(plan.push(
            switched,
            Action::Stop(worker.name.clone()),
            format!("stop {}", service_of(worker, to.other())),
            format!("{} is no longer live", to.other()),
        ));
    }
    // One that runs while its color is idle is being stopped: by an earlier switch that was broken off, whose stop the
    // engine ends. A stop of its own waits for that.
    for worker in workers(to).into_iter().filter(|worker| !already && worker.is_running()) {
        last.push(plan.push(
            switched,
            Action::Stop(worker.name.clone()),
            format!("stop {}", service_of(worker, to)),
            "it may be stopping already",
        ));
    }
    let stopped = last.clone();
    for worker in workers(to).into_iter().filter(|worker| !already || !worker.is_running()) {
        let shown = service_of(worker, to);
        let start = plan.push(
            stopped.clone(),
            Action::Start(worker.name.clone()),
            format!("start {shown}"),
            format!("{to} is live"),
        );
        last.push(healthy(&mut plan, &[start], worker, to, wait, "it works from here on"));
    }
    let since: Option<jiff::Timestamp> =
        routing.switched.as_ref().and_then(|switched| switched.parse().ok());
    // One that ended well since the traffic moved has run for this switch.
    let has_run = |hook: &Container| {
        let started = input.started.get(&hook.name);
        !not_done(hook)
            && started.is_some_and(|at| since.is_none_or(|since| *at >= since.as_millisecond()))
    };
    let (when, failure) = (When::AfterSwitch, "its failure does not switch back");
    Moment { names, observed, color: to, when, wait, failure }
        .run(&mut plan, last, |hook| !already || !has_run(hook));
    Ok(plan)
}

/// Adds what goes before a color gets traffic that had none: its services run, the proxy runs, the first hooks ran. Refuses
/// one whose tests did not pass.
pub(super) fn ready(
    plan: &mut Plan,
    input: &Switch<'_>,
    stack: &Stack,
    new: bool,
) -> Result<Vec<Id>, Conflict> {
    let Switch { names, to, observed, wait, .. } = *input;
    if new && input.tested && !input.force {
        was_tested(to, stack)?;
    }
    let mut after: Vec<Id> = vec![];
    for container in ended(observed, names, to).into_iter().filter(|_| new && !input.force) {
        after.push(healthy(plan, &[], container, to, wait, "it does not run"));
    }
    let proxy = conflict::own_container(observed, names, "proxy", &names.proxy())?;
    if proxy.is_some_and(|proxy| !proxy.is_running()) {
        let start = Action::Start(names.proxy());
        after.push(plan.push([], start, "start the proxy", "it is stopped"));
    }
    // Once for each release: a color that served before takes the traffic back at once.
    let (when, failure) = (When::BeforeSwitch, "its failure stops the switch");
    let moment = Moment { names, observed, color: to, when, wait, failure };
    Ok(moment.run(plan, after, |hook| new && not_done(hook)))
}

/// Adds the wait for a container that is there.
fn healthy(
    plan: &mut Plan,
    after: &[Id],
    container: &Container,
    color: Color,
    limit: std::time::Duration,
    reason: &str,
) -> Id {
    let service = service_of(container, color);
    let title = format!("wait until {service} is healthy");
    let wait = Wait { container: container.name.clone(), service, until: Until::Healthy, limit };
    plan.push(after.iter().copied(), Action::Await(Box::new(wait)), title, reason)
}

/// `green/api`.
fn service_of(container: &Container, color: Color) -> String {
    format!("{color}/{}", container.label(labels::SERVICE).unwrap_or(&container.name))
}

/// The containers of services of which none runs any more, though all of their color is to serve.
pub fn ended<'a>(observed: &'a Observed, names: &Names, color: Color) -> Vec<&'a Container> {
    let mut all = of_color(observed, names, color.as_str());
    all.retain(|container| container.label(labels::ROLE).is_none());
    let runs = |container: &Container| matches!(container.state, State::Running { .. });
    let ended = |container: &&&Container| {
        let same =
            |other: &&&Container| other.label(labels::SERVICE) == container.label(labels::SERVICE);
        container.state != State::Created && !all.iter().filter(same).any(|other| runs(other))
    };
    all.iter().filter(ended).copied().collect()
}

/// A result is kept with the release that it is of: a new one has none.
fn was_tested(color: Color, stack: &Stack) -> Result<(), Conflict> {
    let release = stack.release.clone();
    match stack.tests.as_ref().and_then(|tests| tests["passed"].as_bool()) {
        Some(true) => Ok(()),
        Some(false) => Err(Conflict::TestsFailed { color, release }),
        None => Err(Conflict::NotTested { color, release }),
    }
}
