//! `down`: both colors go, the proxy, and the images that nothing needs any more. The durable layer stays.

use std::time::Duration;

use super::{
    Action, Conflict, Id, Plan,
    cleanup::{self, Made, busy},
    conflict,
    deploy::of_color,
    hooks::{Moment, not_done},
};
use crate::model::{Color, Container, Names, Observed, Routing, When, labels};

/// What taking the app away is planned from.
#[derive(Debug)]
pub struct Down<'a> {
    pub names: &'a Names,
    pub observed: &'a Observed,
    pub routing: &'a Routing,
    pub made: Made<'a>,
    /// How long a hook may take that has no limit of its own; none: no hook runs.
    pub hooks: Option<Duration>,
    /// The environment's name was typed: what is live goes too.
    pub confirmed: bool,
}

/// The color that serves: it gets the traffic, and something of it runs.
pub fn serving(names: &Names, observed: &Observed, routing: &Routing) -> Option<Color> {
    let runs = |color: &Color| {
        of_color(observed, names, color.as_str()).into_iter().any(Container::is_running)
    };
    routing.live.filter(runs)
}

/// Plans the removal of the app: workers stop first, then the proxy, so that each color's end finds it without traffic.
/// The proxy's state stays, with the history.
pub fn down(input: &Down<'_>) -> Result<Plan, Conflict> {
    let Down { names, observed, routing, .. } = *input;
    if let Some(color) = serving(names, observed, routing).filter(|_| !input.confirmed) {
        return Err(Conflict::Serves { color });
    }
    let reason = "the app goes";
    let mut plan = Plan::default();
    let (mut quiet, mut stopped): (Vec<Id>, Vec<&str>) = (vec![], vec![]);
    let both = Color::ALL.into_iter();
    for found in both.flat_map(|color| of_color(observed, names, color.as_str())) {
        if found.label(labels::ROLE) == Some("worker") && found.is_running() {
            let (stop, title) = (Action::Stop(found.name.clone()), format!("stop {}", found.name));
            quiet.push(plan.push([], stop, title, reason));
            stopped.push(&found.name);
        }
    }
    let ours = |labels| conflict::is_ours(labels, names, "proxy");
    let proxy = observed.container(&names.proxy()).filter(|proxy| ours(&proxy.labels));
    if let Some(proxy) = proxy.filter(|proxy| proxy.is_running()) {
        let stop = Action::Stop(proxy.name.clone());
        let why = "its requests end first";
        quiet = vec![plan.push(quiet, stop, "stop the proxy", why)];
    }
    let mut going = cleanup::Going::new();
    for color in Color::ALL {
        let mut ready = quiet.clone();
        // One that never was whole has nothing that its hooks could end.
        if let Some(wait) = input.hooks.filter(|_| routing.stacks.contains_key(&color)) {
            let (when, failure) = (When::BeforeCleanup, "its failure keeps the color");
            let moment = Moment { names, observed, color, when, wait, failure };
            ready = moment.run(&mut plan, ready, not_done);
        }
        let before = (&ready[..], &stopped[..]);
        going.extend(cleanup::stack(&mut plan, names, observed, color, before, reason));
    }
    if let Some(proxy) = proxy {
        // Last: where a color is kept, so is what the proxy knows of it.
        let after: Vec<Id> = quiet.into_iter().chain(going.iter().map(|(_, id)| *id)).collect();
        let title = format!("remove container {}", proxy.name);
        let id = plan.push(after, Action::Remove(proxy.name.clone()), title, reason);
        going.push((proxy, id));
    }
    let network = names.proxy_network();
    if observed.network(&network).is_some_and(|found| ours(&found.labels)) {
        let goes = |it: &Container| going.iter().any(|(container, _)| container.name == it.name);
        let joined = |it: &&Container| it.networks.contains(&network);
        // A durable service that a route led to stays on it.
        if observed.containers.iter().filter(joined).all(goes) {
            plan.push(
                going.iter().map(|(_, id)| *id),
                Action::RemoveNetwork(network.clone()),
                format!("remove network {network}"),
                reason,
            );
        }
    }
    if busy(names, observed).is_none() {
        // Where a color is kept, so are the images of the releases that it can go back to.
        let gone: Vec<Id> = going.iter().map(|(_, id)| *id).collect();
        cleanup::images(&mut plan, names, observed, &input.made, &going, &gone);
    }
    Ok(plan)
}
