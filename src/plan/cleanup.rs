//! `cleanup`: the idle color goes, and the images that nothing needs any more.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Action, Conflict, Id, Plan, conflict,
    deploy::{drained_within, of_color},
    hooks::{Moment, not_done},
};
use crate::model::{Color, Image, Names, Observed, Routing, When, control::Request, labels};

/// Plans the removal of a color's stack and of built images that no container uses; the live color is refused.
pub fn cleanup(
    names: &Names,
    color: Color,
    observed: &Observed,
    routing: &Routing,
    images: &[Image],
    drain: Duration,
    // How long a hook may take that has no limit of its own; none: no hook runs.
    hooks: Option<Duration>,
) -> Result<Plan, Conflict> {
    if routing.live == Some(color) {
        return Err(Conflict::Live { color });
    }
    let mut plan = Plan::default();
    let reason = format!("{color} is idle");
    let mut after: Vec<Id> = vec![];
    let proxy_runs =
        observed.container(&names.proxy()).is_some_and(crate::model::Container::is_running);
    if proxy_runs && routing.stacks.contains_key(&color) {
        let wait_ms = drained_within(drain);
        let drained = plan.push(
            [],
            Action::Tell(Box::new(Request::Drained { color, wait_ms })),
            format!("wait until nothing is open on {color}"),
            "its connections end in peace",
        );
        let mut ready = vec![drained];
        if let Some(wait) = hooks {
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
    let containers = of_color(observed, names, color.as_str());
    let mut removed = after.clone();
    for container in &containers {
        let stop = container.is_running().then(|| {
            plan.push(
                after.clone(),
                Action::Stop(container.name.clone()),
                format!("stop {}", container.name),
                &reason,
            )
        });
        let before = stop.map_or_else(|| after.clone(), |stop| vec![stop]);
        removed.push(plan.push(
            before,
            Action::Remove(container.name.clone()),
            format!("remove container {}", container.name),
            &reason,
        ));
    }
    let of_color_labels = |found: &BTreeMap<String, String>| {
        conflict::is_ours(found, names, "app")
            && found.get(labels::COLOR).map(String::as_str) == Some(color.as_str())
    };
    let mut networks: Vec<&str> = observed
        .networks
        .iter()
        .filter(|network| of_color_labels(&network.labels))
        .map(|network| network.name.as_str())
        .collect();
    networks.sort_unstable();
    for name in networks {
        plan.push(
            removed.clone(),
            Action::RemoveNetwork(name.to_owned()),
            format!("remove network {name}"),
            &reason,
        );
    }
    let mut volumes: Vec<&str> = observed
        .volumes
        .iter()
        .filter(|volume| of_color_labels(&volume.labels))
        .map(|volume| volume.name.as_str())
        .collect();
    volumes.sort_unstable();
    for name in volumes {
        plan.push(
            removed.clone(),
            Action::RemoveVolume(name.to_owned()),
            format!("remove volume {name}"),
            &reason,
        );
    }
    let going: Vec<&str> = containers.iter().map(|container| container.id.as_str()).collect();
    let used = |image: &Image| {
        observed.containers.iter().any(|container| {
            !going.contains(&container.id.as_str())
                && (container.image_id == image.id || image.tags.contains(&container.image))
        })
    };
    let mut unused: Vec<&String> =
        images.iter().filter(|image| !used(image)).flat_map(|image| &image.tags).collect();
    unused.sort();
    for tag in unused {
        plan.push(
            removed.clone(),
            Action::RemoveImage(tag.clone()),
            format!("remove image {tag}"),
            "no container uses it",
        );
    }
    Ok(plan)
}
