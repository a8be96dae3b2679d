//! What stands in the way of a plan on the engine.

use super::desired::Service;
use crate::{
    database::Kind,
    model::{Container, Names, Observed, Publish, ServiceSpec, labels},
};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("the {kind} `{name}` is there and not envctl's own ({owner})")]
    NotOurs { kind: &'static str, name: String, owner: String },
    #[error("port {port} of {address} is held by the container `{holder}`")]
    PortHeld { address: String, port: u16, holder: String },
    #[error("port {port} of {address} is held by another program of this machine")]
    PortHeldByProgram { address: String, port: u16 },
    #[error("the {kind} `{name}`, which the files call external, is not there")]
    NoExternal { kind: &'static str, name: String },
    #[error("the volume `{volume}` is in use by the container `{holder}` ({owner})")]
    VolumeInUse { volume: String, holder: String, owner: String },
    #[error(
        "the volume `{volume}` is that of the container `{holder}`, a database whose service the files do not have any more"
    )]
    VolumeOfLeft { volume: String, holder: String },
    #[error("the container `{holder}` holds the volume `{volume}`, which so cannot be deleted")]
    VolumeHeld { volume: String, holder: String },
    #[error("the durable layer is not up: network `{network}` is not there")]
    NoDurable { network: String },
    #[error("the network of `{service}` is gone, and its definition changed since it was made")]
    NeedsApply { service: String },
    #[error("{color} is live")]
    Live { color: crate::model::Color },
    #[error("{color} is live, and the environment's name was not given")]
    Serves { color: crate::model::Color },
    #[error("{color} takes {weight} % of new clients")]
    TakesShare { color: crate::model::Color, weight: u8 },
    #[error("{color}/{service} runs once: it has no replicas")]
    RunsOnce { color: crate::model::Color, service: String },
    #[error(
        "the files of {color}/{service} changed since its release: its replicas cannot be made anew"
    )]
    Changed { color: crate::model::Color, service: String },
    #[error("{color} cannot have a clone of `{service}`: {reason}")]
    NotCloned { color: crate::model::Color, service: String, reason: String },
    #[error("{color} has a clone of {}: what was written since it was made is not in it, and what is written to it is in no other database", services.join(", "))]
    HasClone { color: crate::model::Color, services: Vec<String> },
    #[error("{color} is live, and what is live keeps its database")]
    LiveDatabase { color: crate::model::Color },
    #[error("{color} has a clone of {}: the clients would be on two databases", services.join(", "))]
    SharesClone { color: crate::model::Color, services: Vec<String> },
    #[error("{color} has no release")]
    NoRelease { color: crate::model::Color },
    #[error("the tests of {color} failed ({release})")]
    TestsFailed { color: crate::model::Color, release: String },
    #[error("{color} was not tested ({release})")]
    NotTested { color: crate::model::Color, release: String },
}

/// Whose a thing is, for people: by its labels.
fn owner(labels: &std::collections::BTreeMap<String, String>) -> String {
    match (labels.get(labels::PROJECT), labels.get(labels::compose::PROJECT)) {
        (Some(project), _) => {
            let or_none = |key: &str| labels.get(key).map_or("?", String::as_str);
            let (environment, layer) = (or_none(labels::ENVIRONMENT), or_none(labels::LAYER));
            format!("of the envctl project `{project}`, {environment}, {layer}")
        }
        (None, Some(project)) => format!("of the Compose project `{project}`"),
        (None, None) => "it carries no label of an owner".to_owned(),
    }
}

/// Whether a thing with these labels is of this environment's layer: a name of one layer's never leads to another's thing.
pub(super) fn is_ours(
    found: &std::collections::BTreeMap<String, String>,
    names: &Names,
    layer: &str,
) -> bool {
    found.get(labels::PROJECT) == Some(&names.project)
        && found.get(labels::ENVIRONMENT) == Some(&names.environment)
        && found.get(labels::LAYER).map(String::as_str) == Some(layer)
}

