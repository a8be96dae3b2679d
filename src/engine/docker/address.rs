//! Where an engine is reached.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::engine::{EngineError, Result};

/// Where an engine is reached: a socket of this host, or a TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp {
        /// A name or an address, in brackets where it has colons.
        host: String,
        port: Option<u16>,
        /// The folder of `ca.pem`, `cert.pem` and `key.pem`; none is without TLS.
        tls: Option<PathBuf>,
    },
}

impl Default for Address {
    fn default() -> Self {
        Self::Unix(PathBuf::from("/var/run/docker.sock"))
    }
}

impl Address {
    /// Reads what `DOCKER_HOST` holds; nothing, or nothing in it, is the default socket.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        let unsupported =
            |reason: &str| refuse(&format!("be reached at `{text}`"), reason.to_owned());
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(("tcp" | "http", rest)) => {
                let rest = rest.trim_end_matches('/');
                let (host, port) = match rest.rsplit_once(':') {
                    // The colons of a bare IPv6 address in brackets.
                    Some((_, after)) if after.ends_with(']') => (rest, None),
                    Some((host, port)) => (host, Some(port.parse().ok())),
                    None => (rest, None),
                };
                if host.is_empty() || host.contains('/') || port == Some(None) {
                    return Err(unsupported("`tcp://host:port` is expected"));
                }
                Ok(Self::Tcp { host: host.to_owned(), port: port.flatten(), tls: None })
            }
            Some(("ssh", _)) => Err(unsupported(
                "ssh is not built in; forward the socket with `ssh -L` and name it with `unix://`",
            )),
            Some((scheme, _)) => {
                Err(unsupported(&format!("`{scheme}` is neither `unix` nor `tcp`")))
            }
            None if text.starts_with('/') => Ok(Self::Unix(PathBuf::from(text))),
            None => Err(unsupported("`unix:///path` or `tcp://host:port` is expected")),
        }
    }

    /// Finds the engine as `docker` does: `host` (`DOCKER_HOST`), else the context of this name (`DOCKER_CONTEXT`),
    /// else the current one of the `config.json` in `folder` (`~/.docker`), else the default socket.
    pub fn find(host: Option<&str>, context: Option<&str>, folder: Option<&Path>) -> Result<Self> {
        let given = |text: &&str| !text.trim().is_empty();
        let host = host.filter(given);
        let (None, Some(folder)) = (host, folder) else { return Self::parse(host) };
        let current = || {
            let text = std::fs::read(folder.join("config.json")).ok()?;
            serde_json::from_slice::<Config>(&text).ok()?.current_context
        };
        let context = context.filter(given).map(str::to_owned).or_else(current);
        match context.as_deref() {
            None | Some("" | "default") => Ok(Self::default()),
            Some(name) => Self::of_context(name, &folder.join("contexts")),
        }
    }

    fn of_context(name: &str, folder: &Path) -> Result<Self> {
        let id = hex::encode(Sha256::digest(name));
        let path = folder.join("meta").join(&id).join("meta.json");
        let failed = |error: &dyn fmt::Display| {
            refuse(
                &format!("be found by the docker context `{name}`"),
                format!("`{}`: {error}", path.display()),
            )
        };
        let text = std::fs::read(&path).map_err(|error| failed(&error))?;
        let meta: Meta = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        let tls = folder.join("tls").join(&id).join("docker");
        Ok(Self::parse(Some(&meta.endpoints.docker.host))?.with_tls(tls.exists().then_some(tls)))
    }

    /// Uses TLS with the certificates in this folder (`DOCKER_CERT_PATH`, where `DOCKER_TLS_VERIFY` is set). A socket
    /// has none.
    #[must_use]
    pub fn with_tls(mut self, folder: Option<PathBuf>) -> Self {
        if let Self::Tcp { tls, .. } = &mut self {
            *tls = folder;
        }
        self
    }
}

fn refuse(what: &str, reason: String) -> EngineError {
    EngineError::Unsupported { what: what.to_owned(), reason }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, tls } => {
                let usual = if tls.is_some() { 2376 } else { 2375 };
                write!(f, "tcp://{host}:{}", port.unwrap_or(usual))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        let parse = |text| Address::parse(text).unwrap().to_string();
        assert_eq!(parse(None), "unix:///var/run/docker.sock");
        assert_eq!(parse(Some(" ")), "unix:///var/run/docker.sock");
        assert_eq!(parse(Some("unix:///run/user/1/docker.sock")), "unix:///run/user/1/docker.sock");
        assert_eq!(parse(Some("/run/d.sock")), "unix:///run/d.sock");
        assert_eq!(parse(Some("tcp://docker:2375/")), "tcp://docker:2375");
        assert_eq!(parse(Some("tcp://docker")), "tcp://docker:2375");
        assert_eq!(parse(Some("tcp://[::1]")), "tcp://[::1]:2375");
        assert_eq!(parse(Some("tcp://[::1]:99")), "tcp://[::1]:99");
        let tls = Address::parse(Some("tcp://docker")).unwrap().with_tls(Some("/certs".into()));
        assert_eq!(tls.to_string(), "tcp://docker:2376");
    }

    #[test]
    fn an_address_that_cannot_be_used_says_why() {
        for (text, part) in [
            ("ssh://host", "ssh -L"),
            ("npipe:////./x", "neither"),
            ("tcp://", "host:port"),
            ("tcp://a:b", "host:port"),
            ("docker", "expected"),
        ] {
            let error = Address::parse(Some(text)).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn contexts_are_found_as_docker_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let id = hex::encode(Sha256::digest("rootless"));
        let meta = folder.path().join("contexts/meta").join(&id);
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"rootless","Endpoints":{"docker":{"Host":"tcp://far","SkipTLSVerify":false}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let find = |host, context| {
            Address::find(host, context, Some(folder.path())).map(|address| address.to_string())
        };
        assert_eq!(find(None, None).unwrap(), "unix:///var/run/docker.sock");
        assert_eq!(find(None, Some("rootless")).unwrap(), "tcp://far:2375");
        assert_eq!(find(Some("/a"), Some("rootless")).unwrap(), "unix:///a");
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"rootless"}"#)
            .unwrap();
        std::fs::create_dir_all(folder.path().join("contexts/tls").join(&id).join("docker"))
            .unwrap();
        assert_eq!(find(None, None).unwrap(), "tcp://far:2376");
        assert_eq!(find(None, Some("default")).unwrap(), "unix:///var/run/docker.sock");
        assert!(find(None, Some("gone")).unwrap_err().to_string().contains("`gone`"));
    }
}
