//! `durable down`: stops and removes the containers and networks of the durable layer. The data stays, unless it was asked
//! for by name.

use super::{Action, Conflict, Plan, conflict};
use crate::model::{Container, Names, Observed};

/// Plans `durable down`; `volumes` only after the environment's name was typed. A volume that another's container holds
/// would not go: it is refused before anything is stopped.
pub fn durable_down(names: &Names, observed: &Observed, volumes: bool) -> Result<Plan, Conflict> {
    let mut plan = Plan::default();
    let durable = |found: &std::collections::BTreeMap<String, String>| {
        conflict::is_ours(found, names, "durable")
    };
    let mut containers: Vec<&Container> =
        observed.containers.iter().filter(|container| durable(&container.labels)).collect();
    // What looked at data and was killed holds the volume.
    let left = |found: &&Container| conflict::is_ours(&found.labels, names, "check");
    containers.extend(observed.containers.iter().filter(left));
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut named: Vec<&str> = observed
        .volumes
        .iter()
        .filter(|volume| volumes && durable(&volume.labels))
        .map(|volume| volume.name.as_str())
        .collect();
    named.sort_unstable();
    let mut others: Vec<&Container> = observed
        .containers
        .iter()
        .filter(|other| containers.iter().all(|going| going.name != other.name))
        .collect();
    others.sort_by(|a, b| a.name.cmp(&b.name));
    for name in &named {
        if let Some(other) = others.iter().find(|it| it.volumes.iter().any(|held| held == name)) {
            let (volume, holder) = ((*name).to_owned(), other.name.clone());
            return Err(Conflict::VolumeHeld { volume, holder });
        }
    }
    let mut removed = vec![];
    for container in containers {
        let stop = container.is_running().then(|| {
            plan.push(
                [],
                Action::Stop(container.name.clone()),
                format!("stop {}", container.name),
                "durable down",
            )
        });
        removed.push(plan.push(
            stop,
            Action::RemoveDurable(container.name.clone()),
            format!("remove container {}", container.name),
            "its data is in volumes",
        ));
    }
    // `durable up` makes that of the proxy too, where a route leads to a durable service.
    let mut networks: Vec<&str> = observed
        .networks
        .iter()
        .filter(|it| durable(&it.labels) || conflict::is_ours(&it.labels, names, "proxy"))
        .map(|network| network.name.as_str())
        .collect();
    networks.sort_unstable();
    for name in networks {
        let others = observed
            .containers
            .iter()
            .any(|other| !durable(&other.labels) && other.networks.iter().any(|net| net == name));
        if !others {
            plan.push(
                removed.clone(),
                Action::RemoveNetwork(name.to_owned()),
                format!("remove network {name}"),
                "nothing uses it any more",
            );
        }
    }
    for name in named {
        plan.push(
            removed.clone(),
            Action::RemoveVolume(name.to_owned()),
            format!("remove volume {name}"),
            "asked for by name",
        );
    }
    Ok(plan)
}
