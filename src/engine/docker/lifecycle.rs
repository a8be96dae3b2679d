//! Containers from start to removal.

use std::time::Duration;

use bollard::{
    errors::Error,
    query_parameters::{
        RemoveContainerOptions, StartContainerOptions, StopContainerOptions, WaitContainerOptions,
    },
};
use futures_util::StreamExt as _;

use super::{
    Docker, body,
    fault::{self, Asked},
};
use crate::{
    engine::{EngineError, Result},
    model::Attachment,
};

pub(super) async fn start(docker: &Docker, name: &str) -> Result<()> {
    docker
        .patient
        .start_container(name, None::<StartContainerOptions>)
        .await
        .map_err(|e| docker.explain(&e, Asked::Start(name)))
}

pub(super) async fn stop(docker: &Docker, name: &str, grace: Option<Duration>) -> Result<()> {
    let options = StopContainerOptions {
        t: grace.map(|grace| i32::try_from(body::whole_seconds(grace)).unwrap_or(i32::MAX)),
        signal: None,
    };
    match docker.patient.stop_container(name, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if fault::status(&error) == Some(404) => Ok(()),
        Err(e) => Err(docker.explain(&e, Asked::Container { name, verb: "stop" })),
    }
}

pub(super) async fn remove(docker: &Docker, name: &str, volumes: bool) -> Result<()> {
    let options = RemoveContainerOptions { force: true, v: volumes, link: false };
    match docker.patient.remove_container(name, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if fault::status(&error) == Some(404) => Ok(()),
        // Another call removes it already: done when that one is.
        Err(Error::DockerResponseServerError { status_code: 409, message })
            if message.contains("already in progress") =>
        {
            let options = WaitContainerOptions { condition: "removed".to_owned() };
            let _ = docker.patient.wait_container(name, Some(options)).collect::<Vec<_>>().await;
            Ok(())
        }
        Err(e) => Err(docker.explain(&e, Asked::Container { name, verb: "remove" })),
    }
}

pub(super) async fn wait(docker: &Docker, name: &str) -> Result<i64> {
    let asked = Asked::Container { name, verb: "wait for" };
    let options = WaitContainerOptions { condition: "not-running".to_owned() };
    let mut answers = Box::pin(docker.patient.wait_container(name, Some(options)));
    match answers.next().await {
        Some(Ok(answer)) => Ok(answer.status_code),
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Ok(code),
        Some(Err(e)) => Err(docker.explain(&e, asked)),
        None => Err(EngineError::Io {
            intention: asked.to_string(),
            reason: "the engine closed the connection".to_owned(),
        }),
    }
}

/// Joining a network that it is on already is no error.
pub(super) async fn connect(docker: &Docker, name: &str, network: &Attachment) -> Result<()> {
    let request = bollard::models::NetworkConnectRequest {
        container: name.to_owned(),
        endpoint_config: Some(body::endpoint(network, docker.version)?),
    };
    match docker.api.connect_network(&network.network, request).await {
        Ok(()) => Ok(()),
        Err(Error::DockerResponseServerError { status_code: 403, message })
            if message.contains("already exists in network") =>
        {
            Ok(())
        }
        Err(e) => {
            let verb = format!("connect to network `{}` the", network.network);
            Err(docker.explain(&e, Asked::Container { name, verb: &verb }))
        }
    }
}
