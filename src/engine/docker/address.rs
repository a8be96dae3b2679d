//! Where an engine is reached.

use std::{fmt, path::PathBuf};

use crate::engine::{EngineError, Result};

/// Where an engine is reached: a socket of this host, or a TCP port without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
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
        let unsupported = |reason: &str| EngineError::Unsupported {
            what: format!("be reached at `{text}`"),
            reason: reason.to_owned(),
        };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(PathBuf::from(path))),
            Some(("tcp" | "http", rest)) => {
                let host = rest.trim_end_matches('/');
                if host.is_empty() || host.contains('/') {
                    return Err(unsupported("`tcp://host:port` is expected"));
                }
                let has_port = match host.rsplit_once(']') {
                    Some((_, after)) => after.starts_with(':'),
                    None => host.contains(':'),
                };
                Ok(Self::Tcp(if has_port { host.to_owned() } else { format!("{host}:2375") }))
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
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
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
        assert_eq!(
            parse(Some("unix:///run/user/1000/docker.sock")),
            "unix:///run/user/1000/docker.sock"
        );
        assert_eq!(parse(Some("/run/d.sock")), "unix:///run/d.sock");
        assert_eq!(parse(Some("tcp://docker:2375/")), "tcp://docker:2375");
        assert_eq!(parse(Some("tcp://docker")), "tcp://docker:2375");
        assert_eq!(parse(Some("tcp://[::1]")), "tcp://[::1]:2375");
    }

    #[test]
    fn an_address_that_cannot_be_used_says_why() {
        for (text, part) in [
            ("ssh://host", "ssh -L"),
            ("npipe:////./x", "neither"),
            ("tcp://", "host:port"),
            ("docker", "expected"),
        ] {
            let error = Address::parse(Some(text)).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(part), "{error}");
        }
    }
}
