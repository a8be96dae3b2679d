//! A color's own copy of a database: filled when the color is deployed, and gone with it. No step of it stops, changes or
//! removes anything of the durable layer.

use std::collections::BTreeMap;

use super::{
    Action, By, Copied, Deploy, Id, Plan, conflict,
    deploy::of_color,
    desired::{App, Role},
    restore::fill,
    stack::Before,
};
use crate::model::{Color, Names, Observed, labels};

type Labels = BTreeMap<String, String>;

/// Whether these are the labels of a copy of the color's, or of its network.
fn is_clone(found: &Labels, names: &Names, color: Color) -> bool {
    conflict::is_ours(found, names, "app")
        && found.get(labels::COLOR).map(String::as_str) == Some(color.as_str())
        && found.get(labels::ROLE).map(String::as_str) == Role::Clone.label()
}

/// The services that the color has copies of, sorted; one that lost its container is still there.
pub fn clones_of(observed: &Observed, names: &Names, color: Color) -> Vec<String> {
    let containers = of_color(observed, names, color.as_str()).into_iter().map(|it| &it.labels);
    let mut all: Vec<String> = containers
        .chain(observed.volumes.iter().map(|volume| &volume.labels))
        .filter(|found| is_clone(found, names, color))
        .filter_map(|found| found.get(labels::SERVICE).cloned())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Removes copies of the color's last release that its new one has not.
pub(super) fn remove_left(plan: &mut Plan, input: &Deploy<'_>, removed: &BTreeMap<String, Id>) {
    let Deploy { names, app, observed, .. } = *input;
    let left = |found: &Labels| is_clone(found, names, app.color);
    let volumes = observed.volumes.iter().filter(|volume| {
        left(&volume.labels) && app.volumes.iter().all(|own| own.name != volume.name)
    });
    let networks = observed.networks.iter().filter(|network| {
        left(&network.labels) && app.networks.iter().all(|own| own.name != network.name)
    });
    let mut all: Vec<(Action, String)> = volumes
        .map(|it| (Action::RemoveVolume(it.name.clone()), format!("remove volume {}", it.name)))
        .chain(networks.map(|it| {
            (Action::RemoveNetwork(it.name.clone()), format!("remove network {}", it.name))
        }))
        .collect();
    all.sort_by(|a, b| a.1.cmp(&b.1));
    for (action, title) in all {
        plan.push(removed.values().copied(), action, title, "of the color's last release");
    }
}

/// Fills the copies once the images are there; their servers are made on them after that.
pub(super) fn fill_all(plan: &mut Plan, app: &App, before: &mut Before) {
    for clone in &app.clones {
        let Some(service) = app.services.iter().find(|service| service.key == clone.key) else {
            continue;
        };
        let base = &service.replicas[0];
        let copied = Copied::Server { container: clone.from.clone(), by: By::Files };
        let (from, told) = copied.source(clone.kind);
        let after: Vec<Id> = before
            .images
            .values()
            .chain(before.volumes.get(&clone.volume))
            .chain(before.removed.get(&base.name))
            .copied()
            .collect();
        let filled = fill(plan, after, base, clone.kind, &clone.key, (from, &told));
        let remove = Action::Remove(base.name.clone());
        let title = format!("remove {}", base.name);
        let removed = plan.push([filled], remove, title, "it is full");
        before.volumes.insert(clone.volume.clone(), removed);
    }
}
