//! What shall be on the engine, in the engine's terms: every name final, every path absolute, every default chosen.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::labels;

/// One replica of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// The name on the engine.
    pub name: String,
    /// The image's reference.
    pub image: String,
    pub platform: Option<String>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub environment: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// In the order of attachment; the first is given at creation. Empty with `network_mode`.
    pub networks: Vec<Attachment>,
    /// `host`, `none`, `container:NAME`.
    pub network_mode: Option<String>,
    pub mounts: Vec<Mount>,
    /// Containers whose mounts are taken over, `NAME` or `NAME:ro`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<String>,
    pub ports: Vec<Publish>,
    /// Ports that the image does not name itself, `80/tcp`.
    pub expose: Vec<String>,
    /// Files laid into the container between creation and start: secrets and configs by content.
    pub files: Vec<FileSpec>,
    pub healthcheck: Option<Healthcheck>,
    pub restart: Restart,
    pub stop_signal: Option<String>,
    pub stop_grace: Option<Duration>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub init: Option<bool>,
    pub tty: bool,
    pub stdin_open: bool,
    pub read_only: bool,
    pub privileged: bool,
    pub group_add: Vec<String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub ulimits: BTreeMap<String, Ulimit>,
    pub sysctls: BTreeMap<String, String>,
    pub devices: Vec<Device>,
    pub device_cgroup_rules: Vec<String>,
    pub gpus: Vec<Gpu>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_opt: Vec<String>,
    pub mac_address: Option<String>,
    pub ipc: Option<String>,
    pub pid: Option<String>,
    pub uts: Option<String>,
    pub userns: Option<String>,
    pub cgroup: Option<String>,
    pub cgroup_parent: Option<String>,
    pub runtime: Option<String>,
    pub isolation: Option<String>,
    /// Bytes.
    pub shm_size: Option<i64>,
    pub storage_opt: BTreeMap<String, String>,
    pub logging: Option<Logging>,
    pub resources: Resources,
}

impl ServiceSpec {
    /// Hash of all that makes the container what it is: 16 hex digits. Labels that only tell of its making
    /// (release, version, the checkout, the hash itself) are left out.
    pub fn hash(&self) -> String {
        let mut bare = self.clone();
        for key in [
            labels::SPEC_HASH,
            labels::VERSION,
            labels::IMAGE,
            labels::RELEASE,
            labels::DEFINITION,
            labels::compose::CONFIG_HASH,
            labels::compose::CONFIG_FILES,
            labels::compose::WORKING_DIR,
        ] {
            bare.labels.remove(key);
        }
        hash_of(&bare)
    }

    /// The names of the volumes that it mounts.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| match mount {
            Mount::Volume { source, .. } => source.as_deref(),
            _ => None,
        })
    }

    /// Puts the hash into its own label and into Compose's, and the image's reference into a label.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        let hash = self.hash();
        self.labels.insert(labels::IMAGE.to_owned(), self.image.clone());
        self.labels.insert(labels::compose::CONFIG_HASH.to_owned(), hash.clone());
        self.labels.insert(labels::SPEC_HASH.to_owned(), hash);
        self
    }
}

/// The first 16 hex digits of the SHA-256 of a value's JSON.
pub fn hash_of(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("specifications have string keys only");
    hex::encode(&Sha256::digest(json)[..8])
}

/// A network that a container joins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    pub network: String,
    pub aliases: Vec<String>,
    pub ipv4: Option<String>,
    pub ipv6: Option<String>,
    pub link_local_ips: Vec<String>,
    pub mac_address: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
    pub gw_priority: Option<i64>,
    /// Further names for what is on the network, for this container alone: `NAME:ALIAS`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// What the network's interface is called inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Mount {
    Volume {
        /// The volume's name on the engine; none makes an anonymous one.
        source: Option<String>,
        target: String,
        read_only: bool,
        nocopy: bool,
        subpath: Option<String>,
    },
    Bind {
        source: PathBuf,
        target: String,
        read_only: bool,
        propagation: Option<String>,
        /// Make a missing source as an empty folder.
        create: bool,
        /// `z` or `Z`.
        selinux: Option<String>,
        /// What becomes of mounts below the source: `disabled`, `writable` or `readonly`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recursive: Option<String>,
    },
    Tmpfs {
        target: String,
        /// Bytes.
        size: Option<i64>,
        mode: Option<u32>,
        /// As `--tmpfs` takes them: `uid=1000,noexec`.
        options: Option<String>,
    },
}

