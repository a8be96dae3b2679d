//! What is on the engine, seen once.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Publish, labels};

/// All containers, networks and volumes of the engine, others' too: a name taken or a port held must be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Observed {
    pub containers: Vec<Container>,
    pub networks: Vec<Network>,
    pub volumes: Vec<Volume>,
}

impl Observed {
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// The reference that it was made from.
    pub image: String,
    /// `sha256:…`.
    pub image_id: String,
    pub state: State,
    pub labels: BTreeMap<String, String>,
    pub ports: Vec<Publish>,
    /// Names of the networks joined.
    pub networks: Vec<String>,
    /// Names of the volumes mounted.
    pub volumes: Vec<String>,
    /// Seconds since 1970.
    pub created: i64,
}

impl Container {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Restarting)
    }

    /// Whether envctl made it for this project and environment.
    pub fn belongs_to(&self, names: &super::Names) -> bool {
        self.label(labels::PROJECT) == Some(&names.project)
            && self.label(labels::ENVIRONMENT) == Some(&names.environment)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Created,
    Running {
        /// What the engine's own health check last said; none where there is none.
        health: Option<Health>,
    },
    Paused,
    Restarting,
    Exited {
        code: i64,
    },
    Removing,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:…`.
    pub id: String,
    /// `name:tag` references.
    pub tags: Vec<String>,
    /// `name@sha256:…` references.
    pub digests: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub created: i64,
}

/// What a container uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Processors: 0.5 is half of one.
    pub cpu: f64,
    /// Bytes, without what is only cached of files.
    pub memory: u64,
    /// Bytes; none where it may use all there is.
    pub memory_limit: Option<u64>,
}

/// One container seen closely.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Inspection {
    pub id: String,
    pub state: State,
    /// The exit code of the last run, if it ever ran and ended.
    pub exit_code: Option<i64>,
    pub oom_killed: bool,
    /// The engine's own word on why it did not start.
    pub error: Option<String>,
    pub restarts: u32,
    /// The effective health check (the image's included): its command and times.
    pub healthcheck: Option<super::Healthcheck>,
    /// Address by network name.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Environment as `NAME=value`. May hold secrets: never printed.
    #[serde(skip)]
    pub environment: Vec<String>,
    /// Time since the last start.
    pub uptime: Option<Duration>,
    /// When it was last started, by the engine's clock: milliseconds since 1970.
    pub started: Option<i64>,
    /// Ports that the engine really bound.
    pub ports: Vec<Publish>,
}
