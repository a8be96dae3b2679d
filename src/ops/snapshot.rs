//! `durable snapshot`: the data of a running database into a file, and a snapshot looked at by a server of its own.

use std::time::Instant;

use super::{
    OpsError, Session,
    database::Database,
    deploy::revision,
    history::{self, Recorded},
    lock::locked,
    restore::{self, Prepared},
    snapshots::{PARTIAL, Snapshot, Store, Stored},
    sources,
};
use crate::{
    base::clock,
    database::{About, Kind},
    model::{Container, Mount, Observed},
    plan::{self, Action, Pipe, Plan, Sink, Source},
};

#[derive(Debug, Clone, Default)]
pub struct SnapshotOptions {
    /// Made of the time where there is none.
    pub name: Option<String>,
    pub service: Option<String>,
    /// Statements in place of the server's files.
    pub logical: bool,
    pub why: String,
}

/// Takes a snapshot; returns it and the names of those that it took the place of.
pub async fn snapshot(
    session: &Session<'_>,
    options: &SnapshotOptions,
) -> Result<(Stored, Vec<String>), OpsError> {
    if let Some(name) = &options.name {
        check_name(name)?;
    }
    locked(session, "durable snapshot", async || {
        restore::settle(session).await?;
        let taken = take(session, options).await?;
        let gone = Store::of(session, None).prune(session.project.file.durable.snapshots.keep)?;
        Ok((taken, gone))
    })
    .await
}

fn check_name(name: &str) -> Result<(), OpsError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.chars().all(good) && !name.starts_with(['.', '-']) && name.len() <= 100 {
        return Ok(());
    }
    let reason = "a name has letters, digits, `.`, `_` and `-`".to_owned();
    Err(OpsError::NoSnapshot { name: name.to_owned(), reason })
}

/// Takes one, under the lock.
pub(super) async fn take(
    session: &Session<'_>,
    options: &SnapshotOptions,
) -> Result<Stored, OpsError> {
    let observed = session.observe().await?;
    let database = Database::find(session, &observed, options.service.as_deref()).await?;
    database.must_run()?;
    let store = Store::of(session, None);
    store.open()?;
    let begun = clock::now();
    let time = begun.replace(['-', ':'], "");
    let name = options.name.clone().unwrap_or_else(|| format!("{}-{time}", database.service.key));
    if store.manifest(&name).exists() {
        return Err(OpsError::SnapshotExists { name });
    }
    let (function, end) =
        if options.logical { ("dump", "sql") } else { ("backup", database.kind.physical()) };
    let file = format!("{name}.{end}.zst");
    let partial = store.folder.join(format!("{file}{PARTIAL}"));
    let kind = database.kind;
    let mut plan = Plan::default();
    let service = &database.service.key;
    let asked = database.ask(&mut plan);
    let pipe = Pipe {
        container: database.found.name.clone(),
        command: kind.call(function, &[]),
        from: Source::Nothing,
        to: Sink::File { path: partial.clone(), plain: false },
    };
    let title = format!("copy the data of {service} into {file}");
    let copied = plan.push([asked], Action::Pipe(Box::new(pipe)), title, "it goes on serving");
    let recorded = Recorded::new("durable snapshot").plan(&plan);
    let started = Instant::now();
    let mut heard =
        history::recorded(session, recorded, async || session.execute_hearing(&plan).await)
            .await
            .inspect_err(|_| {
            let _ = std::fs::remove_file(&partial);
        })?;
    let mut said = |id| heard.remove(&id).unwrap_or_default();
    let data = said(copied);
    let about = About::read(&said(asked).text);
    let snapshot = Snapshot {
        format: Snapshot::format(),
        name,
        environment: session.project.names.environment.clone(),
        service: service.clone(),
        volume: database.volume.clone(),
        engine: kind,
        version: about.version,
        logical: options.logical,
        file,
        size: data.stored,
        uncompressed: data.bytes,
        sha256: data.sha256,
        position: (!options.logical).then(|| kind.position(&data.errors)).flatten(),
        life: about.life,
        // Statements are in the clear.
        key: if options.logical { String::new() } else { about.key },
        begun,
        time: clock::now(),
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        revision: revision(session).await,
        who: session.who(),
        why: options.why.clone(),
        named: options.name.is_some(),
    };
    store.keep(&snapshot, &partial)
}

/// Takes the last snapshot of each database before its data is deleted.
pub(super) async fn last(
    session: &Session<'_>,
    observed: &Observed,
) -> Result<Vec<Stored>, OpsError> {
    let desired = sources::durable(session).await?;
    let mut taken = vec![];
    for service in &desired.services {
        let spec = &service.replicas[0];
        let data = spec.mounts.iter().any(|mount| {
            matches!(mount, Mount::Volume { source: Some(name), .. } if observed.volume(name).is_some())
        });
        if !data || !Kind::of_image(&spec.image).is_some_and(Kind::is_copied) {
            continue;
        }
        if !observed.container(&spec.name).is_some_and(Container::is_running) {
            let reason = "it does not run, and its data is to be deleted without a last snapshot; \
                `envctl durable up` starts it, `--no-snapshot` deletes all the same";
            let service = service.key.clone();
            return Err(OpsError::NotCopied { service, reason: reason.to_owned() });
        }
        let options = SnapshotOptions {
            service: Some(service.key.clone()),
            why: "before its data was deleted".to_owned(),
            name: Some(format!("{}-last-{}", service.key, clock::now().replace(['-', ':'], ""))),
            logical: false,
        };
        taken.push(take(session, &options).await?);
    }
    Ok(taken)
}

/// Takes a snapshot of a database that is to get another server.
pub(super) async fn before_upgrade(
    session: &Session<'_>,
    service: &str,
    why: String,
) -> Result<Stored, OpsError> {
    let time = clock::now().replace(['-', ':'], "");
    let options = SnapshotOptions {
        service: Some(service.to_owned()),
        name: Some(format!("{service}-upgrade-{time}")),
        why,
        logical: false,
    };
    take(session, &options).await.map_err(|error| match error {
        OpsError::NotCopied { service, reason } => {
            let reason = format!("{reason}; `--no-snapshot` upgrades all the same");
            OpsError::NotCopied { service, reason }
        }
        error => error,
    })
}

/// What a look at a snapshot found.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Verified {
    pub snapshot: Snapshot,
    pub tables: u64,
    pub milliseconds: u64,
}

/// Restores a snapshot into a copy of its own, checks every table, and removes the copy.
pub async fn verify_snapshot(session: &Session<'_>, name: &str) -> Result<Verified, OpsError> {
    let stored = Store::of(session, None).find(name)?;
    locked(session, "durable snapshot verify", async || {
        restore::settle(session).await?;
        let started = Instant::now();
        let service = Some(stored.snapshot.service.as_str());
        let prepared = Prepared::of_snapshot(session, &stored, service).await?;
        let (plan, checked) = plan::verify(&prepared.input(session));
        let heard = session.execute_hearing(&plan).await;
        let left = restore::settle(&session.going_on()).await;
        let heard = heard?;
        left?;
        let text = heard.get(&checked).map(|heard| heard.text.trim()).unwrap_or_default();
        Ok(Verified {
            snapshot: stored.snapshot,
            tables: text.parse().unwrap_or_default(),
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    })
    .await
}
