//! Networks and volumes.

use serde::Deserialize;
use serde_json::json;

use super::{
    Docker,
    body::unsupported,
    call::{Path, Said},
    fault::{self, Asked},
    version::Version,
};
use crate::{
    engine::{EngineError, Result},
    model::{NetworkSpec, VolumeSpec},
};

#[derive(Deserialize)]
struct Anything {}

pub(super) async fn create(docker: &Docker, spec: &NetworkSpec) -> Result<()> {
    if spec.ipv4 == Some(false) && docker.version < Version::ENABLE_IPV4 {
        return Err(unsupported(
            &format!("make network `{}` without IPv4", spec.name),
            "it needs Docker Engine 28",
        ));
    }
    let subnets: Vec<_> = spec
        .subnets
        .iter()
        .map(|subnet| {
            let mut config = serde_json::Map::new();
            for (key, value) in [
                ("Subnet", &subnet.subnet),
                ("Gateway", &subnet.gateway),
                ("IPRange", &subnet.ip_range),
            ] {
                if let Some(value) = value {
                    config.insert(key.to_owned(), json!(value));
                }
            }
            if !subnet.aux_addresses.is_empty() {
                config.insert("AuxiliaryAddresses".to_owned(), json!(subnet.aux_addresses));
            }
            config
        })
        .collect();
    let mut body = json!({
        "Name": spec.name,
        // Before API 1.44, two networks may have one name unless this is said.
        "CheckDuplicate": true,
        "Driver": spec.driver.as_deref().unwrap_or("bridge"),
        "Options": spec.options,
        "Labels": spec.labels,
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "EnableIPv6": spec.ipv6.unwrap_or(false),
        "IPAM": {
            "Driver": spec.ipam_driver.as_deref().unwrap_or("default"),
            "Options": spec.ipam_options,
            "Config": subnets,
        },
    });
    if let Some(ipv4) = spec.ipv4.filter(|_| docker.version >= Version::ENABLE_IPV4) {
        body["EnableIPv4"] = json!(ipv4);
    }
    let asked = Asked::Network { name: &spec.name, verb: "create" };
    docker.post::<Anything>("/networks/create", &body, asked).await.map(|_| ())
}

pub(super) async fn remove(docker: &Docker, name: &str) -> Result<()> {
    let removed = docker.api.remove_network(name).await;
    gone(removed).map_err(|e| docker.explain(&e, Asked::Network { name, verb: "remove" }))
}

/// The engine itself hands out a volume that is there already as if it were new.
pub(super) async fn create_volume(docker: &Docker, spec: &VolumeSpec) -> Result<()> {
    let asked = Asked::Volume { name: &spec.name, verb: "create" };
    let path = Path::new(&["volumes", &spec.name]);
    if docker.find::<Anything>(path.as_str(), asked).await?.is_some() {
        return Err(EngineError::NameTaken { kind: "volume", name: spec.name.clone() });
    }
    let body = json!({
        "Name": spec.name,
        "Driver": spec.driver.as_deref().unwrap_or("local"),
        "DriverOpts": spec.options,
        "Labels": spec.labels,
    });
    docker.post::<Anything>("/volumes/create", &body, asked).await.map(|_| ())
}

pub(super) async fn remove_volume(docker: &Docker, name: &str) -> Result<()> {
    let options = None::<bollard::query_parameters::RemoveVolumeOptions>;
    let removed = docker.api.remove_volume(name, options).await;
    gone(removed).map_err(|e| docker.explain(&e, Asked::Volume { name, verb: "remove" }))
}

/// What is not there is removed.
fn gone(removed: Said<()>) -> Said<()> {
    match removed {
        Err(error) if fault::status(&error) == Some(404) => Ok(()),
        other => other,
    }
}
