//! A route of the project file: `proxy.routes[]`.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

use super::scalar::{duration, from_text, one_or_more};
use crate::model::Protocol;

/// A listening port and what is behind it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct RouteFile {
    pub listen: Listen,
    pub tls: Tls,
    pub tcp: bool,
    pub host: Vec<String>,
    /// Port of the TLS route that all requests are sent to; there are no paths then.
    pub redirect: Option<u16>,
    pub paths: IndexMap<String, Destination>,
    pub timeouts: Timeouts,
    pub max_body: Option<u64>,
    pub health: Option<HealthFile>,
    pub proxy_protocol: bool,
    pub shared_assets: bool,
}

/// A route as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: Listen,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    tcp: bool,
    #[serde(default, deserialize_with = "one_or_more")]
    host: Vec<String>,
    redirect: Option<Redirect>,
    to: Option<Target>,
    protocol: Option<Spoken>,
    #[serde(default)]
    paths: IndexMap<String, Destination>,
    #[serde(default)]
    timeouts: Timeouts,
    max_body: Option<Size>,
    health: Option<HealthFile>,
    #[serde(default)]
    proxy_protocol: bool,
    #[serde(default)]
    shared_assets: bool,
}

impl TryFrom<Written> for RouteFile {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let port = written.listen.port;
        let Written { to, mut paths, redirect, protocol, tcp, .. } = written;
        match (&to, paths.is_empty(), &redirect) {
            (Some(_), true, None) | (None, false, None) | (None, true, Some(_)) => {}
            _ => return Err(format!("{port} needs one of `to`, `paths` and `redirect`")),
        }
        if tcp {
            let more = written.tls.is_on()
                || to.is_none()
                || protocol.is_some()
                || !written.host.is_empty()
                || written.max_body.is_some()
                || written.shared_assets;
            if more {
                return Err(format!("{port} is `tcp`, which goes with `to` alone"));
            }
        } else if written.proxy_protocol {
            return Err(format!("{port} has `proxy_protocol`, which goes with `tcp`"));
        }
        if redirect.is_some() && written.tls.is_on() {
            return Err(format!("{port} has `redirect`, which goes without `tls`"));
        }
        if let Some(prefix) = paths.keys().find(|prefix| !prefix.starts_with('/')) {
            return Err(format!("{port}: path `{prefix}` has to start with `/`"));
        }
        if let Some(to) = to {
            paths.insert("/".to_owned(), Destination { to, strip_prefix: false, protocol: None });
        }
        for destination in paths.values_mut() {
            destination.protocol = destination.protocol.or(protocol);
        }
        if let Some(host) = written.host.iter().find(|host| !is_host(host)) {
            return Err(format!(
                "{port}: `{host}` is no name such as shop.example or *.shop.example"
            ));
        }
        Ok(Self {
            listen: written.listen,
            tls: written.tls,
            tcp,
            host: written.host.iter().map(|host| host.to_ascii_lowercase()).collect(),
            redirect: match redirect {
                None => None,
                Some(Redirect::Https) => Some(0),
                Some(Redirect::Port(port)) => Some(port),
            },
            paths,
            timeouts: written.timeouts,
            max_body: written.max_body.map(|size| size.0),
            health: written.health,
            proxy_protocol: written.proxy_protocol,
            shared_assets: written.shared_assets,
        })
    }
}

/// All routes of a file: no two for the same, and each redirect to a TLS route that there is.
pub fn routes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RouteFile>, D::Error> {
    let mut all = Vec::<RouteFile>::deserialize(deserializer)?;
    for (n, route) in all.iter().enumerate() {
        let port = route.listen.port;
        for other in all[..n].iter().filter(|other| other.listen.port == port) {
            if other.listen != route.listen
                || other.tls.is_on() != route.tls.is_on()
                || other.tcp
                || route.tcp
            {
                let words = format!("the routes of {port} differ in more than `host`");
                return Err(de::Error::custom(words));
            }
            let same = |host: &&String| route.host.contains(host);
            if let Some(host) = other.host.iter().find(same) {
                return Err(de::Error::custom(format!("{port} has two routes for `{host}`")));
            }
            if other.host.is_empty() && route.host.is_empty() {
                return Err(de::Error::custom(format!("{port} has two routes without `host`")));
            }
        }
    }
    let mut secure: Vec<u16> =
        all.iter().filter(|route| route.tls.is_on()).map(|route| route.listen.port).collect();
    secure.dedup();
    for route in &mut all {
        let port = route.listen.port;
        match (route.redirect, secure.as_slice()) {
            (Some(0), [only]) => route.redirect = Some(*only),
            (Some(0), _) => {
                let words = format!(
                    "{port}: `redirect: https` needs one port with `tls`; of several, name one"
                );
                return Err(de::Error::custom(words));
            }
            (Some(to), secure) if !secure.contains(&to) => {
                let words = format!("{port} redirects to {to}, which has no `tls`");
                return Err(de::Error::custom(words));
            }
            _ => {}
        }
    }
    Ok(all)
}

/// A host name without a port, its first label perhaps `*`.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// `true`, or the files of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Off,
    /// A certificate of the local authority.
    Local,
    Files(TlsFiles),
}

impl Tls {
    pub fn is_on(&self) -> bool {
        *self != Self::Off
    }
}

