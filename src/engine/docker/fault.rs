//! What the engine's refusals mean: bollard's errors and the engine's own texts, told apart by intention.

use std::{error::Error as _, fmt, io, sync::LazyLock, time::Duration};

use regex::Regex;

use super::{Address, transport::NotConnected};
use crate::engine::EngineError;

/// What was asked of the engine.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    Create {
        name: &'a str,
        image: &'a str,
    },
    Start(&'a str),
    /// Anything else with a container.
    Container {
        name: &'a str,
        verb: &'a str,
    },
    Network {
        name: &'a str,
        verb: &'a str,
    },
    Volume {
        name: &'a str,
        verb: &'a str,
    },
    Image {
        reference: &'a str,
        verb: &'a str,
    },
    Engine(&'a str),
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, .. } => write!(f, "create container `{name}`"),
            Self::Start(name) => write!(f, "start container `{name}`"),
            Self::Container { name, verb } => write!(f, "{verb} container `{name}`"),
            Self::Network { name, verb } => write!(f, "{verb} network `{name}`"),
            Self::Volume { name, verb } => write!(f, "{verb} volume `{name}`"),
            Self::Image { reference, verb } => write!(f, "{verb} image `{reference}`"),
            Self::Engine(what) => f.write_str(what),
        }
    }
}

impl Asked<'_> {
    fn container(&self) -> Option<&str> {
        match self {
            Self::Create { name, .. } | Self::Start(name) | Self::Container { name, .. } => {
                Some(name)
            }
            _ => None,
        }
    }
}

/// The HTTP status of a refusal.
pub(super) fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The error of a call that failed.
pub(super) fn explain(
    error: &bollard::errors::Error,
    asked: Asked<'_>,
    address: &Address,
    limit: Duration,
) -> EngineError {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            classify(*status_code, message, asked)
        }
        Error::DockerStreamError { error } => classify(0, error, asked),
        Error::RequestTimeoutError => EngineError::TimedOut { what: asked.to_string(), limit },
        Error::IOError { err } => io_error(err, asked, address),
        other if broken(other) => EngineError::Unreachable {
            address: address.to_string(),
            reason: format!("the connection broke: {asked}"),
        },
        other => {
            let mut reason = other.to_string();
            let mut cause = other.source();
            while let Some(inner) = cause {
                let text = inner.to_string();
                if !reason.contains(&text) {
                    reason = format!("{reason}: {text}");
                }
                cause = inner.source();
            }
            EngineError::Io { intention: asked.to_string(), reason }
        }
    }
}

fn io_error(error: &io::Error, asked: Asked<'_>, address: &Address) -> EngineError {
    let address = address.to_string();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<NotConnected>()) {
        Some(_) if error.kind() == io::ErrorKind::PermissionDenied => {
            EngineError::Denied { address }
        }
        Some(NotConnected(reason)) => EngineError::Unreachable { address, reason: reason.clone() },
        None if broken(error) => {
            EngineError::Unreachable { address, reason: format!("the connection broke: {asked}") }
        }
        None => EngineError::Io { intention: asked.to_string(), reason: error.to_string() },
    }
}