/// The container of that name, if it is there; one that is not of this layer of this environment is a conflict.
pub(super) fn own_container<'a>(
    observed: &'a Observed,
    names: &Names,
    layer: &str,
    name: &str,
) -> Result<Option<&'a Container>, Conflict> {
    match observed.container(name) {
        Some(found) if !is_ours(&found.labels, names, layer) => Err(Conflict::NotOurs {
            kind: "container",
            name: name.to_owned(),
            owner: owner(&found.labels),
        }),
        found => Ok(found),
    }
}

/// Whether a network of that name is there with labels of this environment.
pub(super) fn own_network<'a>(
    observed: &'a Observed,
    names: &Names,
    layer: &str,
    name: &str,
) -> Result<Option<&'a crate::model::Network>, Conflict> {
    match observed.network(name) {
        Some(found) if !is_ours(&found.labels, names, layer) => Err(Conflict::NotOurs {
            kind: "network",
            name: name.to_owned(),
            owner: owner(&found.labels),
        }),
        found => Ok(found),
    }
}

pub(super) fn own_volume<'a>(
    observed: &'a Observed,
    names: &Names,
    layer: &str,
    name: &str,
) -> Result<Option<&'a crate::model::Volume>, Conflict> {
    match observed.volume(name) {
        Some(found) if !is_ours(&found.labels, names, layer) => Err(Conflict::NotOurs {
            kind: "volume",
            name: name.to_owned(),
            owner: owner(&found.labels),
        }),
        found => Ok(found),
    }
}

/// Whether another running container holds one of the ports.
pub(super) fn ports(observed: &Observed, own: &str, ports: &[Publish]) -> Result<(), Conflict> {
    for publish in ports {
        let Some(port) = publish.host_port else { continue };
        let holder = observed.containers.iter().find(|container| {
            container.name != own
                && container.is_running()
                && container.ports.iter().any(|held| {
                    held.host_port == Some(port)
                        && held.protocol == publish.protocol
                        && (held.host_ip == publish.host_ip
                            || is_any(&held.host_ip)
                            || is_any(&publish.host_ip))
                })
        });
        if let Some(holder) = holder {
            return Err(Conflict::PortHeld {
                address: publish.host_ip.clone(),
                port,
                holder: holder.name.clone(),
            });
        }
    }
    Ok(())
}

/// Whether another database works on one of these volumes: two servers on the same files spoil them. A durable service of
/// another environment counts also while it is stopped; it is started sooner or later. So does a database of this one that
/// its files do not have any more, by this name.
pub(super) fn volumes(
    observed: &Observed,
    names: &Names,
    desired: &[Service],
    spec: &ServiceSpec,
) -> Result<(), Conflict> {
    let is_database = Kind::of_image(&spec.image).is_some();
    let was_left = |other: &Container| {
        is_database
            && is_ours(&other.labels, names, "durable")
            && desired.iter().all(|service| service.replicas[0].name != other.name)
            && Kind::of_container(other).is_some()
    };
    for volume in spec.volumes() {
        let holder = observed.containers.iter().find(|other| {
            other.name != spec.name
                && other.volumes.iter().any(|mounted| mounted == volume)
                && (was_left(other)
                    || !other.belongs_to(names)
                        && (other.label(labels::LAYER) == Some("durable")
                            || (other.is_running() && Kind::of_container(other).is_some())))
        });
        if let Some(holder) = holder {
            if was_left(holder) {
                let (volume, holder) = (volume.to_owned(), holder.name.clone());
                return Err(Conflict::VolumeOfLeft { volume, holder });
            }
            return Err(Conflict::VolumeInUse {
                volume: volume.to_owned(),
                holder: holder.name.clone(),
                owner: owner(&holder.labels),
            });
        }
    }
    Ok(())
}

fn is_any(address: &str) -> bool {
    matches!(address, "" | "0.0.0.0" | "::")
}

pub(super) fn external(
    observed: &Observed,
    names: &Names,
    external: &[(&'static str, String)],
) -> Result<(), Conflict> {
    for (kind, name) in external {
        let found = match *kind {
            "network" => observed.network(name).is_some(),
            _ => observed.volume(name).is_some(),
        };
        if found {
            continue;
        }
        if *name == names.durable_network("default") {
            return Err(Conflict::NoDurable { network: name.clone() });
        }
        return Err(Conflict::NoExternal { kind, name: name.clone() });
    }
    Ok(())
}
