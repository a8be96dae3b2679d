//! Ports of this host that a plan needs and another program holds: seen before anything is stopped for it.

use std::{io::ErrorKind, net::TcpListener};

use super::{OpsError, Session};
use crate::{
    model::{Container, Observed},
    plan::{Action, Conflict, Plan},
};

/// Refuses a plan that makes a container on a port that a program of this machine holds.
///
/// With an engine on another machine nothing can be seen; the engine's own word comes when the container starts.
pub fn check(session: &Session<'_>, plan: &Plan, observed: &Observed) -> Result<(), OpsError> {
    if session.host != "127.0.0.1" {
        return Ok(());
    }
    for step in plan.steps() {
        let Action::Create(spec) = &step.action else { continue };
        let held = observed.container(&spec.name).filter(|own| own.is_running());
        let is_held = |port: u16| {
            held.is_some_and(|own: &Container| own.ports.iter().any(|p| p.host_port == Some(port)))
        };
        for publish in &spec.ports {
            let Some(port) = publish.host_port.filter(|port| !is_held(*port)) else { continue };
            if publish.protocol == "tcp" && is_taken(&publish.host_ip, port) {
                let address = publish.host_ip.clone();
                return Err(Conflict::PortHeldByProgram { address, port }.into());
            }
        }
    }
    Ok(())
}

/// Whether a program of this machine listens there. An address that is not of this machine is not taken.
pub fn is_taken(address: &str, port: u16) -> bool {
    TcpListener::bind((address, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}
