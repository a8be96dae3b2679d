//! What the proxy routes: its listeners, each color's stack, and which color is live.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Color, Route};

/// A port on which the proxy listens. Fixed for the life of its process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Listener {
    pub port: u16,
    #[serde(default)]
    pub tls: bool,
    /// Bytes are passed on as they are; otherwise HTTP.
    #[serde(default)]
    pub tcp: bool,
    /// [`Route::listen`] of the route that is served here: the same as `port`, except for previews.
    pub route: u16,
    /// `None`: whatever color is live. `Some`: the preview of that color.
    #[serde(default)]
    pub color: Option<Color>,
}

/// How the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    Json,
    /// The Common Log Format.
    Common,
}

/// A deployed app stack as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    pub release: String,
    /// Git revision of the checkout.
    #[serde(default)]
    pub revision: Option<String>,
    /// RFC 3339, UTC.
    pub created: String,
    /// Service to image id.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    pub routes: Vec<Route>,
    /// Numbers of replicas that were asked for by hand, in place of the files'.
    #[serde(default)]
    pub replicas: BTreeMap<String, u32>,
    /// Result of the last `envctl test` of this release.
    #[serde(default)]
    pub tests: Option<serde_json::Value>,
}

/// Everything the proxy keeps across restarts: `routing.json` in its state folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    pub format: u32,
    pub live: Option<Color>,
    pub stacks: BTreeMap<Color, Stack>,
    /// How long web sockets, event streams and TCP connections stay on a color that is no longer live.
    #[serde(rename = "drain_ms", with = "milliseconds")]
    pub drain: Duration,
    /// When the live color last changed: RFC 3339, UTC.
    #[serde(default)]
    pub switched: Option<String>,
    /// While the idle color gets a share of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// While all live routes answer with a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
}

/// A share of new clients that the idle color gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub to: Color,
    /// Percent: 1 to 99.
    pub weight: u8,
    /// When it was set to that: RFC 3339, UTC.
    pub since: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// RFC 3339, UTC.
    pub since: String,
    /// The user's page, HTML; none: words of the proxy's own.
    #[serde(default)]
    pub page: Option<String>,
}

impl Routing {
    /// The only format there is.
    pub const FORMAT: u32 = 1;

    /// The percentage of new clients that a color gets beside the live one; none, but of a canary.
    pub fn share(&self, color: Color) -> Option<u8> {
        self.canary.as_ref().filter(|canary| canary.to == color).map(|canary| canary.weight)
    }
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            format: Self::FORMAT,
            live: None,
            stacks: BTreeMap::new(),
            drain: Duration::from_secs(30),
            switched: None,
            canary: None,
            maintenance: None,
        }
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PathRule;

    #[test]
    fn routing_survives_json_and_a_newer_writer() {
        let mut routing = Routing { live: Some(Color::Green), ..Routing::default() };
        routing.stacks.insert(
            Color::Green,
            Stack {
                release: "r1".into(),
                revision: None,
                created: "2026-11-21T08:00:00Z".into(),
                images: BTreeMap::new(),
                routes: vec![Route {
                    listen: 3000,
                    paths: vec![PathRule {
                        prefix: "/".into(),
                        host: "green-web".into(),
                        port: 80,
                        ..PathRule::default()
                    }],
                    ..Route::default()
                }],
                replicas: BTreeMap::new(),
                tests: None,
            },
        );
        let mut json = serde_json::to_value(&routing).unwrap();
        assert_eq!(json["drain_ms"], 30_000);
        json["later"] = true.into();
        assert_eq!(serde_json::from_value::<Routing>(json).unwrap(), routing);
    }
    #[test]
    fn a_route_of_an_older_writer_is_read() {
        let old = r#"{"listen":3000,"tls":true,"tcp":false,"paths":[{"prefix":"/","host":"blue-web","port":80,"strip":true}]}"#;
        let route: Route = serde_json::from_str(old).unwrap();
        assert!(route.tls && route.paths[0].strip && route.hosts.is_empty());
        assert_eq!(serde_json::to_string(&route).unwrap(), old);
    }
}
