//! Everything on the engine in one look: three lists at once, and nothing that costs more.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Docker, call::Path, fault::Asked};
use crate::{
    engine::Result,
    model::{Container, Health, Network, Observed, Publish, State, Volume},
};

pub(super) async fn observe(docker: &Docker) -> Result<Observed> {
    let all = Path::new(&["containers", "json"]).with("all", "true");
    let (containers, networks, volumes) = tokio::try_join!(
        docker.get::<Vec<ContainerRow>>(all.as_str(), Asked::Engine("list containers")),
        docker.get::<Vec<NetworkRow>>("/networks", Asked::Engine("list networks")),
        docker.get::<VolumeRows>("/volumes", Asked::Engine("list volumes")),
    )?;
    let mut observed = Observed {
        containers: containers.into_iter().map(Container::from).collect(),
        networks: networks.into_iter().map(Network::from).collect(),
        volumes: volumes.volumes.unwrap_or_default().into_iter().map(Volume::from).collect(),
    };
    observed.containers.sort_by(|a, b| a.name.cmp(&b.name));
    observed.networks.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
    observed.volumes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(observed)
}

type Labels = Option<BTreeMap<String, String>>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerRow {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    created: i64,
    ports: Option<Vec<PortRow>>,
    labels: Labels,
    state: String,
    status: String,
    network_settings: Option<Networks>,
    mounts: Option<Vec<MountRow>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortRow {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MountRow {
    #[serde(rename = "Type")]
    kind: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkRow {
    id: String,
    name: String,
    driver: String,
    labels: Labels,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeRows {
    volumes: Option<Vec<VolumeRow>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeRow {
    name: String,
    driver: String,
    labels: Labels,
}

impl From<ContainerRow> for Container {
    fn from(row: ContainerRow) -> Self {
        let names = row.names.unwrap_or_default();
        // Links of other containers are names too: `/other/alias`.
        let name = names
            .iter()
            .map(|name| name.trim_start_matches('/'))
            .find(|name| !name.contains('/'))
            .unwrap_or_default()
            .to_owned();
        let mut ports: Vec<_> = row
            .ports
            .unwrap_or_default()
            .into_iter()
            .filter(|port| port.public_port.is_some())
            .map(|port| Publish {
                host_ip: port.ip.unwrap_or_default(),
                host_port: port.public_port,
                container_port: port.private_port,
                protocol: port.protocol,
            })
            .collect();
        ports.sort();
        Self {
            id: row.id,
            name,
            image: row.image,
            image_id: row.image_id,
            state: state(&row.state, &row.status),
            labels: row.labels.unwrap_or_default(),
            ports,
            networks: row
                .network_settings
                .and_then(|settings| settings.networks)
                .unwrap_or_default()
                .into_keys()
                .collect(),
            volumes: row
                .mounts
                .unwrap_or_default()
                .into_iter()
                .filter(|mount| mount.kind.as_deref() == Some("volume"))
                .filter_map(|mount| mount.name)
                .collect(),
            created: row.created,
        }
    }
}

impl From<NetworkRow> for Network {
    fn from(row: NetworkRow) -> Self {
        let labels = row.labels.unwrap_or_default();
        Self { id: row.id, name: row.name, driver: row.driver, labels }
    }
}

impl From<VolumeRow> for Volume {
    fn from(row: VolumeRow) -> Self {
        Self { name: row.name, driver: row.driver, labels: row.labels.unwrap_or_default() }
    }
}

/// The state of a row: `exited`, `Exited (137) 3 seconds ago`.
fn state(word: &str, status: &str) -> State {
    match word {
        "created" => State::Created,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "removing" => State::Removing,
        "dead" => State::Dead,
        "running" if status.ends_with("(Paused)") => State::Paused,
        "running" => State::Running { health: health(status) },
        _ => {
            let code = status
                .split_once('(')
                .and_then(|(_, rest)| rest.split_once(')'))
                .and_then(|(code, _)| code.parse().ok());
            State::Exited { code: code.unwrap_or(0) }
        }
    }
}

fn health(status: &str) -> Option<Health> {
    if status.ends_with("(healthy)") {
        Some(Health::Healthy)
    } else if status.ends_with("(unhealthy)") {
        Some(Health::Unhealthy)
    } else if status.ends_with("(health: starting)") {
        Some(Health::Starting)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_from_a_list() {
        let running = |health| State::Running { health };
        for (word, status, expected) in [
            ("running", "Up 2 minutes", running(None)),
            ("running", "Up 2 minutes (healthy)", running(Some(Health::Healthy))),
            ("running", "Up 2 minutes (unhealthy)", running(Some(Health::Unhealthy))),
            ("running", "Up 1 second (health: starting)", running(Some(Health::Starting))),
            ("paused", "Up 2 minutes (Paused)", State::Paused),
            ("exited", "Exited (137) 3 seconds ago", State::Exited { code: 137 }),
            ("exited", "Exited (0) Less than a second ago", State::Exited { code: 0 }),
            ("created", "Created", State::Created),
            ("restarting", "Restarting (1) 2 seconds ago", State::Restarting),
            ("dead", "Dead", State::Dead),
            ("removing", "Removal In Progress", State::Removing),
        ] {
            assert_eq!(state(word, status), expected, "{status}");
        }
    }

    #[test]
    fn a_row_with_links_and_nulls_is_read() {
        let row = r#"{"Id":"1","Names":["/other/db","/db"],"Image":"i","ImageID":"sha256:1","Created":7,
            "Ports":[{"PrivatePort":80,"Type":"tcp"},{"IP":"127.0.0.1","PrivatePort":81,"PublicPort":8081,"Type":"tcp"}],
            "Labels":null,"State":"running","Status":"Up","NetworkSettings":{"Networks":{"n":null}},
            "Mounts":[{"Type":"volume","Name":"v"},{"Type":"bind"}]}"#;
        let container = Container::from(serde_json::from_str::<ContainerRow>(row).unwrap());
        assert_eq!(container.name, "db");
        assert_eq!(container.ports.len(), 1);
        assert_eq!((container.networks, container.volumes), (vec!["n".into()], vec!["v".into()]));
    }
}
