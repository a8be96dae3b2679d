//! `volumes:`, `secrets:` and `configs:` of a service.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{is_default, shape};
use crate::compose::units::{ByteSize, FileMode};

/// One entry of a service's `volumes`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// A folder or file of the host (absolute once loaded), a volume's key, or an image; `None`: an anonymous volume.
    #[serde(default, skip_serializing_if = "is_default")]
    pub source: Option<String>,
    pub target: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub consistency: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub bind: Option<BindOptions>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub volume: Option<VolumeOptions>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub tmpfs: Option<TmpfsOptions>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub image: Option<ImageOptions>,
}

impl Mount {
    /// Whether a missing folder of the host is made: yes in the short form and with `bind: {}`, no without `bind`.
    pub fn creates_host_path(&self) -> bool {
        self.bind.as_ref().is_some_and(|bind| bind.create_host_path)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    Bind,
    #[default]
    Volume,
    Tmpfs,
    Cluster,
    Npipe,
    Image,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindOptions {
    /// `z` (shared) or `Z` (private).
    #[serde(skip_serializing_if = "is_default")]
    pub selinux: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub propagation: Option<String>,
    #[serde(skip_serializing_if = "Clone::clone")]
    pub create_host_path: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub recursive: Option<String>,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { selinux: None, propagation: None, create_host_path: true, recursive: None }
    }
}

shape! {
    pub struct VolumeOptions {
        pub labels: IndexMap<String, String>,
        pub nocopy: bool,
        pub subpath: Option<String>,
    }

    pub struct TmpfsOptions {
        #[serde(deserialize_with = "crate::compose::de::size")]
        pub size: Option<ByteSize>,
        pub mode: Option<u32>,
    }

    pub struct ImageOptions {
        pub subpath: Option<String>,
    }

    /// A secret or config in a container (or in a build).
    pub struct FileMount {
        /// The key under the project's `secrets` or `configs`.
        pub source: String,
        pub target: Option<String>,
        pub uid: Option<String>,
        pub gid: Option<String>,
        pub mode: Option<FileMode>,
    }
}
