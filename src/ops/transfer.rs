//! `durable import` and `durable export`: statements into a running database, and out of it.

use std::path::PathBuf;

use super::{
    OpsError, Session,
    database::Database,
    history::{self, Recorded},
    lock::locked,
};
use crate::plan::{Action, Pipe, Plan, Sink, Source};

/// Runs the statements of a file, or of standard input where there is none, in a database (the application's where none is
/// named); returns the service.
pub async fn import(
    session: &Session<'_>,
    file: Option<PathBuf>,
    into: Option<&str>,
    service: Option<&str>,
) -> Result<String, OpsError> {
    locked(session, "durable import", async || {
        let database = running(session, service).await?;
        let key = &database.service.key;
        let name =
            file.as_ref().map_or("standard input".to_owned(), |file| file.display().to_string());
        let from = match &file {
            Some(path) => Source::File { path: path.clone(), sha256: None },
            None => Source::Stdin,
        };
        let pipe = Pipe {
            container: database.found.name.clone(),
            command: database.kind.call("import", &[into.unwrap_or_default()]),
            from,
            to: Sink::Heard,
        };
        let mut plan = Plan::default();
        plan.push([], Action::Pipe(Box::new(pipe)), format!("import {name} into {key}"), "");
        let recorded = Recorded::new("durable import").plan(&plan);
        history::recorded(session, recorded, async || session.execute(&plan, None).await).await?;
        Ok(key.clone())
    })
    .await
}

/// Writes a database as statements that any other takes: into a file, or to standard output where none is named. A name
/// that ends in `.zst` is compressed.
pub async fn export(
    session: &Session<'_>,
    file: Option<PathBuf>,
    of: Option<&str>,
    service: Option<&str>,
) -> Result<u64, OpsError> {
    let database = running(session, service).await?;
    let to = match file {
        Some(path) => {
            let plain = path.extension().is_none_or(|end| end != "zst");
            Sink::File { path, plain }
        }
        None => Sink::Stdout,
    };
    let pipe = Pipe {
        container: database.found.name.clone(),
        command: database.kind.call("export_one", &[of.unwrap_or_default()]),
        from: Source::Nothing,
        to,
    };
    let mut plan = Plan::default();
    let title = format!("export {}", database.service.key);
    let step = plan.push([], Action::Pipe(Box::new(pipe)), title, "");
    let mut heard = session.execute_hearing(&plan).await?;
    Ok(heard.remove(&step).unwrap_or_default().bytes)
}

async fn running(session: &Session<'_>, service: Option<&str>) -> Result<Database, OpsError> {
    let observed = session.observe().await?;
    let database = Database::find(session, &observed, service).await?;
    database.must_run()?;
    Ok(database)
}