/// A certificate of the user's own, PEM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, and the chain after it.
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Tls;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or { cert: FILE, key: FILE }")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Tls, E> {
                Ok(if on { Tls::Local } else { Tls::Off })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tls, E> {
                match text {
                    "true" => Ok(Tls::Local),
                    "false" => Ok(Tls::Off),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Tls, A::Error> {
                TlsFiles::deserialize(MapAccessDeserializer::new(map)).map(Tls::Files)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Where a route without services sends its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// The file's only TLS route.
    Https,
    /// The TLS route of this port.
    Port(u16),
}

impl FromStr for Redirect {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "https" {
            return Ok(Self::Https);
        }
        let port = text.parse().ok().filter(|port| *port > 0);
        port.map(Self::Port)
            .ok_or_else(|| format!("`{text}` is neither `https` nor the port of a TLS route"))
    }
}

/// `service:port`, or that with more about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub to: Target,
    pub strip_prefix: bool,
    /// None: as the service's port says by `app_protocol`, else HTTP/1.1.
    pub protocol: Option<Spoken>,
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            to: Target,
            #[serde(default)]
            strip_prefix: bool,
            protocol: Option<Spoken>,
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Destination;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a target such as api:80, or { to: api:80, strip_prefix: true }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Destination, E> {
                let to = text.parse().map_err(E::custom)?;
                Ok(Destination { to, strip_prefix: false, protocol: None })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Destination, A::Error> {
                let Long { to, strip_prefix, protocol } =
                    Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Destination { to, strip_prefix, protocol })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// What a service understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken(pub Protocol);

impl FromStr for Spoken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "http" => Ok(Self(Protocol::Http1)),
            "h2c" | "grpc" => Ok(Self(Protocol::H2c)),
            _ => Err(format!("`{text}` is none of http, h2c and grpc")),
        }
    }
}

/// Times that a service has; what is not said is as ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    #[serde(deserialize_with = "time")]
    pub connect: Option<Duration>,
    /// Until the head of the answer.
    #[serde(deserialize_with = "time")]
    pub response: Option<Duration>,
    /// Between two pieces of the answer's body.
    #[serde(deserialize_with = "time")]
    pub idle: Option<Duration>,
}

/// How the proxy asks the replicas of a route.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthFile {
    #[serde(default, deserialize_with = "path")]
    pub path: Option<String>,
    #[serde(default = "five_seconds", deserialize_with = "interval")]
    pub interval: Duration,
    #[serde(default = "three", deserialize_with = "threshold")]
    pub threshold: u32,
}

const fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

const fn three() -> u32 {
    3
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Some(path))
    } else {
        Err(de::Error::custom(format!("`{path}` is no path such as /health")))
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let time = duration(deserializer)?;
    if time.is_zero() {
        Err(de::Error::custom("expected more than no time"))
    } else {
        Ok(Some(time))
    }
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let time = duration(deserializer)?;
    if time < Duration::from_millis(100) {
        return Err(de::Error::custom("expected at least 100ms"));
    }
    Ok(time)
}

fn threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match from_text(deserializer)? {
        0 => Err(de::Error::custom("expected at least 1")),
        number => Ok(number),
    }
}

/// `50MB`, `512k` or plain bytes; the letters stand for powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size(u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let letters = lower.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = lower[..lower.len() - letters.len()].parse::<u64>().ok();
        let shift = match letters {
            "" | "b" => Some(0),
            "k" | "kb" => Some(10),
            "m" | "mb" => Some(20),
            "g" | "gb" => Some(30),
            _ => None,
        };
        number
            .zip(shift)
            .and_then(|(number, shift)| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size such as 50MB"))
    }
}

macro_rules! by_text {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    )*};
}

by_text!(Listen, Target, Redirect, Spoken, Size);

/// `3000` or `0.0.0.0:3000`; 127.0.0.1 unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub host_ip: String,
    pub port: u16,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
        let port = port.parse().ok().filter(|port| *port > 0);
        let port =
            port.ok_or_else(|| format!("`{text}` is not a port such as 3000 or 0.0.0.0:3000"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<std::net::IpAddr>().map_err(|_| format!("`{host}` is not an IP address"))?;
        Ok(Self { host_ip: host.to_owned(), port })
    }
}

/// `service:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub service: String,
    pub port: u16,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a target such as api:80");
        let (service, port) = text.split_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        if service.is_empty() {
            return Err(wrong());
        }
        Ok(Self { service: service.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_is_loopback_unless_it_says_otherwise() {
        assert_eq!("3000".parse(), Ok(Listen { host_ip: "127.0.0.1".into(), port: 3000 }));
        assert_eq!("0.0.0.0:80".parse(), Ok(Listen { host_ip: "0.0.0.0".into(), port: 80 }));
        assert_eq!("[::1]:80".parse(), Ok(Listen { host_ip: "::1".into(), port: 80 }));
        assert!("0".parse::<Listen>().is_err());
        assert!("web:80".parse::<Listen>().is_err());
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        for (text, bytes) in [("12", 12), ("4k", 4096), ("50MB", 50 << 20), ("2g", 2 << 30)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for wrong in ["", "MB", "-1", "1.5m", "3 MB", "99999999999g"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_is_a_service_and_a_port() {
        assert_eq!("api:80".parse(), Ok(Target { service: "api".into(), port: 80 }));
        for wrong in ["api", ":80", "api:x", "api:0"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
