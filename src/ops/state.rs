//! Routing and history of an environment, wherever the proxy is: running, stopped or gone.

use std::{collections::BTreeMap, path::Path};

use super::{OpsError, Session, lock};
use crate::{
    engine::EngineError,
    model::{
        Change, Container, FileSpec, Mount, Observed, Routing, ServiceSpec, State, VolumeSpec,
        control::{Answer, Record, Request, Status},
        labels,
    },
    run::{self, ProxyError},
};

const ROUTING: &str = "/state/routing.json";
const HISTORY: &str = "/state/history";
/// The user that the proxy runs as.
const NOBODY: u64 = 65534;

/// What a running proxy says of itself; none where it cannot be asked.
pub async fn proxy_status(
    session: &Session<'_>,
    observed: &Observed,
) -> Result<Option<Box<Status>>, OpsError> {
    match asked(session, observed, &Request::Status).await? {
        Some(Answer::Status(status)) => Ok(Some(status)),
        Some(other) => Err(wrong(session, format!("the proxy answers {other:?}"))),
        None => Ok(None),
    }
}

/// What a running proxy answers. None where it does not run, is between two starts, or does not answer: what it wrote down
/// counts then.
pub(super) async fn asked(
    session: &Session<'_>,
    observed: &Observed,
    request: &Request,
) -> Result<Option<Answer>, OpsError> {
    let proxy = own_proxy(session, observed)?;
    if !proxy.is_some_and(|proxy| matches!(proxy.state, State::Running { .. })) {
        return Ok(None);
    }
    match run::tell(session.engine, &session.project.names.proxy(), request).await {
        Err(ProxyError::Engine { .. }) => Ok(None),
        answer => Ok(Some(answer?)),
    }
}

/// The proxy's container. One of its name that is another's is not talked to, and not written to.
pub(super) fn own_proxy<'a>(
    session: &Session<'_>,
    observed: &'a Observed,
) -> Result<Option<&'a Container>, OpsError> {
    let names = &session.project.names;
    match observed.container(&names.proxy()) {
        Some(found) if !found.belongs_to(names) => {
            Err(OpsError::NotOurs { kind: "container", name: names.proxy() })
        }
        found => Ok(found),
    }
}

/// Who gets the traffic.
pub async fn routing(session: &Session<'_>, observed: &Observed) -> Result<Routing, OpsError> {
    if let Some(status) = proxy_status(session, observed).await? {
        return Ok(status.routing);
    }
    written_routing(session, observed).await
}

/// Who gets the traffic by what the proxy wrote down.
pub(super) async fn written_routing(
    session: &Session<'_>,
    observed: &Observed,
) -> Result<Routing, OpsError> {
    if observed.volume(&session.project.names.proxy_state()).is_none() {
        return Ok(Routing::default());
    }
    let bytes = with_container(session, observed, async |name: &str| {
        session.engine.read_file(name, ROUTING).await
    })
    .await?;
    match bytes {
        None => Ok(Routing::default()),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| wrong(session, format!("{ROUTING}: {error}"))),
    }
}

/// Makes the state of a proxy that is gone know of no color.
pub(super) async fn empty(session: &Session<'_>, observed: &Observed) -> Result<(), OpsError> {
    let content = serde_json::to_vec(&Routing::default());
    let content = content.map_err(|error| wrong(session, error.to_string()))?;
    let file =
        FileSpec { path: ROUTING.to_owned(), content, mode: 0o644, uid: NOBODY, gid: NOBODY };
    write(session, observed, file).await
}

/// Adds a change to the history.
pub async fn record(
    session: &Session<'_>,
    observed: &Observed,
    change: &Change,
) -> Result<(), OpsError> {
    sweep(session, observed).await?;
    let value = serde_json::to_value(change).map_err(|error| wrong(session, error.to_string()))?;
    let content = value.to_string().into_bytes();
    let record = Request::Record(Record { name: change.id.clone(), value });
    if asked(session, observed, &record).await?.is_some() {
        return Ok(());
    }
    let file = FileSpec {
        path: format!("{HISTORY}/{}.json", change.id),
        content,
        mode: 0o644,
        uid: NOBODY,
        gid: NOBODY,
    };
    let files = [file];
    with_container(session, observed, async |name: &str| {
        session.engine.write_files(name, &files).await
    })
    .await
}

/// The changes of the environment, oldest first.
pub async fn changes(session: &Session<'_>, observed: &Observed) -> Result<Vec<Change>, OpsError> {
    match asked(session, observed, &Request::History { limit: None }).await? {
        Some(Answer::History(records)) => {
            records.into_iter().map(|record| change(session, record.value)).collect()
        }
        Some(other) => Err(wrong(session, format!("the proxy answers {other:?}"))),
        None => written_changes(session, observed).await,
    }
}

