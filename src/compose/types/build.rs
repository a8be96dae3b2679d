//! `build:` of a service.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{FileMount, Hosts, Ulimit, shape};
use crate::compose::units::ByteSize;

shape! {
    /// How an image is made.
    pub struct Build {
        /// A folder (absolute once loaded) or a URL.
        pub context: Option<String>,
        pub dockerfile: Option<String>,
        pub dockerfile_inline: Option<String>,
        pub entitlements: Vec<String>,
        /// `None`: named without a value and not set in the environment.
        pub args: IndexMap<String, Option<String>>,
        pub provenance: Option<String>,
        pub sbom: Option<String>,
        #[serde(deserialize_with = "ssh_keys")]
        pub ssh: Vec<SshKey>,
        pub labels: IndexMap<String, String>,
        pub cache_from: Vec<String>,
        pub cache_to: Vec<String>,
        pub no_cache: bool,
        pub no_cache_filter: Vec<String>,
        pub additional_contexts: IndexMap<String, String>,
        pub pull: bool,
        pub extra_hosts: Hosts,
        pub isolation: Option<String>,
        pub network: Option<String>,
        pub target: Option<String>,
        pub secrets: Vec<FileMount>,
        pub shm_size: Option<ByteSize>,
        pub tags: Vec<String>,
        pub ulimits: IndexMap<String, Ulimit>,
        pub platforms: Vec<String>,
        pub privileged: bool,
    }
}

/// A key or agent socket that a build may use; `default` is the user's agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshKey {
    pub id: String,
    pub path: Option<String>,
}

impl Serialize for SshKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.path {
            Some(path) => to.collect_str(&format_args!("{}={path}", self.id)),
            None => to.serialize_str(&self.id),
        }
    }
}

/// Reads the long form, a mapping of ids to paths.
fn ssh_keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SshKey>, D::Error> {
    let keys = IndexMap::<String, Option<String>>::deserialize(from)?;
    Ok(keys.into_iter().map(|(id, path)| SshKey { id, path }).collect())
}