/// Whether the connection ended in the middle of a call: the engine went away.
fn broken(error: &(dyn std::error::Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kinds = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
    let mut next = Some(error);
    while let Some(error) = next {
        let system = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if system.is_some_and(|kind| kinds.contains(&kind))
            || error.downcast_ref().is_some_and(hyper::Error::is_incomplete_message)
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// The refusal that a status and a text mean.
pub(super) fn classify(status: u16, message: &str, asked: Asked<'_>) -> EngineError {
    let message = message.trim();
    let reason = message.to_owned();
    if message.contains("no space left on device") {
        return EngineError::DiskFull { reason };
    }
    if let Some(container) = asked.container()
        && let Some((address, port)) = taken_port(message)
    {
        return EngineError::PortTaken {
            container: container.to_owned(),
            address,
            port,
            holder: None,
        };
    }
    match asked {
        Asked::Create { name, image } => {
            if status == 409 && message.contains("already in use") {
                return EngineError::NameTaken { kind: "container", name: name.to_owned() };
            }
            if status == 404 && message.to_lowercase().contains("no such image") {
                return EngineError::NoImage { reference: image.to_owned() };
            }
            if let Some((_, path)) = message.split_once("bind source path does not exist: ") {
                let path = path.lines().next().unwrap_or_default().trim().to_owned();
                return EngineError::NoBindSource { container: name.to_owned(), path };
            }
        }
        Asked::Start(name) if message.contains("marked for removal") => {
            return EngineError::BeingRemoved { name: name.to_owned() };
        }
        Asked::Start(name) | Asked::Container { name, .. }
            if status == 404 && message.contains("No such container") =>
        {
            return EngineError::NoContainer { name: name.to_owned() };
        }
        Asked::Network { name, .. } => {
            if status == 409 && message.contains("already exists") {
                return EngineError::NameTaken { kind: "network", name: name.to_owned() };
            }
            if message.contains("could not find an available")
                || message.contains("have been fully subnetted")
            {
                return EngineError::NoSubnet { network: name.to_owned() };
            }
        }
        Asked::Image { reference, .. } if status == 404 && message.contains("No such image") => {
            return EngineError::NoImage { reference: reference.to_owned() };
        }
        _ => {}
    }
    EngineError::Refused { intention: asked.to_string(), status, reason }
}

/// Address and port of “port is already allocated” and its relatives.
fn taken_port(message: &str) -> Option<(String, u16)> {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]*\]|::):(\d+)")
            .expect("the pattern is fixed")
    });
    let taken = message.contains("port is already allocated")
        || message.contains("address already in use")
        || message.contains("ports are not available");
    if !taken {
        return None;
    }
    PLACE.captures_iter(message).find_map(|found| {
        let port = found[2].parse().ok().filter(|port| *port != 0)?;
        Some((found[1].trim_matches(['[', ']']).to_owned(), port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Asked<'_> = Asked::Start("web");

    #[test]
    fn a_taken_port_is_read_out_of_every_wording() {
        for (message, address, port) in [
            (
                "driver failed programming external connectivity on endpoint web (ab12): Bind for 127.0.0.1:8080 failed: port is already allocated",
                "127.0.0.1",
                8080,
            ),
            (
                "driver failed programming external connectivity on endpoint web (ab12): Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                "0.0.0.0",
                80,
            ),
            (
                "failed to set up container networking: driver failed programming external connectivity on endpoint web: failed to bind host port for 0.0.0.0:80:172.17.0.2:8080/tcp: address already in use",
                "0.0.0.0",
                80,
            ),
            (
                "Ports are not available: ports are not available: exposing port TCP 0.0.0.0:443 -> 0.0.0.0:0: listen tcp 0.0.0.0:443: bind: address already in use",
                "0.0.0.0",
                443,
            ),
            (
                "Error starting userland proxy: listen tcp6 [::]:3000: bind: address already in use",
                "::",
                3000,
            ),
        ] {
            match classify(500, message, START) {
                EngineError::PortTaken { container, address: a, port: p, holder: None } => {
                    assert_eq!((container.as_str(), a.as_str(), p), ("web", address, port));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let create = Asked::Create { name: "web", image: "a:1" };
        let network = Asked::Network { name: "net", verb: "create" };
        let cases = [
            (
                409,
                "Conflict. The container name \"/web\" is already in use by container \"ab\". You have to remove (or rename) that container to be able to reuse that name.",
                create,
                "the name `web` is taken by another container",
            ),
            (404, "No such image: a:1", create, "image `a:1` is not on the engine"),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /nowhere",
                create,
                "bind source `/nowhere` does not exist on the engine's host",
            ),
            (404, "No such container: web", START, "no container `web`"),
            (
                409,
                "container is marked for removal and cannot be started",
                START,
                "container `web` is being removed",
            ),
            (404, "network ab not found", START, "start container `web`: network ab not found"),
            (
                409,
                "network with name net already exists",
                network,
                "the name `net` is taken by another network",
            ),
            (
                500,
                "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
                network,
                "all address pools of the engine are used up: network `net` gets no subnet",
            ),
            (
                500,
                "all predefined address pools have been fully subnetted",
                network,
                "all address pools of the engine are used up: network `net` gets no subnet",
            ),
            (
                500,
                "write /x: no space left on device",
                create,
                "the engine's disk is full: write /x: no space left on device",
            ),
            (
                403,
                "network net has active endpoints",
                Asked::Network { name: "net", verb: "remove" },
                "remove network `net`: network net has active endpoints",
            ),
        ];
        for (status, message, asked, text) in cases {
            assert_eq!(classify(status, message, asked).to_string(), text);
        }
    }

    #[test]
    fn an_engine_that_goes_away_during_a_call_is_absent() {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe] {
            let error = bollard::errors::Error::IOError { err: kind.into() };
            assert_eq!(
                explain(&error, START, &Address::default(), Duration::ZERO).to_string(),
                "no engine answers at `unix:///var/run/docker.sock`: the connection broke: start container `web`"
            );
        }
    }

    #[test]
    fn a_closed_door_is_not_an_absent_engine() {
        let error = |kind: io::ErrorKind| bollard::errors::Error::IOError {
            err: io::Error::new(kind, NotConnected("reason".into())),
        };
        let say =
            |kind| explain(&error(kind), START, &Address::default(), Duration::ZERO).to_string();
        assert_eq!(
            say(io::ErrorKind::PermissionDenied),
            "no permission to use the engine at `unix:///var/run/docker.sock`"
        );
        assert_eq!(
            say(io::ErrorKind::NotFound),
            "no engine answers at `unix:///var/run/docker.sock`: reason"
        );
    }
}
