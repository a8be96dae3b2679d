//! Making containers, all or nothing.

use std::time::Duration;

use bollard::query_parameters::RenameContainerOptions;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    Docker, body,
    call::Path,
    fault::Asked,
    files,
    lifecycle::{connect, remove},
};
use crate::{
    engine::{EngineError, Result},
    model::ServiceSpec,
};

/// The name for the meantime is held, and by nothing that can be removed, while the engine still makes what a killed
/// process asked for.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// A container that needs more than one call to be whole gets its name last: what bears the name is whole, also after
/// a kill at any point. What a kill left under the name for the meantime is removed by the next creation.
pub(super) async fn create(docker: &Docker, spec: &ServiceSpec) -> Result<()> {
    let body = body::container(spec, docker.version)?;
    if body::later(spec, docker.version).is_empty() && spec.files.is_empty() {
        return make(docker, spec, &spec.name, &body).await.map(|_| ());
    }
    // On its own, because the engine makes a container whether or not somebody waits for the answer: one who drops
    // this future leaves the rest, which is removing it, to the task.
    let (waiting, here) = oneshot::channel::<()>();
    let (docker, wanted) = (docker.clone(), spec.clone());
    let done = tokio::spawn(async move { whole(&docker, &wanted, &body, waiting).await }).await;
    drop(here);
    done.unwrap_or_else(|error| {
        Err(EngineError::Io {
            intention: format!("create container `{}`", spec.name),
            reason: error.to_string(),
        })
    })
}

async fn whole(
    docker: &Docker,
    spec: &ServiceSpec,
    body: &Value,
    mut waiting: oneshot::Sender<()>,
) -> Result<()> {
    let meantime = format!("{}.unfinished", spec.name);
    let mut tries = 0;
    let id = loop {
        let made = make(docker, spec, &meantime, body).await;
        let taken = matches!(made, Err(EngineError::NameTaken { .. }));
        if !taken || waiting.is_closed() || tries == TRIES {
            break made.map_err(|error| named(error, &spec.name))?;
        }
        remove(docker, &meantime, true).await?;
        if tries > 0 {
            #[expect(clippy::disallowed_methods, reason = "a bounded number of times")]
            tokio::time::sleep(PAUSE).await;
        }
        tries += 1;
    };
    let finished = tokio::select! {
        biased;
        () = waiting.closed() => Ok(false),
        finished = finish(docker, spec, &id) => finished.map(|()| true),
    };
    if !matches!(finished, Ok(true)) {
        // What stays all the same is removed by the next creation; the first error tells more.
        let _ = remove(docker, &id, true).await;
    }
    finished.map(|_| ()).map_err(|error| named(error, &spec.name))
}

async fn finish(docker: &Docker, spec: &ServiceSpec, id: &str) -> Result<()> {
    for network in body::later(spec, docker.version) {
        connect(docker, id, network).await?;
    }
    files::write(docker, id, &spec.files).await?;
    let options = RenameContainerOptions { name: spec.name.clone() };
    let asked = Asked::Create { name: &spec.name, image: &spec.image };
    docker.api.rename_container(id, options).await.map_err(|e| docker.explain(&e, asked))
}

async fn make(docker: &Docker, spec: &ServiceSpec, name: &str, body: &Value) -> Result<String> {
    let mut path = Path::new(&["containers", "create"]).with("name", name);
    if let Some(platform) = &spec.platform {
        path = path.with("platform", platform);
    }
    let asked = Asked::Create { name, image: &spec.image };
    Ok(docker.post::<Created>(path.as_str(), body, asked).await?.id)
}

/// The error with the container's own name in place of what it was called in the meantime.
fn named(error: EngineError, name: &str) -> EngineError {
    let intention = format!("create container `{name}`");
    match error {
        EngineError::Refused { status, reason, .. } => {
            EngineError::Refused { intention, status, reason }
        }
        EngineError::Io { reason, .. } => EngineError::Io { intention, reason },
        EngineError::NoBindSource { path, .. } => {
            EngineError::NoBindSource { container: name.to_owned(), path }
        }
        other => other,
    }
}