/// A port of the host that leads into the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Publish {
    /// The address to bind; `127.0.0.1` unless the file says otherwise.
    pub host_ip: String,
    pub host_port: Option<u16>,
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileSpec {
    pub path: String,
    pub content: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Healthcheck {
    pub test: Test,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub retries: Option<u32>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
}

impl Healthcheck {
    /// None at all, not even the image's.
    pub const fn none() -> Self {
        Self {
            test: Test::None,
            interval: None,
            timeout: None,
            retries: None,
            start_period: None,
            start_interval: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// No health check, not even the image's.
    None,
    /// The image's own test, with other times.
    Inherit,
    Command(Vec<String>),
    Shell(String),
}

impl Test {
    /// The command to run inside the container, if this test names one. A shell test runs under `/bin/sh -c`, as the
    /// engine does it.
    pub fn command(&self) -> Option<Vec<String>> {
        match self {
            Self::None | Self::Inherit => None,
            Self::Command(words) => Some(words.clone()),
            Self::Shell(line) => Some(vec!["/bin/sh".into(), "-c".into(), line.clone()]),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    #[default]
    No,
    Always,
    UnlessStopped,
    OnFailure {
        retries: Option<u32>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub source: String,
    pub target: String,
    pub permissions: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    pub driver: Option<String>,
    /// `-1` is all.
    pub count: Option<i64>,
    pub device_ids: Vec<String>,
    pub capabilities: Vec<String>,
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// Limits of a container. Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    pub memory: Option<i64>,
    pub memory_reservation: Option<i64>,
    pub memory_swap: Option<i64>,
    pub memory_swappiness: Option<i64>,
    pub kernel_memory: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub oom_score_adj: Option<i64>,
    pub pids: Option<i64>,
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    pub cpu_shares: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<i64>,
    pub cpu_realtime_period: Option<i64>,
    pub cpu_realtime_runtime: Option<i64>,
    pub cpuset: Option<String>,
    pub cpu_count: Option<i64>,
    pub cpu_percent: Option<i64>,
    pub blkio: Blkio,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Blkio {
    pub weight: Option<u16>,
    pub weight_device: Vec<(String, u16)>,
    /// Path and bytes or operations a second.
    pub read_bps: Vec<(String, i64)>,
    pub write_bps: Vec<(String, i64)>,
    pub read_iops: Vec<(String, i64)>,
    pub write_iops: Vec<(String, i64)>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub name: String,
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub internal: bool,
    pub attachable: bool,
    pub ipv4: Option<bool>,
    pub ipv6: Option<bool>,
    pub ipam_driver: Option<String>,
    pub ipam_options: BTreeMap<String, String>,
    pub subnets: Vec<Subnet>,
}

impl NetworkSpec {
    /// Hash of all but the labels.
    pub fn hash(&self) -> String {
        hash_of(&Self { labels: BTreeMap::new(), ..self.clone() })
    }

    /// Puts the hash into its label.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        let hash = self.hash();
        self.labels.insert(labels::SPEC_HASH.to_owned(), hash);
        self
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: Option<String>,
    pub gateway: Option<String>,
    pub ip_range: Option<String>,
    pub aux_addresses: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    pub name: String,
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// An image to build.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The reference to tag the image with.
    pub tag: String,
    pub tags: Vec<String>,
    pub context: PathBuf,
    /// Relative to the context, or absolute outside of it.
    pub dockerfile: PathBuf,
    pub dockerfile_inline: Option<String>,
    pub args: BTreeMap<String, String>,
    pub target: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub cache_from: Vec<String>,
    pub cache_to: Vec<String>,
    pub extra_hosts: Vec<String>,
    pub network: Option<String>,
    pub platform: Option<String>,
    pub shm_size: Option<i64>,
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Further contexts: a name, or an image that the Dockerfile names, to a folder, `docker-image://…` or `service:…`.
    pub contexts: BTreeMap<String, String>,
    /// By id (`BuildKit`). They are no part of what the image is.
    #[serde(skip)]
    pub secrets: BTreeMap<String, BuildSecret>,
    /// `id=socket`, `default` (`BuildKit`).
    pub ssh: Vec<String>,
    pub no_cache: bool,
    pub pull: bool,
}

impl BuildSpec {
    /// Before the reference of an image that is a further context.
    pub const IMAGE: &str = "docker-image://";
    /// Before the key of a service whose image is a further context.
    pub const SERVICE: &str = "service:";
}

/// Where a build's secret comes from; it is read when an instruction asks for it.
#[derive(Clone, PartialEq, Eq)]
pub enum BuildSecret {
    File(PathBuf),
    Value(Vec<u8>),
}

impl std::fmt::Debug for BuildSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Value(_) => f.write_str("Value(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_the_definition_and_not_the_making() {
        let spec = ServiceSpec { name: "a".into(), image: "b".into(), ..ServiceSpec::default() };
        let mut other = spec.clone().sealed();
        other.labels.insert(labels::VERSION.into(), "9".into());
        assert_eq!(spec.hash(), other.hash());
        other.environment.insert("A".into(), "1".into());
        assert_ne!(spec.hash(), other.hash());
    }
}
