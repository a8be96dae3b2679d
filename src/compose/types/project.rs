//! The whole project.

use indexmap::IndexMap;
use serde::Serialize;

use super::{FileObject, Network, Service, Volume, is_default};
use crate::compose::{origin::Origin, problem::Problem};

/// A Compose project: its files read, merged, completed and checked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Project {
    pub name: String,
    /// The services whose profiles are active.
    pub services: IndexMap<String, Service>,
    #[serde(skip_serializing_if = "is_default")]
    pub networks: IndexMap<String, Network>,
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: IndexMap<String, Volume>,
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: IndexMap<String, FileObject>,
    #[serde(skip_serializing_if = "is_default")]
    pub configs: IndexMap<String, FileObject>,
    /// The services that no active profile names; their environment files are not read.
    #[serde(skip)]
    pub disabled: IndexMap<String, Service>,
    /// What Compose warns of: undefined variables, deprecated forms.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
    /// Where each key was set.
    #[serde(skip)]
    pub origin: Origin,
}

impl Project {
    /// A problem with the place of a key: `project.problem(&["services", "api", "ports", "0"], "…")`.
    ///
    /// Of a key that no file sets, the place is that of the nearest key above it.
    pub fn problem(&self, key_path: &[&str], message: impl Into<String>) -> Problem {
        self.origin.problem(key_path, message)
    }
}
