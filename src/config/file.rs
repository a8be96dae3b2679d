//! The shape of `envctl.yaml` (docs/project-file.md).

use std::{path::PathBuf, time::Duration};

use indexmap::IndexMap;
use serde::Deserialize;

use super::{
    AwsFile, Check, ChooserFile, Hooks,
    route::{RouteFile, routes},
    scalar::{duration, number, optional_number},
};
use crate::model::{AccessFormat, Color};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    pub name: String,
    #[serde(default)]
    pub environments: IndexMap<String, Option<EnvironmentFile>>,
    #[serde(default)]
    pub durable: DurableFile,
    pub app: AppFile,
    #[serde(default)]
    pub proxy: ProxyFile,
    #[serde(default)]
    pub checks: Vec<Check>,
    #[serde(default)]
    pub hooks: Hooks,
    /// Variables that `envctl credentials` gives random values.
    #[serde(default)]
    pub credentials: Vec<String>,
    /// Resources on AWS, or on what stands for it.
    pub aws: Option<AwsFile>,
}

impl ProjectFile {
    /// A file that says nothing but which Compose files the app is.
    pub fn of_app(name: String, compose: Vec<PathBuf>) -> Self {
        Self {
            name,
            environments: IndexMap::new(),
            durable: DurableFile::default(),
            app: AppFile { compose, ..AppFile::default() },
            proxy: ProxyFile::default(),
            checks: vec![],
            hooks: Hooks::default(),
            credentials: vec![],
            aws: None,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentFile {
    #[serde(default)]
    pub env_file: Vec<PathBuf>,
    /// Added to every port that is listened on or published.
    #[serde(default, deserialize_with = "number")]
    pub port_offset: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DurableFile {
    /// Files of the durable layer's own.
    #[serde(default)]
    pub compose: Vec<PathBuf>,
    /// Services of the app's files that shall be durable.
    #[serde(default)]
    pub services: Vec<String>,
    #[serde(default)]
    pub snapshots: SnapshotsFile,
    /// Databases that show a certificate of the local authority.
    #[serde(default)]
    pub tls: IndexMap<String, DatabaseTls>,
}

/// Whether a database's application may do without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseTls {
    Offered,
    Required,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotsFile {
    /// None: `envctl/snapshots` in the user's data folder.
    pub path: Option<PathBuf>,
    pub keep: Keep,
}

/// How many snapshots without a name of their own are kept.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The last one of so many days.
    #[serde(deserialize_with = "number")]
    pub daily: u16,
    /// The newest of all.
    #[serde(deserialize_with = "number")]
    pub last: u16,
}

impl Default for Keep {
    fn default() -> Self {
        Self { daily: 7, last: 5 }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// None: found as Compose finds them.
    #[serde(default)]
    pub compose: Vec<PathBuf>,
    #[serde(default)]
    pub blue: Vec<PathBuf>,
    #[serde(default)]
    pub green: Vec<PathBuf>,
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Services that run only while their color is live.
    #[serde(default)]
    pub workers: Vec<String>,
    /// How many releases that were live keep their images, for a way back.
    #[serde(default = "five", deserialize_with = "number")]
    pub retain: u16,
}

const fn five() -> u16 {
    5
}

impl AppFile {
    pub fn overrides(&self, color: Color) -> &[PathBuf] {
        match color {
            Color::Blue => &self.blue,
            Color::Green => &self.green,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyFile {
    /// None: the ports that the app's services publish.
    #[serde(deserialize_with = "routes")]
    pub routes: Vec<RouteFile>,
    pub preview: Preview,
    #[serde(deserialize_with = "duration")]
    pub drain: Duration,
    /// The proxy's image where envctl's own executable cannot run in a container.
    pub image: Option<String>,
    /// Further names that the certificate of TLS routes is for.
    pub names: Vec<String>,
    /// The port that answers `/metrics`, on the host's loopback address.
    #[serde(deserialize_with = "optional_number")]
    pub metrics: Option<u16>,
    /// None: requests leave no lines.
    pub access_log: Option<AccessFormat>,
    /// The page of `envctl maintenance on`.
    pub maintenance: Option<PathBuf>,
    /// How a tester asks for a color on live ports.
    #[serde(rename = "override")]
    pub chooser: Option<ChooserFile>,
}

impl Default for ProxyFile {
    fn default() -> Self {
        Self {
            routes: vec![],
            preview: Preview::default(),
            drain: Duration::from_secs(30),
            image: None,
            names: vec![],
            metrics: None,
            access_log: None,
            maintenance: None,
            chooser: None,
        }
    }
}

/// What is added to a route's port for a color's preview.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preview {
    #[serde(deserialize_with = "number")]
    pub blue: u16,
    #[serde(deserialize_with = "number")]
    pub green: u16,
}

impl Default for Preview {
    fn default() -> Self {
        Self { blue: 10, green: 20 }
    }
}

impl Preview {
    pub const fn of(self, color: Color) -> u16 {
        match color {
            Color::Blue => self.blue,
            Color::Green => self.green,
        }
    }
}
