//! `build:` of a service.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

impl<'de> Deserialize<'de> for SshKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Key;
        impl de::Visitor<'_> for Key {
            type Value = SshKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`default` or ID=PATH")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SshKey, E> {
                match text.split_once('=') {
                    Some((id, path)) => {
                        Ok(SshKey { id: id.to_owned(), path: Some(path.to_owned()) })
                    }
                    None if text == "default" => Ok(SshKey { id: text.to_owned(), path: None }),
                    None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_str(Key)
    }
}