/// The changes that the proxy wrote down, oldest first.
pub(super) async fn written_changes(
    session: &Session<'_>,
    observed: &Observed,
) -> Result<Vec<Change>, OpsError> {
    let files = folder(session, observed, HISTORY).await?.into_iter();
    files
        .filter(|(file, _)| Path::new(file).extension().is_some_and(|end| end == "json"))
        .map(|(file, bytes)| {
            let value = serde_json::from_slice(&bytes);
            change(
                session,
                value.map_err(|error| wrong(session, format!("{HISTORY}/{file}: {error}")))?,
            )
        })
        .collect()
}

fn change(session: &Session<'_>, value: serde_json::Value) -> Result<Change, OpsError> {
    serde_json::from_value(value).map_err(|error| wrong(session, error.to_string()))
}

/// The files of a folder of the state, by name.
pub(super) async fn folder(
    session: &Session<'_>,
    observed: &Observed,
    path: &str,
) -> Result<Vec<(String, Vec<u8>)>, OpsError> {
    if observed.volume(&session.project.names.proxy_state()).is_none() {
        return Ok(vec![]);
    }
    let files = with_container(session, observed, async |name: &str| {
        session.engine.read_folder(name, path).await
    });
    Ok(files.await?.unwrap_or_default())
}

/// Writes a file of the state.
pub(super) async fn write(
    session: &Session<'_>,
    observed: &Observed,
    file: FileSpec,
) -> Result<(), OpsError> {
    let files = [file];
    with_container(session, observed, async |name: &str| {
        session.engine.write_files(name, &files).await
    })
    .await
}

/// Runs with a container that has the state at hand: the proxy, whether it runs or not, else one made for the occasion.
async fn with_container<T>(
    session: &Session<'_>,
    observed: &Observed,
    work: impl AsyncFnOnce(&str) -> Result<T, EngineError>,
) -> Result<T, OpsError> {
    let names = &session.project.names;
    if own_proxy(session, observed)?.is_some() {
        return Ok(work(&names.proxy()).await?);
    }
    sweep(session, observed).await?;
    let own = [
        (labels::PROJECT, names.project.as_str()),
        (labels::ENVIRONMENT, &names.environment),
        (labels::LAYER, "proxy"),
        (labels::VERSION, env!("CARGO_PKG_VERSION")),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let state = observed.volume(&names.proxy_state());
    let is_ours = |labels: &BTreeMap<String, String>| {
        labels.get(labels::PROJECT) == Some(&names.project)
            && labels.get(labels::ENVIRONMENT) == Some(&names.environment)
    };
    if state.is_some_and(|found| !is_ours(&found.labels)) {
        return Err(OpsError::NotOurs { kind: "volume", name: names.proxy_state() });
    }
    if state.is_none() {
        let volume = VolumeSpec {
            name: names.proxy_state(),
            labels: own.clone().into(),
            ..VolumeSpec::default()
        };
        session.engine.create_volume(&volume).await?;
    }
    let holder = lock::holder(session, "state");
    let json = serde_json::to_string(&holder).expect("a holder is plain text");
    let mut own: BTreeMap<String, String> = own.into();
    own.insert(labels::HOLDER.to_owned(), json);
    let spec = ServiceSpec {
        name: format!("{}-state-{}", names.prefix(), holder.id),
        image: lock::IMAGE.to_owned(),
        command: Some(vec!["never-started".to_owned()]),
        labels: own,
        network_mode: Some("none".to_owned()),
        mounts: vec![Mount::Volume {
            source: Some(names.proxy_state()),
            target: "/state".to_owned(),
            read_only: false,
            nocopy: false,
            subpath: None,
        }],
        ..ServiceSpec::default()
    };
    let result = match lock::create_from_image(session, &spec).await {
        Ok(()) => work(&spec.name).await,
        Err(error) => Err(error),
    };
    // Also where the answer to its creation was lost; what resists twice is swept by a later operation.
    if session.engine.remove(&spec.name).await.is_err() {
        session.engine.remove(&spec.name).await?;
    }
    Ok(result?)
}

/// Removes the containers made for an occasion whose process died meanwhile.
async fn sweep(session: &Session<'_>, observed: &Observed) -> Result<(), OpsError> {
    let start = format!("{}-state-", session.project.names.prefix());
    let own = lock::holder(session, "state");
    let left = observed.containers.iter().filter(|found| {
        found.belongs_to(&session.project.names)
            && found.name.starts_with(&start)
            && found
                .label(labels::HOLDER)
                .and_then(|json| serde_json::from_str(json).ok())
                .is_some_and(|held| lock::died_here(&held, &own))
    });
    for container in left {
        session.engine.remove(&container.name).await?;
    }
    Ok(())
}

pub(super) fn wrong(session: &Session<'_>, reason: String) -> OpsError {
    OpsError::State { environment: session.project.names.environment.clone(), reason }
}
