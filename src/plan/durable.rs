//! `durable up`: what is missing is made, what is stopped is started, what runs is left alone. No plan of this module
//! removes a volume.

use std::collections::BTreeMap;

use super::{
    Action, Conflict, Plan, conflict,
    desired::{Durable, Service},
    stack::{self, Before, Need},
};
use crate::model::{Container, Health, Image, Names, Observed, State, labels};

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

    let mut new_networks = vec![];
    for network in &desired.networks {
        if conflict::own_network(observed, names, "durable", &network.name)?.is_none() {
            new_networks.push(network.name.as_str());
            before.places.push(plan.push(
                [],
                Action::CreateNetwork(Box::new(network.clone())),
                format!("create network {}", network.name),
                "not found",
            ));
        }
    }
    for volume in &desired.volumes {
        if conflict::own_volume(observed, names, "durable", &volume.name)?.is_none() {
            before.places.push(plan.push(
                [],
                Action::CreateVolume(Box::new(volume.clone())),
                format!("create volume {}", volume.name),
                "not found",
            ));
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
                if spec.networks.iter().any(|a| new_networks.contains(&a.network.as_str())) =>
            {
                differences.extend(difference(service, found, apply));
                (Need::Create, "its network was gone".to_owned())
            }
            Some(found) => {
                differences.extend(difference(service, found, apply));
                as_found(service, found)
            }
        };
        if matches!(need.0, Need::Create | Need::Start)
            && found.is_none_or(|found| !found.is_running())
        {
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
            Action::Remove(spec.name.clone()),
            format!("remove the container of {} (its volumes stay)", service.key),
            reason,
        );
        before.removed.insert(spec.name.clone(), remove);
    }
    stack::services(&mut plan, &desired.services, "", &before, &|service| {
        needs[service.key.as_str()].clone()
    });
    Ok((plan, differences))
}

fn changed(service: &Service, found: &Container) -> bool {
    found.label(labels::SPEC_HASH) != Some(&service.replicas[0].hash())
}

fn difference(service: &Service, found: &Container, apply: bool) -> Option<Difference> {
    (changed(service, found) && !apply)
        .then(|| Difference { service: service.key.clone(), container: found.name.clone() })
}

fn as_found(service: &Service, found: &Container) -> (Need, String) {
    match found.state {
        State::Running { health: Some(Health::Starting | Health::Unhealthy) }
        | State::Restarting => (Need::Wait, String::new()),
        State::Running { .. } | State::Removing => (Need::Nothing, String::new()),
        State::Created => (Need::Start, "never started".to_owned()),
        State::Paused | State::Exited { .. } | State::Dead => {
            (Need::Start, format!("{} is stopped", service.key))
        }
    }
}
