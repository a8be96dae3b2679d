//! A MariaDB that was killed while it stopped. The log of changes was closed by then, and a transaction may be left
//! that was promised to the data and to the log, with nothing in either to say what became of it; the server does not start
//! with such a one. It was acknowledged, or about to be: committing it is what the killed server was about to do.

use std::time::Duration;

use super::{OpsError, Session};
use crate::{
    database::Kind,
    engine::LogOptions,
    model::{Restart, ServiceSpec, labels},
    plan::desired::{Durable, Service, layer_labels},
    run::{Event, RunError, log_text, to_its_end},
};

/// What the server says of it.
const REFUSAL: &str = "prepared transactions! It means that";
/// What it says once it has started.
const SERVES: &str = ": ready for connections";
/// Lines of the log: a server that is started again and again has several starts in it.
const LINES: u64 = 500;
/// The server goes through its redo log before.
const LIMIT: Duration = Duration::from_mins(30);

/// The database that an error is about, where this is what it lacks.
pub(super) async fn needed<'a>(
    session: &Session<'_>,
    desired: &'a Durable,
    error: &OpsError,
) -> Option<&'a Service> {
    let OpsError::Failed { failure, .. } = error else { return None };
    let RunError::NotHealthy(evidence) = &failure.source else { return None };
    let mut services = desired.services.iter();
    let service = services.find(|service| service.replicas[0].name == evidence.container)?;
    if Kind::of_image(&service.replicas[0].image) != Some(Kind::MariaDb) {
        return None;
    }
    let options = LogOptions { tail: Some(LINES), ..LogOptions::default() };
    let log = log_text(session.engine, &evidence.container, &options).await.ok()?;
    // A refusal from before it served again is over.
    let since = log.rsplit(SERVES).next().unwrap_or_default();
    since.contains(REFUSAL).then_some(service)
}

/// Has a server of its image commit what is left, on its data and without a network.
pub(super) async fn recover(session: &Session<'_>, service: &Service) -> Result<(), OpsError> {
    let Service { key, replicas, .. } = service;
    let spec = &replicas[0];
    session.reporter.on(Event::Note(&format!(
        "{key} was killed while it stopped: what it was about to commit is committed"
    )));
    let names = &session.project.names;
    let mut own = layer_labels(names, "scratch");
    own.insert(labels::SERVICE.to_owned(), key.clone());
    let mut command =
        spec.command.clone().unwrap_or_else(|| vec![Kind::MariaDb.server().to_owned()]);
    command.push("--tc-heuristic-recover=COMMIT".to_owned());
    let server = ServiceSpec {
        name: names.scratch(key),
        command: Some(command),
        labels: own,
        networks: vec![],
        network_mode: Some("none".to_owned()),
        ports: vec![],
        restart: Restart::No,
        ..spec.clone()
    };
    session.engine.stop(&spec.name, None).await?;
    // It ends by itself, with an exit code that tells nothing; whether it helped shows at the next start.
    to_its_end(session.engine, &server, LIMIT).await?;
    Ok(())
}
