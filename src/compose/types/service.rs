//! One service.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use super::{Build, Deploy, DeviceRequest, FileMount, Healthcheck, Mount, Port, is_default, shape};
use crate::compose::{
    de,
    units::{ByteSize, duration_words},
};

/// Host names and their addresses; written as a sorted list of `HOST=ADDRESS`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hosts(pub IndexMap<String, Vec<String>>);

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut lines: Vec<String> = self
            .0
            .iter()
            .flat_map(|(host, list)| list.iter().map(move |address| format!("{host}={address}")))
            .collect();
        lines.sort();
        to.collect_seq(lines)
    }
}

shape! {
    /// One service of the project, every key in its long form.
    pub struct Service {
        pub annotations: IndexMap<String, String>,
        pub attach: Option<bool>,
        pub blkio_config: Option<BlkioConfig>,
        pub build: Option<Build>,
        pub cap_add: Vec<String>,
        pub cap_drop: Vec<String>,
        pub cgroup: Option<String>,
        pub cgroup_parent: Option<String>,
        /// `None`: the image's; an empty list: none at all.
        pub command: Option<Vec<String>>,
        pub configs: Vec<FileMount>,
        pub container_name: Option<String>,
        pub cpu_count: Option<i64>,
        pub cpu_percent: Option<f64>,
        pub cpu_period: Option<i64>,
        pub cpu_quota: Option<i64>,
        pub cpu_rt_period: Option<i64>,
        pub cpu_rt_runtime: Option<i64>,
        pub cpu_shares: Option<i64>,
        pub cpus: Option<f64>,
        pub cpuset: Option<String>,
        pub depends_on: IndexMap<String, Dependency>,
        pub deploy: Option<Deploy>,
        pub device_cgroup_rules: Vec<String>,
        pub devices: Vec<Device>,
        pub dns: Vec<String>,
        pub dns_opt: Vec<String>,
        pub dns_search: Vec<String>,
        pub domainname: Option<String>,
        /// `None`: the image's; an empty list: none at all.
        pub entrypoint: Option<Vec<String>>,
        /// The files whose values are to be added to `environment`; empty once that is done.
        pub env_file: Vec<EnvFile>,
        /// `None`: named without a value and set nowhere, so not set in the container.
        pub environment: IndexMap<String, Option<String>>,
        pub expose: Vec<String>,
        pub external_links: Vec<String>,
        pub extra_hosts: Hosts,
        pub gpus: Vec<DeviceRequest>,
        pub group_add: Vec<String>,
        pub healthcheck: Option<Healthcheck>,
        pub hostname: Option<String>,
        pub image: Option<String>,
        pub init: Option<bool>,
        pub ipc: Option<String>,
        pub isolation: Option<String>,
        pub label_file: Vec<String>,
        pub labels: IndexMap<String, String>,
        pub links: Vec<String>,
        pub logging: Option<Logging>,
        pub mac_address: Option<String>,
        pub mem_limit: Option<ByteSize>,
        pub mem_reservation: Option<ByteSize>,
        pub mem_swappiness: Option<ByteSize>,
        pub memswap_limit: Option<ByteSize>,
        pub network_mode: Option<String>,
        #[serde(serialize_with = "attachments")]
        pub networks: IndexMap<String, NetworkAttachment>,
        pub oom_kill_disable: bool,
        #[serde(deserialize_with = "de::oom_score")]
        pub oom_score_adj: Option<i64>,
        pub pid: Option<String>,
        pub pids_limit: Option<i64>,
        pub platform: Option<String>,
        pub ports: Vec<Port>,
        pub post_start: Vec<Hook>,
        pub pre_start: Vec<Hook>,
        pub pre_stop: Vec<Hook>,
        pub privileged: bool,
        pub profiles: Vec<String>,
        /// `always`, `never`, `missing`, `build`, `refresh`, `daily`, `weekly` or `every_…`.
        #[serde(deserialize_with = "de::pull_policy")]
        pub pull_policy: Option<String>,
        pub pull_refresh_after: Option<String>,
        pub read_only: bool,
        pub restart: Option<String>,
        pub runtime: Option<String>,
        pub scale: Option<u32>,
        pub secrets: Vec<FileMount>,
        pub security_opt: Vec<String>,
        pub shm_size: Option<ByteSize>,
        pub stdin_open: bool,
        #[serde(with = "duration_words")]
        pub stop_grace_period: Option<Duration>,
        pub stop_signal: Option<String>,
        pub storage_opt: IndexMap<String, String>,
        pub sysctls: IndexMap<String, String>,
        pub tmpfs: Vec<String>,
        pub tty: bool,
        pub ulimits: IndexMap<String, Ulimit>,
        pub user: Option<String>,
        pub userns_mode: Option<String>,
        pub uts: Option<String>,
        pub volumes: Vec<Mount>,
        pub volumes_from: Vec<String>,
        pub working_dir: Option<String>,
    }

    pub struct Device {
        pub source: String,
        pub target: Option<String>,
        pub permissions: Option<String>,
    }

    pub struct Logging {
        pub driver: Option<String>,
        pub options: IndexMap<String, String>,
    }

    /// How a service takes part in a network.
    pub struct NetworkAttachment {
        pub aliases: Vec<String>,
        pub driver_opts: IndexMap<String, String>,
        pub gw_priority: Option<i64>,
        pub interface_name: Option<String>,
        pub ipv4_address: Option<String>,
        pub ipv6_address: Option<String>,
        pub link_local_ips: Vec<String>,
        pub mac_address: Option<String>,
        pub priority: Option<i64>,
    }

    pub struct BlkioConfig {
        pub weight: Option<u16>,
        pub weight_device: Vec<WeightDevice>,
        pub device_read_bps: Vec<ThrottleDevice>,
        pub device_read_iops: Vec<ThrottleDevice>,
        pub device_write_bps: Vec<ThrottleDevice>,
        pub device_write_iops: Vec<ThrottleDevice>,
    }

    pub struct WeightDevice {
        pub path: String,
        pub weight: u16,
    }

    pub struct ThrottleDevice {
        pub path: String,
        pub rate: ByteSize,
    }

    /// A command run around a container's life.
    pub struct Hook {
        pub command: Option<Vec<String>>,
        pub image: Option<String>,
        pub user: Option<String>,
        pub privileged: bool,
        pub working_dir: Option<String>,
        pub environment: IndexMap<String, Option<String>>,
        pub per_replica: bool,
    }
}

impl Service {
    /// How many containers: `scale`, else `deploy.replicas`, else one.
    pub fn replicas(&self) -> u32 {
        self.scale.or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1)
    }
}

/// What has to hold of another service before one starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    pub condition: Condition,
    /// Whether a restart of the other restarts this one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart: bool,
    /// Whether the other must exist.
    #[serde(default = "required")]
    pub required: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    #[default]
    #[serde(rename = "service_started")]
    Started,
    #[serde(rename = "service_healthy")]
    Healthy,
    #[serde(rename = "service_completed_successfully")]
    Completed,
}

/// A file of variables for a service's environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvFile {
    pub path: String,
    /// Whether the file must exist.
    #[serde(default = "required", skip_serializing_if = "Clone::clone")]
    pub required: bool,
    /// `raw`: the values are taken as they stand.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Option<String>,
}

fn required() -> bool {
    true
}

/// A resource limit; `-1` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

fn attachments<S: Serializer>(
    networks: &IndexMap<String, NetworkAttachment>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(networks.len()))?;
    for (name, attachment) in networks {
        map.serialize_entry(name, &Some(attachment).filter(|own| !is_default(*own)))?;
    }
    map.end()
}
