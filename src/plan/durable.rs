//! `durable up`: what is missing is made, what is stopped is started, what runs is left alone. No plan of this module
//! removes a volume.

use std::collections::BTreeMap;

use super::{
    Action, Conflict, Id, Plan, conflict,
    desired::{Durable, Service, is_of},
    stack::{self, Before, Need},
};
use crate::model::{Container, Health, Image, Names, Observed, State};

/// A durable service whose definition is another than that of its container.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    pub service: String,
    pub container: String,
}

/// Plans `durable up`. Changed definitions come back as differences, and are applied with `apply` only: by a new
/// container on the same volumes, its image at hand before the old one is stopped.
pub fn durable_up(
    names: &Names,
    desired: &Durable,
    observed: &Observed,
    images: &BTreeMap<String, Image>,
    apply: bool,
) -> Result<(Plan, Vec<Difference>), Conflict> {
    let mut plan = Plan::default();
    let mut differences = vec![];
    let mut before = Before::default();
    conflict::external(observed, names, &desired.external)?;

    let mut missing = vec![];
    for network in &desired.networks {
        if conflict::own_network(observed, names, "durable", &network.name)?.is_none() {
            missing.push(network);
        }
    }
    let mut needs: BTreeMap<&str, (Need, String)> = BTreeMap::new();
    for service in &desired.services {
        let spec = &service.replicas[0];
        let found = conflict::own_container(observed, names, "durable", &spec.name)?;
        let need = match found {
            None => (Need::Create, "not found".to_owned()),
            Some(found) if changed(service, found) && apply => {
                (Need::Create, "its definition changed".to_owned())
            }
            Some(found)
                if spec.networks.iter().any(|a| missing.iter().any(|m| m.name == a.network)) =>
            {
                if changed(service, found) {
                    return Err(Conflict::NeedsApply { service: service.key.clone() });
                }
                (Need::Create, "its network was gone".to_owned())
            }
            Some(found) if matches!(found.state, State::Dead | State::Removing) => {
                (Need::Create, "its removal was broken off".to_owned())
            }
            Some(found) => {
                differences.extend(difference(service, found, apply));
                as_found(service, found)
            }
        };
        // Also where it runs: it is not stopped for a definition that cannot hold.
        if matches!(need.0, Need::Create | Need::Start) {
            conflict::ports(observed, &spec.name, &spec.ports)?;
        }
        needs.insert(&service.key, need);
    }

    let made =
        desired.services.iter().filter(|service| needs[service.key.as_str()].0 == Need::Create);
    before.images = stack::images(&mut plan, made.clone(), images);
    for service in made {
        let spec = &service.replicas[0];
        if observed.container(&spec.name).is_none() {
            continue;
        }
        // The image is at hand before the old container stops.
        let after = before.images.get(&spec.image).copied();
        let reason = needs[service.key.as_str()].1.clone();
        let stop = plan.push(
            after,
            Action::Stop(spec.name.clone()),
            format!("stop {}", service.key),
            reason.clone(),
        );
        let remove = plan.push(
            [stop],
            Action::RemoveDurable(spec.name.clone()),
            format!("remove the container of {} (its volumes stay)", service.key),
            reason,
        );
        before.removed.insert(spec.name.clone(), remove);
    }
    for service in desired.services.iter().filter(|s| needs[s.key.as_str()].0 == Need::Start) {
        let spec = &service.replicas[0];
        if observed.container(&spec.name).is_some_and(|found| found.state == State::Paused) {
            let stop = plan.push(
                [],
                Action::Stop(spec.name.clone()),
                format!("stop {}", service.key),
                "it is paused",
            );
            before.removed.insert(spec.name.clone(), stop);
        }
    }
    // After the removals: a container that was made on the old network would never start on a new one of the same name.
    for network in missing {
        let removed: Vec<Id> = before.removed.values().copied().collect();
        let made = plan.push(
            removed,
            Action::CreateNetwork(Box::new(network.clone())),
            format!("create network {}", network.name),
            "not found",
        );
        before.networks.insert(network.name.clone(), made);
    }
    for volume in &desired.volumes {
        if conflict::own_volume(observed, names, "durable", &volume.name)?.is_none() {
            let made = plan.push(
                [],
                Action::CreateVolume(Box::new(volume.clone())),
                format!("create volume {}", volume.name),
                "not found",
            );
            before.volumes.insert(volume.name.clone(), made);
        }
    }
    stack::services(&mut plan, &desired.services, "", &before, &|service| {
        needs[service.key.as_str()].clone()
    });
    Ok((plan, differences))
}

fn changed(service: &Service, found: &Container) -> bool {
    !is_of(found, &service.replicas[0])
}

fn difference(service: &Service, found: &Container, apply: bool) -> Option<Difference> {
    (changed(service, found) && !apply)
        .then(|| Difference { service: service.key.clone(), container: found.name.clone() })
}

fn as_found(service: &Service, found: &Container) -> (Need, String) {
    match found.state {
        State::Running { health: Some(Health::Starting | Health::Unhealthy) }
        | State::Restarting => (Need::Wait, String::new()),
        State::Running { .. } => (Need::Nothing, String::new()),
        State::Created => (Need::Start, "never started".to_owned()),
        State::Paused => (Need::Start, "it is paused".to_owned()),
        State::Exited { .. } | State::Dead | State::Removing => {
            (Need::Start, format!("{} is stopped", service.key))
        }
    }
}
