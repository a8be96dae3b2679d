//! A route: a live port, the names and paths it is for, and the services behind it.

use serde::{Deserialize, Serialize};

/// A live port and the services behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub listen: u16,
    #[serde(default)]
    pub tls: bool,
    #[serde(default)]
    pub tcp: bool,
    /// Names it is for, in small letters; `*.shop.example` covers the names below. All names where there is none. Routes
    /// of one port differ in these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// [`Route::listen`] of the TLS route that all requests are sent to; there are no paths then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<u16>,
    /// A PROXY protocol v2 header is sent ahead of a TCP route's bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    #[serde(default, skip_serializing_if = "RouteLimits::is_usual")]
    pub limits: RouteLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Probe>,
    /// Where a request may name the color that it wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chooser: Option<Chooser>,
    /// What one color lacks of assets with a digest in their name is asked of the other one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_assets: bool,
    /// Longest prefix first. A TCP route has exactly one.
    pub paths: Vec<PathRule>,
}

/// The header and the cookie that name a color.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chooser {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}

/// Where the requests below a path go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRule {
    /// Begins with `/` and matches whole segments: `/api` covers `/api` and `/api/x`, not `/apix`.
    pub prefix: String,
    /// Name on the proxy's network that only this color answers to, `green-api`, or the durable layer: `durable-hub`.
    pub host: String,
    pub port: u16,
    /// Takes the prefix off before the request is passed on.
    #[serde(default)]
    pub strip: bool,
    #[serde(default, skip_serializing_if = "Protocol::is_http1")]
    pub protocol: Protocol,
    /// The service is of the durable layer: a switch moves nothing of it, and a drain ends nothing on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
}

/// What a service is spoken to in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge: gRPC.
    H2c,
}

/// What a route bounds otherwise than the proxy does by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteLimits {
    /// Connecting to one address of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u64>,
    /// From a request to the head of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_ms: Option<u64>,
    /// Between two pieces of an answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Bytes of a request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<u64>,
}

/// How the proxy asks each replica whether it serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// Asked by GET, good from 200 to 399. Without it a connection has to be accepted.
    #[serde(default)]
    pub path: Option<String>,
    pub interval_ms: u64,
    /// Failures in a row after which a replica gets no requests until it answers well again.
    pub threshold: u32,
}

impl Protocol {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_http1(&self) -> bool {
        *self == Self::Http1
    }
}

impl RouteLimits {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
