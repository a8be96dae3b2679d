//! The shape of `envctl.yaml` (docs/project-file.md).

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, de};

use crate::model::Color;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectFile {
    pub name: String,
    #[serde(default)]
    pub environments: IndexMap<String, Option<EnvironmentFile>>,
    #[serde(default)]
    pub durable: DurableFile,
    pub app: AppFile,
    #[serde(default)]
    pub proxy: ProxyFile,
    #[serde(default)]
    pub checks: Vec<Check>,
    #[serde(default)]
    pub hooks: Hooks,
    /// Variables that `envctl credentials` gives random values.
    #[serde(default)]
    pub credentials: Vec<String>,
}

impl ProjectFile {
    /// A file that says nothing but which Compose files the app is.
    pub fn of_app(name: String, compose: Vec<PathBuf>) -> Self {
        Self {
            name,
            environments: IndexMap::new(),
            durable: DurableFile::default(),
            app: AppFile { compose, ..AppFile::default() },
            proxy: ProxyFile::default(),
            checks: vec![],
            hooks: Hooks::default(),
            credentials: vec![],
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentFile {
    #[serde(default)]
    pub env_file: Vec<PathBuf>,
    /// Added to every port that is listened on or published.
    #[serde(default, deserialize_with = "number")]
    pub port_offset: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DurableFile {
    /// Files of the durable layer's own.
    #[serde(default)]
    pub compose: Vec<PathBuf>,
    /// Services of the app's files that shall be durable.
    #[serde(default)]
    pub services: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// None: found as Compose finds them.
    #[serde(default)]
    pub compose: Vec<PathBuf>,
    #[serde(default)]
    pub blue: Vec<PathBuf>,
    #[serde(default)]
    pub green: Vec<PathBuf>,
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Services that run only while their color is live.
    #[serde(default)]
    pub workers: Vec<String>,
    /// How many releases that were live keep their images, for a way back.
    #[serde(default = "five", deserialize_with = "number")]
    pub retain: u16,
}

const fn five() -> u16 {
    5
}

impl AppFile {
    pub fn overrides(&self, color: Color) -> &[PathBuf] {
        match color {
            Color::Blue => &self.blue,
            Color::Green => &self.green,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyFile {
    /// None: the ports that the app's services publish.
    pub routes: Vec<RouteFile>,
    pub preview: Preview,
    #[serde(deserialize_with = "duration")]
    pub drain: Duration,
    /// The proxy's image where envctl's own executable cannot run in a container.
    pub image: Option<String>,
    /// Further names that the certificate of TLS routes is for.
    pub names: Vec<String>,
}

impl Default for ProxyFile {
    fn default() -> Self {
        Self {
            routes: vec![],
            preview: Preview::default(),
            drain: Duration::from_secs(30),
            image: None,
            names: vec![],
        }
    }
}

/// What is added to a route's port for a color's preview.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preview {
    #[serde(deserialize_with = "number")]
    pub blue: u16,
    #[serde(deserialize_with = "number")]
    pub green: u16,
}

impl Default for Preview {
    fn default() -> Self {
        Self { blue: 10, green: 20 }
    }
}

impl Preview {
    pub const fn of(self, color: Color) -> u16 {
        match color {
            Color::Blue => self.blue,
            Color::Green => self.green,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteFile {
    pub listen: Listen,
    #[serde(default)]
    pub tls: bool,
    #[serde(default)]
    pub tcp: bool,
    pub to: Option<Target>,
    #[serde(default)]
    pub paths: IndexMap<String, Target>,
}

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

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
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

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// One question that `envctl test` asks of a color's preview.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub path: String,
    /// The route's listen port; the first HTTP route where none is given.
    #[serde(default, deserialize_with = "optional_number")]
    pub route: Option<u16>,
    #[serde(default = "ok", deserialize_with = "number")]
    pub status: u16,
    /// Text that the body holds.
    pub contains: Option<String>,
    #[serde(default = "ten_seconds", deserialize_with = "duration")]
    pub timeout: Duration,
}

const fn ok() -> u16 {
    200
}

const fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// One-shot services of the app's files, run in the new color.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// With the old color still live; a failure stops the switch.
    #[serde(default)]
    pub before_switch: Vec<String>,
}

/// A scalar read from its text: interpolation leaves text, YAML may have seen a number.
fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a number")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }

    deserializer.deserialize_any(Text)?.parse().map_err(de::Error::custom)
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    from_text(deserializer)
}

fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    from_text(deserializer).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Span(Duration);

    impl FromStr for Span {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let wrong = || format!("`{text}` is not a time such as 30s, 1m30s or 500ms");
            let span: jiff::Span = text.parse().map_err(|_| wrong())?;
            Duration::try_from(span).map(Self).map_err(|_| wrong())
        }
    }

    from_text::<D, Span>(deserializer).map(|span| span.0)
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
    fn a_target_is_a_service_and_a_port() {
        assert_eq!("api:80".parse(), Ok(Target { service: "api".into(), port: 80 }));
        for wrong in ["api", ":80", "api:x", "api:0"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
