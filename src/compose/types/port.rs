//! `ports:` of a service.

use serde::{Deserialize, Serialize};

use super::is_default;

/// One published (or only named) port of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub host_ip: Option<String>,
    /// The container's port.
    pub target: u16,
    /// The host's port, or a range `8000-8010` of which one is taken; `None`: any free one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub published: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub app_protocol: Option<String>,
}

impl Port {
    /// The host's port, when it is a single fixed one.
    pub fn published_port(&self) -> Option<u16> {
        self.published.as_deref()?.parse().ok()
    }
}
