//! Who gets the traffic.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::Color;

/// The version of the persisted form.
pub const FORMAT: u32 = 1;

/// A port that the proxy listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub port: u16,
    pub tls: bool,
    pub tcp: bool,
    /// The route's live port; `port` itself on a live listener.
    pub route: u16,
    /// None: whatever color is live. Some: that color's preview.
    pub color: Option<Color>,
}

/// A color as the proxy knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub release: String,
    /// Git revision.
    pub revision: Option<String>,
    /// RFC 3339, UTC.
    pub created: String,
    /// Service to image id.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    pub routes: Vec<Route>,
    /// What `envctl test` found.
    #[serde(default)]
    pub tests: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub listen: u16,
    pub tls: bool,
    pub tcp: bool,
    /// The longest prefix that fits wins.
    pub paths: Vec<PathRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    pub prefix: String,
    /// `green-api`.
    pub host: String,
    pub port: u16,
    /// Take the prefix off before the request goes on.
    pub strip: bool,
}

/// The proxy's state, as it is persisted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    pub format: u32,
    pub live: Option<Color>,
    pub stacks: BTreeMap<Color, Stack>,
    /// How long long-lived connections stay on a color that is no longer live. Milliseconds in the file.
    #[serde(with = "milliseconds")]
    pub drain: Duration,
    /// When the traffic last moved. RFC 3339, UTC.
    pub switched: Option<String>,
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
