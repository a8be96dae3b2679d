//! Containers from creation to removal.

use std::time::Duration;

use bollard::{
    errors::Error,
    query_parameters::{
        RemoveContainerOptions, RenameContainerOptions, StartContainerOptions,
        StopContainerOptions, WaitContainerOptions,
    },
};
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::{
    Docker, body,
    call::Path,
    fault::{self, Asked},
    files,
};
use crate::{
    engine::{EngineError, Result},
    model::{Attachment, ServiceSpec},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// A container that needs more than one call to be whole gets its name last: what bears the name is whole, also after
/// a kill at any point. What a kill left under the name for the meantime is removed by the next creation.
pub(super) async fn create(docker: &Docker, spec: &ServiceSpec) -> Result<()> {
    let body = body::container(spec, docker.version)?;
    let later = body::later(spec, docker.version);
    if later.is_empty() && spec.files.is_empty() {
        return make(docker, spec, &spec.name, &body).await.map(|_| ());
    }
    let meantime = format!("{}.unfinished", spec.name);
    let mut guard = Unfinished { docker, name: Some(meantime.clone()) };
    let finished = async {
        let id = match make(docker, spec, &meantime, &body).await {
            Err(EngineError::NameTaken { .. }) => {
                remove(docker, &meantime).await?;
                make(docker, spec, &meantime, &body).await?
            }
            made => made?,
        };
        for network in later {
            connect(docker, &id, network).await?;
        }
        files::write(docker, &id, &spec.files).await?;
        rename(docker, &id, spec).await
    };
    let finished = finished.await;
    guard.name = None;
    if finished.is_err() {
        // What stays all the same is removed by the next creation; the first error tells more.
        let _ = remove(docker, &meantime).await;
    }
    finished.map_err(|error| named(error, &spec.name))
}

async fn make(
    docker: &Docker,
    spec: &ServiceSpec,
    name: &str,
    body: &serde_json::Value,
) -> Result<String> {
    let mut path = Path::new(&["containers", "create"]).with("name", name);
    if let Some(platform) = &spec.platform {
        path = path.with("platform", platform);
    }
    let asked = Asked::Create { name, image: &spec.image };
    Ok(docker.post::<Created>(path.as_str(), body, asked).await?.id)
}

async fn rename(docker: &Docker, id: &str, spec: &ServiceSpec) -> Result<()> {
    let name = spec.name.clone();
    let options = RenameContainerOptions { name: name.clone() };
    let asked = Asked::Create { name: &name, image: &spec.image };
    docker.api.rename_container(id, options).await.map_err(|e| docker.explain(&e, asked))
}

/// The error with the container's name in place of the id that it had in the meantime.
fn named(error: EngineError, name: &str) -> EngineError {
    match error {
        EngineError::Refused { status, reason, .. } => {
            EngineError::Refused { intention: format!("create container `{name}`"), status, reason }
        }
        EngineError::Io { reason, .. } => {
            EngineError::Io { intention: format!("create container `{name}`"), reason }
        }
        other => other,
    }
}

/// Removes what a creation that is dropped half-way leaves, as far as the runtime still lives.
struct Unfinished<'a> {
    docker: &'a Docker,
    name: Option<String>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let api = self.docker.api.clone();
            tokio::spawn(async move {
                // The engine may be making it just now.
                for _ in 0..10 {
                    let options = RemoveContainerOptions { force: true, v: true, link: false };
                    if api.remove_container(&name, Some(options)).await.is_ok() {
                        return;
                    }
                    #[expect(clippy::disallowed_methods, reason = "ten times at most")]
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
    }
}

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

pub(super) async fn remove(docker: &Docker, name: &str) -> Result<()> {
    let options = RemoveContainerOptions { force: true, v: true, link: false };
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
