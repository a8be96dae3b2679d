//! A look at the data of a durable service before another container gets it.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::{RunError, anew::is_own};
use crate::{
    database::{Seen, Server},
    engine::{self, Engine, EngineError, LogOptions},
    model::ServiceSpec,
    plan::DataCheck,
};

/// A look reads a few small files, and a certificate is made at once.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Whether the new image's server may open the data. Data or images that are of no known database are let pass. Returns
/// the step up where it is of a higher version than all that had the data: `from MariaDB 11.8.3 to MariaDB 11.8.6`.
pub(super) async fn check_data(
    engine: &dyn Engine,
    check: &DataCheck,
) -> Result<Option<String>, RunError> {
    let seen = look(engine, &check.look).await?;
    let (Some(server), Some(data)) = (seen.server, seen.data) else { return Ok(None) };
    let mut known = vec![data];
    if let Some(image) = &check.last {
        let mounts = vec![];
        let of_last = ServiceSpec { image: image.clone(), mounts, ..check.look.clone() };
        let last = look(engine, &of_last).await?.server;
        known.extend(last.filter(|last: &Server| last.kind == data.kind));
    }
    for &data in &known {
        server.may_open(data).map_err(|reason| RunError::Unsuited {
            service: check.service.clone(),
            image: check.look.image.clone(),
            reason,
        })?;
    }
    let highest = known.into_iter().max_by_key(|server| server.version);
    let highest = highest.filter(|last| last.version.is_some() && server.version > last.version);
    Ok(highest.map(|last| format!("from {last} to {server}")))
}

/// Runs the look to its end and removes its container. An image without a shell tells nothing.
async fn look(engine: &dyn Engine, spec: &ServiceSpec) -> engine::Result<Seen> {
    match to_its_end(engine, spec, LIMIT).await {
        Ok((_, said)) => Ok(Seen::read(&said)),
        Err(EngineError::Refused { .. }) => Ok(Seen::default()),
        Err(error) => Err(error),
    }
}

/// Runs a container to its end and removes it; its exit code and what it said.
pub async fn to_its_end(
    engine: &dyn Engine,
    spec: &ServiceSpec,
    limit: Duration,
) -> engine::Result<(i64, String)> {
    create_anew(engine, spec).await?;
    let ended = match engine.start(&spec.name).await {
        Ok(()) => said(engine, &spec.name, limit).await,
        Err(error) => Err(error),
    };
    engine.remove(&spec.name).await?;
    ended
}

/// Makes a container that runs to its end, also where one of a process that was killed is there.
async fn create_anew(engine: &dyn Engine, spec: &ServiceSpec) -> engine::Result<()> {
    match engine.create(spec).await {
        Err(EngineError::NameTaken { .. }) => {
            // Nobody else's is removed.
            let observed = engine.observe().await?;
            if !observed.container(&spec.name).is_some_and(|found| is_own(found, spec)) {
                let name = spec.name.clone();
                return Err(EngineError::NameTaken { kind: "container", name });
            }
            engine.remove(&spec.name).await?;
            engine.create(spec).await
        }
        created => created,
    }
}

/// A container's exit code and what it said, once it ends.
async fn said(engine: &dyn Engine, name: &str, limit: Duration) -> engine::Result<(i64, String)> {
    let end = tokio::time::timeout(limit, engine.wait(name)).await;
    let code = end.map_err(|_| EngineError::TimedOut { what: name.to_owned(), limit })??;
    Ok((code, log_text(engine, name, &LogOptions::default()).await?))
}

/// A container's log as it is now.
pub async fn log_text(
    engine: &dyn Engine,
    name: &str,
    options: &LogOptions,
) -> engine::Result<String> {
    let mut log = engine.logs(name, options).await?;
    let mut bytes = vec![];
    while let Some(chunk) = log.next().await {
        bytes.extend_from_slice(&chunk?.bytes);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
