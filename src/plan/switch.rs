//! `switch` and `rollback`: the traffic moves to a color that stands.

use super::{Action, Conflict, Id, Plan, Until, Wait, deploy::of_color};
use crate::model::{Color, Container, Names, Observed, Routing, State, control::Request, labels};

/// What a switch is planned from: what the engine and the proxy show, no files.
#[derive(Debug)]
pub struct Switch<'a> {
    pub names: &'a Names,
    pub to: Color,
    pub observed: &'a Observed,
    pub routing: &'a Routing,
    /// Whether the project has checks, which the color has to have passed.
    pub tested: bool,
    /// Switch whatever the checks said.
    pub force: bool,
    /// The longest that a hook may take.
    pub wait: std::time::Duration,
}

/// Plans a switch. When the color is live already, only workers are left to move, which an earlier switch that was broken
/// off may not have done. Hooks run before it, with the old color still live. The old
/// color's workers stop after it, and only then the new one's start: never two colors' workers at once.
pub fn switch(input: &Switch<'_>) -> Result<Plan, Conflict> {
    let Switch { names, to, observed, routing, .. } = *input;
    let stack = routing.stacks.get(&to).ok_or(Conflict::NoRelease { color: to })?;
    let mut plan = Plan::default();
    let already = routing.live == Some(to);
    if !already && input.tested && !input.force {
        let release = stack.release.clone();
        match stack.tests.as_ref().and_then(|tests| tests["passed"].as_bool()) {
            Some(true) => {}
            Some(false) => return Err(Conflict::TestsFailed { color: to, release }),
            None => return Err(Conflict::NotTested { color: to, release }),
        }
    }
    let of_role = |color: Color, role: &str| -> Vec<&Container> {
        let mut all = of_color(observed, names, color.as_str());
        all.retain(|container| container.label(labels::ROLE) == Some(role));
        all
    };
    let service = |container: &Container, color: Color| {
        format!("{color}/{}", container.label(labels::SERVICE).unwrap_or(&container.name))
    };

    let mut after: Vec<Id> = vec![];
    if observed.container(&names.proxy()).is_some_and(|proxy| !proxy.is_running()) {
        let start = Action::Start(names.proxy());
        after.push(plan.push([], start, "start the proxy", "it is stopped"));
    }
    // Once for each release: a color that served before takes the traffic back at once.
    let to_run = |hook: &&Container| !already && hook.state != State::Exited { code: 0 };
    for hook in of_role(to, "hook").into_iter().filter(to_run) {
        let shown = service(hook, to);
        let start = plan.push(
            after,
            Action::Start(hook.name.clone()),
            format!("run {shown}"),
            "hooks.before_switch",
        );
        let wait = Wait {
            container: hook.name.clone(),
            service: shown.clone(),
            until: Until::Completed,
            limit: input.wait,
        };
        after = vec![plan.push(
            [start],
            Action::Await(Box::new(wait)),
            format!("wait until {shown} has ended well"),
            "its failure stops the switch",
        )];
    }
    let from = routing.live.map_or_else(|| "nothing".to_owned(), |live| live.to_string());
    let switched = (!already).then(|| {
        plan.push(
            after,
            Action::Tell(Box::new(Request::Switch { to, health: true })),
            format!("switch all routes from {from} to {to}"),
            format!("release {}", stack.release),
        )
    });
    let mut stopped: Vec<Id> = switched.into_iter().collect();
    for worker in of_role(to.other(), "worker").into_iter().filter(|worker| worker.is_running()) {
        stopped.push(plan.push(
            switched,
            Action::Stop(worker.name.clone()),
            format!("stop {}", service(worker, to.other())),
            format!("{} is no longer live", to.other()),
        ));
    }
    for worker in of_role(to, "worker").into_iter().filter(|worker| !worker.is_running()) {
        let shown = service(worker, to);
        let start = plan.push(
            stopped.clone(),
            Action::Start(worker.name.clone()),
            format!("start {shown}"),
            format!("{to} is live"),
        );
        let wait = Wait {
            container: worker.name.clone(),
            service: shown.clone(),
            until: Until::Healthy,
            limit: input.wait,
        };
        plan.push(
            [start],
            Action::Await(Box::new(wait)),
            format!("wait until {shown} is healthy"),
            "it works from here on",
        );
    }
    Ok(plan)
}
