//! Containers whose name, or whose place, is still held by one that is on its way out. An engine goes on making, and taking
//! back, what a process asked for that died.

use std::time::Duration;

use super::wait::{Poll, WaitError, poll};
use crate::{
    engine::{self, Engine, EngineError},
    model::{Container, ServiceSpec, State, labels},
};

/// How long the removal of a container may take.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Makes a container, also where one of ours has its name that never ran, as a process that died had asked for, or whose
/// removal came to no end.
pub(super) async fn create(engine: &dyn Engine, spec: &ServiceSpec) -> engine::Result<()> {
    match engine.create(spec).await {
        Err(EngineError::NameTaken { .. }) => {}
        made => return made,
    }
    let name = &spec.name;
    let taken = || EngineError::NameTaken { kind: "container", name: name.clone() };
    let waited = poll(GONE_WITHIN, async || {
        let observed = engine.observe().await?;
        // One that the engine still makes has its name before it is in the list.
        if let Some(found) = observed.container(name) {
            match found.state {
                _ if !is_own(found, spec) => return Err(taken()),
                State::Created => engine.remove(name).await?,
                // It may have run: a volume without a name may hold data.
                State::Removing | State::Dead => engine.remove_keeping_volumes(name).await?,
                _ => return Err(taken()),
            }
        }
        match engine.create(spec).await {
            Err(EngineError::NameTaken { .. }) => Ok(Poll::Pending(String::new())),
            made => made.map(Poll::Ready),
        }
    });
    waited.await.map_err(|error| match error {
        WaitError::Failed(error) => error,
        WaitError::Deadline(_) => taken(),
    })
}

/// Starts a container; one that is being removed is made anew once it is gone, where it is known what of.
pub(super) async fn start(
    engine: &dyn Engine,
    name: &str,
    spec: Option<&ServiceSpec>,
) -> engine::Result<()> {
    match (engine.start(name).await, spec) {
        (Err(EngineError::BeingRemoved { .. }), Some(spec)) => {
            gone(engine, name).await?;
            create(engine, spec).await?;
            engine.start(name).await
        }
        (started, _) => started,
    }
}

async fn gone(engine: &dyn Engine, name: &str) -> engine::Result<()> {
    let waited = poll(GONE_WITHIN, async || {
        let found = engine.inspect(name).await?;
        Ok(found.map_or(Poll::Ready(()), |_| Poll::Pending(String::new())))
    });
    waited.await.map_err(|error| match error {
        WaitError::Failed(error) => error,
        WaitError::Deadline(_) => EngineError::BeingRemoved { name: name.to_owned() },
    })
}

/// Whether a container is of the same layer of the same environment.
pub(super) fn is_own(found: &Container, spec: &ServiceSpec) -> bool {
    let of = |key| spec.labels.get(key).map(String::as_str);
    [labels::PROJECT, labels::ENVIRONMENT, labels::LAYER]
        .into_iter()
        .all(|key| found.label(key) == of(key))
}
