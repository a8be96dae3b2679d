//! `cleanup`: the idle color goes, and the images that nothing needs any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Action, Conflict, Id, Plan, conflict,
    deploy::{drained_within, of_color},
    hooks::{Moment, not_done},
};
use crate::model::{
    Color, Container, Image, Names, Observed, Routing, When, control::Request, labels,
};

/// What a cleanup is planned from.
#[derive(Debug)]
pub struct Cleanup<'a> {
    pub names: &'a Names,
    pub color: Color,
    pub observed: &'a Observed,
    pub routing: &'a Routing,
    pub made: Made<'a>,
    pub drain: Duration,
    /// How long a hook may take that has no limit of its own; none: no hook runs.
    pub hooks: Option<Duration>,
}

/// Another environment of the project where something is under way: it may be about to use any image of the project.
pub fn busy<'a>(names: &Names, observed: &'a Observed) -> Option<&'a str> {
    observed.containers.iter().find_map(|found| {
        let other = found.label(labels::ENVIRONMENT).filter(|name| *name != names.environment)?;
        let is_lock = found.label(labels::LAYER) == Some("lock");
        (is_lock && found.label(labels::PROJECT) == Some(&names.project)).then_some(other)
    })
}

/// Plans the removal of a color's stack and of built images that no container and no retained release uses; the live color is
/// refused. What goes depends only on what holds it and on the color's own end (drained, hooks done), so that no other failure
/// keeps anything from going.
pub fn cleanup(input: &Cleanup<'_>) -> Result<Plan, Conflict> {
    let Cleanup { names, color, observed, routing, .. } = *input;
    if routing.live == Some(color) {
        return Err(Conflict::Live { color });
    }
    if let Some(weight) = routing.share(color) {
        return Err(Conflict::TakesShare { color, weight });
    }
    let mut plan = Plan::default();
    let reason = format!("{color} is idle");
    let mut after: Vec<Id> = vec![];
    let proxy_runs = observed.container(&names.proxy()).is_some_and(Container::is_running);
    if proxy_runs && routing.stacks.contains_key(&color) {
        let wait_ms = drained_within(input.drain);
        let drained = plan.push(
            [],
            Action::Tell(Box::new(Request::Drained { color, wait_ms })),
            format!("wait until nothing is open on {color}"),
            "its connections end in peace",
        );
        let mut ready = vec![drained];
        if let Some(wait) = input.hooks {
            let (when, failure) = (When::BeforeCleanup, "its failure stops the cleanup");
            let moment = Moment { names, observed, color, when, wait, failure };
            ready = moment.run(&mut plan, ready, not_done);
        }
        after.push(plan.push(
            ready,
            Action::Tell(Box::new(Request::Forget { color })),
            format!("take {color} off the proxy"),
            &reason,
        ));
    }
    let going = stack(&mut plan, names, observed, color, (&after, &[]), &reason);
    if busy(names, observed).is_none() {
        images(&mut plan, names, observed, &input.made, &going, &after);
    }
    Ok(plan)
}

/// The containers that go, each with the step that removes it.
pub(super) type Going<'a> = Vec<(&'a Container, Id)>;

/// The steps that remove those of the containers that keep a thing from going.
fn held(going: &Going<'_>, holds: impl Fn(&Container) -> bool) -> Vec<Id> {
    going.iter().filter(|(container, _)| holds(container)).map(|(_, id)| *id).collect()
}

/// Adds the removal of a color's containers, networks and volumes. `stopped` is what an earlier step stops.
pub(super) fn stack<'a>(
    plan: &mut Plan,
    names: &Names,
    observed: &'a Observed,
    color: Color,
    (after, stopped): (&[Id], &[&str]),
    reason: &str,
) -> Going<'a> {
    let mut going = Going::new();
    for found in of_color(observed, names, color.as_str()) {
        let mut before = after.to_vec();
        if found.is_running() && !stopped.contains(&found.name.as_str()) {
            let (stop, title) = (Action::Stop(found.name.clone()), format!("stop {}", found.name));
            before = vec![plan.push(before, stop, title, reason)];
        }
        let (remove, title) =
            (Action::Remove(found.name.clone()), format!("remove container {}", found.name));
        going.push((found, plan.push(before, remove, title, reason)));
    }
    let of_color_labels = |found: &BTreeMap<String, String>| {
        conflict::is_ours(found, names, "app")
            && found.get(labels::COLOR).map(String::as_str) == Some(color.as_str())
    };
    let mut networks: Vec<&String> = observed
        .networks
        .iter()
        .filter(|network| of_color_labels(&network.labels))
        .map(|network| &network.name)
        .collect();
    networks.sort_unstable();
    for name in networks {
        let held = held(&going, |container| container.networks.contains(name));
        plan.push(
            after.iter().copied().chain(held),
            Action::RemoveNetwork(name.clone()),
            format!("remove network {name}"),
            reason,
        );
    }
    let mut volumes: Vec<&String> = observed
        .volumes
        .iter()
        .filter(|volume| of_color_labels(&volume.labels))
        .map(|volume| &volume.name)
        .collect();
    volumes.sort_unstable();
    for name in volumes {
        let held = held(&going, |container| container.volumes.contains(name));
        plan.push(
            after.iter().copied().chain(held),
            Action::RemoveVolume(name.clone()),
            format!("remove volume {name}"),
            reason,
        );
    }
    going
}

/// The images that envctl made, and which of them stay.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    pub images: &'a [Image],
    /// The releases whose images stay.
    pub retained: &'a BTreeSet<String>,
    /// The names that keep images of other releases.
    pub let_go: &'a BTreeSet<String>,
}

/// Adds the removal of what is neither used nor retained, in any environment of the project.
pub(super) fn images(
    plan: &mut Plan,
    names: &Names,
    observed: &Observed,
    made: &Made<'_>,
    going: &Going<'_>,
    after: &[Id],
) {
    let of = |image: &Image, container: &Container| {
        container.image_id == image.id || image.tags.contains(&container.image)
    };
    let used = |image: &Image| {
        let goes = |found: &Container| going.iter().any(|(container, _)| container.id == found.id);
        observed.containers.iter().any(|found| !goes(found) && of(image, found))
    };
    let retained = |image: &Image| {
        image.tags.iter().any(|tag| match names.kept_for(tag) {
            Some((true, release)) => made.retained.contains(release),
            Some((false, _)) => true,
            None => false,
        })
    };
    let mut unused: BTreeMap<&String, Vec<Id>> =
        made.let_go.iter().map(|tag| (tag, vec![])).collect();
    for image in made.images.iter().filter(|image| !used(image) && !retained(image)) {
        let held = held(going, |container| of(image, container));
        unused.extend(image.tags.iter().map(|tag| (tag, held.clone())));
    }
    for (tag, held) in unused {
        let reason = match names.kept_for(tag) {
            Some((_, release)) => format!("release {release} is no longer retained"),
            None => "no container and no retained release uses it".to_owned(),
        };
        let title = format!("remove image {tag}");
        let held = after.iter().copied().chain(held);
        plan.push(held, Action::RemoveImage(tag.clone()), title, reason);
    }
}
