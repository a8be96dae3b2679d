//! `deploy:` of a service, and requests for devices.

use std::{fmt, time::Duration};

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::shape;
use crate::compose::units::{ByteSize, duration_words};

shape! {
    pub struct Deploy {
        pub mode: Option<String>,
        pub replicas: Option<u32>,
        pub labels: IndexMap<String, String>,
        pub update_config: Option<UpdateConfig>,
        pub rollback_config: Option<UpdateConfig>,
        pub resources: Resources,
        pub restart_policy: Option<RestartPolicy>,
        pub placement: Placement,
        pub endpoint_mode: Option<String>,
    }

    pub struct UpdateConfig {
        pub parallelism: Option<u64>,
        #[serde(with = "duration_words")]
        pub delay: Option<Duration>,
        pub failure_action: Option<String>,
        #[serde(with = "duration_words")]
        pub monitor: Option<Duration>,
        pub max_failure_ratio: Option<f64>,
        pub order: Option<String>,
    }

    pub struct Resources {
        pub limits: Option<Resource>,
        pub reservations: Option<Resource>,
    }

    pub struct Resource {
        pub cpus: Option<f64>,
        pub memory: Option<ByteSize>,
        pub pids: Option<i64>,
        pub devices: Vec<DeviceRequest>,
        pub generic_resources: Vec<GenericResource>,
    }

    pub struct GenericResource {
        pub discrete_resource_spec: Option<DiscreteResource>,
    }

    pub struct DiscreteResource {
        pub kind: Option<String>,
        pub value: Option<i64>,
    }

    pub struct RestartPolicy {
        pub condition: Option<String>,
        #[serde(with = "duration_words")]
        pub delay: Option<Duration>,
        pub max_attempts: Option<u64>,
        #[serde(with = "duration_words")]
        pub window: Option<Duration>,
    }

    pub struct Placement {
        pub constraints: Vec<String>,
        pub preferences: Vec<Preference>,
        pub max_replicas_per_node: Option<u64>,
    }

    pub struct Preference {
        pub spread: Option<String>,
    }

    /// A request for devices by their abilities (GPUs).
    pub struct DeviceRequest {
        pub capabilities: Vec<String>,
        pub driver: Option<String>,
        /// Excludes `device_ids`.
        pub count: Option<DeviceCount>,
        pub device_ids: Vec<String>,
        pub options: IndexMap<String, String>,
    }
}

/// A number of devices; all of them is `-1`, as the engine writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceCount(pub i64);

impl Serialize for DeviceCount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Count;
        impl de::Visitor<'_> for Count {
            type Value = i64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of devices or `all`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
                if text.eq_ignore_ascii_case("all") {
                    return Ok(-1);
                }
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
                Ok(number)
            }
        }
        from.deserialize_any(Count).map(Self)
    }
}
