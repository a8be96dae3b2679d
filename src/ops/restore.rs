//! `durable restore`, `durable clone`: a copy of a database's data takes the place of the data.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    OpsError, Session,
    database::Database,
    history::{self, Recorded},
    lock::{self, locked},
    proxy, rotate,
    snapshots::{Store, Stored},
};
use crate::{
    base::clock,
    config::Project,
    database::{About, Server, Version},
    model::{Container, Mount, Observed, ServiceSpec, Volume, labels},
    plan::{self, Action, By, Changes, Copied, ImageJob, Plan, Restore, desired},
    run::Event,
};

/// The mark in data that gave its place to a copy; it holds the id of that restore.
pub const KEPT: &str = ".envctl-kept";

#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// The newest where none is named.
    pub name: Option<String>,
    /// The environment that the snapshot is of.
    pub from: Option<String>,
    pub service: Option<String>,
    /// The time to go back to.
    pub to: Option<Timestamp>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Restored {
    pub service: String,
    /// The snapshot, or the container that was copied.
    pub from: String,
    /// Where the old data is kept.
    pub kept: String,
}

/// Puts a snapshot in the place of a database's data.
pub async fn restore(
    session: &Session<'_>,
    options: &RestoreOptions,
) -> Result<Restored, OpsError> {
    let store = Store::of(session, options.from.as_deref());
    locked(session, "durable restore", async || {
        settle(session).await?;
        let service = options.service.as_deref();
        let prepared = if let Some(to) = options.to {
            Prepared::to_time(session, &store, options, to).await?
        } else {
            let stored = newest(&store, options)?;
            Prepared::of_snapshot(session, &stored, service).await?
        };
        place(session, &prepared, "durable restore").await
    })
    .await
}

/// Puts a copy of another environment's database, as it is now, in the place of this one's.
pub async fn clone_environment(
    session: &Session<'_>,
    from: &Project,
    service: Option<&str>,
) -> Result<Restored, OpsError> {
    locked(session, "durable clone", async || {
        settle(session).await?;
        let observed = session.observe().await?;
        let source = Session { project: from, ..session.going_on() };
        let other = Database::find(&source, &observed, service).await?;
        other.must_run()?;
        let About { key, version, .. } = other.about(&source).await?;
        let container = other.found.name.clone();
        let copied = Copied::Server { container, by: By::Files };
        let mut prepared = Prepared::of(session, Some(&other.service.key), copied).await?;
        prepared.same_kind(other.kind)?;
        let about = prepared.about(session).await?;
        if !key.is_empty() && about.as_ref().map(|about| &about.key) != Some(&key) {
            prepared.by_statements();
        } else {
            prepared.may_open(&version, about.as_ref(), "a snapshot")?;
        }
        place(session, &prepared, "durable clone").await
    })
    .await
}

fn newest(store: &Store, options: &RestoreOptions) -> Result<Stored, OpsError> {
    if let Some(name) = &options.name {
        return store.find(name);
    }
    let all = store.list()?;
    let newest = all.iter().rev().find(|stored| {
        stored.whole && options.service.as_ref().is_none_or(|name| *name == stored.snapshot.service)
    });
    newest.cloned().ok_or_else(|| OpsError::NoSnapshot {
        name: "(the newest)".to_owned(),
        reason: format!("`{}` has none", store.folder.display()),
    })
}

/// All that a restore needs.
pub(super) struct Prepared {
    database: Database,
    copied: Copied,
    changes: Option<Changes>,
    copy: String,
    id: String,
    image: (ImageJob, bool),
    /// What the image is built from, for as long as it may be.
    _folder: Option<tempfile::TempDir>,
    volumes: PathBuf,
    from: String,
    /// Whether the container that there is cannot serve the copy.
    rekeys: bool,
}

impl Prepared {
    async fn of(
        session: &Session<'_>,
        service: Option<&str>,
        copied: Copied,
    ) -> Result<Self, OpsError> {
        let observed = session.observe().await?;
        let database = Database::find(session, &observed, service).await?;
        alone(&observed, &database)?;
        let (job, there, folder) = proxy::image(session).await?;
        let info = session.engine.info().await?;
        let copy = kept_name(&observed, &database.volume);
        let from = match &copied {
            Copied::File { path, .. } => path.display().to_string(),
            Copied::Server { container, .. } => container.clone(),
        };
        Ok(Self {
            database,
            copied,
            changes: None,
            copy,
            id: clock::id(),
            image: (job, there),
            _folder: folder,
            volumes: Path::new(&info.root).join("volumes"),
            from,
            rekeys: false,
        })
    }

    /// A copy of a running database under the key that the session's project has for it.
    pub async fn under_another_key(
        session: &Session<'_>,
        database: &Database,
        id: String,
    ) -> Result<Self, OpsError> {
        let container = database.found.name.clone();
        let copied = Copied::Server { container, by: By::AllStatements };
        let mut prepared = Self::of(session, Some(&database.service.key), copied).await?;
        (prepared.id, prepared.rekeys) = (id, true);
        Ok(prepared)
    }

    pub async fn of_snapshot(
        session: &Session<'_>,
        stored: &Stored,
        service: Option<&str>,
    ) -> Result<Self, OpsError> {
        let snapshot = &stored.snapshot;
        let copied = Copied::File {
            path: stored.path.clone(),
            sha256: snapshot.sha256.clone(),
            logical: snapshot.logical,
        };
        let service = service.unwrap_or(&snapshot.service);
        let mut prepared = Self::of(session, Some(service), copied).await?;
        prepared.same_kind(snapshot.engine)?;
        let about = prepared.about(session).await?;
        if !snapshot.logical {
            prepared.may_open(&snapshot.version, about.as_ref(), "one")?;
        }
        if !snapshot.key.is_empty() && about.is_some_and(|about| about.key != snapshot.key) {
            return Err(OpsError::NoSnapshot {
                name: snapshot.name.clone(),
                reason: format!(
                    "its data is encrypted by a key that `{}` has not got; one of statements \
                     (`durable snapshot --logical`) is good for other keys",
                    session.project.names.environment
                ),
            });
        }
        prepared.from = format!("snapshot {}", snapshot.name);
        Ok(prepared)
    }

    /// The newest snapshot of this life of the data before the time, and the changes from there on.
    async fn to_time(
        session: &Session<'_>,
        store: &Store,
        options: &RestoreOptions,
        to: Timestamp,
    ) -> Result<Self, OpsError> {
        let until = to.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let no = |reason: String| OpsError::NoWayTo { time: format!("{until} UTC"), reason };
        let observed = session.observe().await?;
        let database = Database::find(session, &observed, options.service.as_deref()).await?;
        database.must_run()?;
        if to > Timestamp::now() {
            return Err(no("that is to come".to_owned()));
        }
        let life = database.about(session).await?.life;
        let all = store.list()?;
        let before = all.iter().rev().find(|Stored { snapshot, whole, .. }| {
            *whole
                && snapshot.service == database.service.key
                && snapshot.position.is_some()
                && snapshot.life == life
                && options.name.as_ref().is_none_or(|name| *name == snapshot.name)
                && snapshot.time.parse().is_ok_and(|time: Timestamp| time < to)
        });
        let Some(stored) = before else {
            return Err(no(format!(
                "`{}` has no physical snapshot from before then of the data that is there now, \
                 taken while the server kept its log of changes",
                store.folder.display()
            )));
        };
        let mut prepared = Self::of_snapshot(session, stored, options.service.as_deref()).await?;
        prepared.changes = stored.snapshot.position.clone().map(|from| Changes {
            container: database.found.name.clone(),
            from,
            until: until.clone(),
        });
        prepared.from = format!("{} and its changes until {until} UTC", prepared.from);
        Ok(prepared)
    }

    /// What the database tells of itself and of today's data, where it runs.
    async fn about(&self, session: &Session<'_>) -> Result<Option<About>, OpsError> {
        if !self.database.found.is_running() {
            return Ok(None);
        }
        Ok(Some(self.database.about(session).await?))
    }

    /// An error where the server that runs must not open files of that version; `what` of statements is good for it.
    fn may_open(&self, version: &str, about: Option<&About>, what: &str) -> Result<(), OpsError> {
        let Some(about) = about else { return Ok(()) };
        let kind = self.database.kind;
        let of = |version: &str| Server { kind, version: Version::read(version) };
        of(&about.version).may_open(of(version)).map_err(|reason| OpsError::NotCopied {
            service: self.database.service.key.clone(),
            reason: format!(
                "{reason}; {what} of statements (`durable snapshot --logical`) is good for other versions"
            ),
        })
    }

    /// Has the copy made of statements: the files are of no use to a server with another key.
    fn by_statements(&mut self) {
        if let Copied::Server { by, .. } = &mut self.copied {
            *by = By::Statements;
        }
    }

    fn same_kind(&self, other: crate::database::Kind) -> Result<(), OpsError> {
        let kind = self.database.kind;
        if kind == other {
            return Ok(());
        }
        let reason = format!("it is {kind:?} and the copy is of {other:?}");
        Err(OpsError::NotCopied { service: self.database.service.key.clone(), reason })
    }

    pub fn input<'a>(&'a self, session: &'a Session<'_>) -> Restore<'a> {
        Restore {
            names: &session.project.names,
            service: &self.database.service,
            found: &self.database.found,
            kind: self.database.kind,
            volume: &self.database.volume,
            copy: &self.copy,
            id: &self.id,
            copied: &self.copied,
            changes: self.changes.as_ref(),
            volumes: self.volumes.clone(),
            own_image: (&self.image.0, self.image.1),
        }
    }
}

/// Others that have the data's volume open would go on with the old data.
fn alone(observed: &Observed, database: &Database) -> Result<(), OpsError> {
    let other = observed.containers.iter().find(|other| {
        other.is_running()
            && other.name != database.found.name
            && other.volumes.contains(&database.volume)
    });
    match other {
        None => Ok(()),
        Some(other) => Err(OpsError::NotCopied {
            service: database.service.key.clone(),
            reason: format!("`{}` uses its volume too; stop it first", other.name),
        }),
    }
}

/// `…-before-restore`, or the first with a number that is free.
fn kept_name(observed: &Observed, volume: &str) -> String {
    let base = format!("{volume}-before-restore");
    let mut name = base.clone();
    let mut number = 1;
    while observed.volume(&name).is_some() {
        number += 1;
        name = format!("{base}-{number}");
    }
    name
}

/// Does it. After a failure, or an interruption, the old data is in its place.
pub(super) async fn place(
    session: &Session<'_>,
    prepared: &Prepared,
    command: &str,
) -> Result<Restored, OpsError> {
    let input = prepared.input(session);
    let service = prepared.database.service.key.clone();
    let plan = if prepared.rekeys { plan::rekey(&input) } else { plan::restore(&input) };
    let recorded = Recorded::new(command).plan(&plan);
    let done =
        history::recorded(session, recorded, async || session.execute(&plan, None).await).await;
    let Err(error) = done else {
        let kept = prepared.copy.clone();
        return Ok(Restored { service, from: prepared.from.clone(), kept });
    };
    session.reporter.on(Event::Error(&error.to_string()));
    let session = session.going_on();
    match undo(&session, &input).await {
        Ok(()) => Err(OpsError::NotRestored { service, error: Box::new(error) }),
        Err(why) => {
            let exchange = session.project.names.exchange(&service);
            let place = if is_untouched(&plan, &exchange, &error) {
                "and untouched; `envctl durable up` starts it where it is stopped".to_owned()
            } else {
                format!("in its place or in the volume `{}`", prepared.copy)
            };
            let (error, why) = (Box::new(error), Box::new(why));
            Err(OpsError::NotPutBack { service, place, error, why })
        }
    }
}

/// Whether a plan failed before the container that has the folders change places could start.
fn is_untouched(plan: &Plan, exchange: &str, error: &OpsError) -> bool {
    let OpsError::Failed { failure, .. } = error else { return false };
    let failed = plan.steps().iter().position(|step| step.title == failure.title);
    let changes = plan
        .steps()
        .iter()
        .position(|step| matches!(&step.action, Action::Start(name) if name == exchange));
    failed.zip(changes).is_some_and(|(failed, changes)| failed < changes)
}

/// Whatever was done of a restore: the old data is in its place and served as before, and the copy is gone.
async fn undo(session: &Session<'_>, input: &Restore<'_>) -> Result<(), OpsError> {
    session.reporter.on(Event::Phase("undo the restore"));
    let observed = session.observe().await?;
    session.execute_through(&plan::sweep(&scratches(session, &observed), &[])).await?;
    let observed = session.observe().await?;
    let placed = match observed.volume(input.copy) {
        Some(volume) => is_kept(session, volume).await?,
        None => false,
    };
    let was_running = input.found.is_running();
    let runs = observed.container(&input.found.name).is_some_and(Container::is_running);
    if placed {
        session.execute(&plan::put_back(input, &observed), None).await?;
    } else if was_running && !runs {
        session.execute(&plan::start_again(input), None).await?;
    }
    sweep(session).await
}

/// Removes what a restore that was broken off left: containers that worked on a copy, and a copy that never took its place.
/// Under the lock.
pub(super) async fn settle(session: &Session<'_>) -> Result<(), OpsError> {
    if rotate::finish(session).await?.is_some() {
        return Err(OpsError::KeyChanged);
    }
    sweep(session).await
}

async fn sweep(session: &Session<'_>) -> Result<(), OpsError> {
    // What may still be at work goes first: only then it is sure which volume has the data.
    let observed = session.observe().await?;
    session.execute_through(&plan::sweep(&scratches(session, &observed), &[])).await?;
    let observed = session.observe().await?;
    let mut copies = vec![];
    for volume in restores(session, &observed) {
        if !is_kept(session, volume).await? {
            copies.push(volume.name.as_str());
        }
    }
    session.execute_through(&plan::sweep(&[], &copies)).await
}

/// Whether there is anything for [`settle`] to look at, apart from data that is kept.
pub(super) fn is_settled(session: &Session<'_>, observed: &Observed) -> bool {
    scratches(session, observed).is_empty() && rotate::is_settled(session.project)
}

/// The volume with the data that gave its place to the copy of this restore.
pub(super) async fn kept_by(
    session: &Session<'_>,
    observed: &Observed,
    id: &str,
) -> Result<Option<Volume>, OpsError> {
    for volume in restores(session, observed) {
        let of = volume.labels.get(labels::RESTORE).map(String::as_str);
        if of == Some(id) && is_kept(session, volume).await? {
            return Ok(Some(volume.clone()));
        }
    }
    Ok(None)
}

fn scratches<'a>(session: &Session<'_>, observed: &'a Observed) -> Vec<&'a str> {
    let names = &session.project.names;
    let own = observed
        .containers
        .iter()
        .filter(|found| found.belongs_to(names) && found.label(labels::LAYER) == Some("scratch"));
    own.map(|found| found.name.as_str()).collect()
}

fn restores<'a>(session: &Session<'_>, observed: &'a Observed) -> impl Iterator<Item = &'a Volume> {
    let names = session.project.names.clone();
    observed.volumes.iter().filter(move |volume| {
        let label = |key: &str| volume.labels.get(key).map(String::as_str);
        label(labels::RESTORE).is_some()
            && label(labels::PROJECT) == Some(&names.project)
            && label(labels::ENVIRONMENT) == Some(&names.environment)
    })
}

/// Whether a restore's volume holds the old data: the mark moved there with it.
async fn is_kept(session: &Session<'_>, volume: &Volume) -> Result<bool, OpsError> {
    let names = &session.project.names;
    let spec = ServiceSpec {
        name: format!("{}-look-{}", names.prefix(), clock::id()),
        image: lock::IMAGE.to_owned(),
        command: Some(vec!["never-started".to_owned()]),
        labels: desired::layer_labels(names, "scratch"),
        network_mode: Some("none".to_owned()),
        mounts: vec![Mount::Volume {
            source: Some(volume.name.clone()),
            target: "/data".to_owned(),
            read_only: true,
            nocopy: true,
            subpath: None,
        }],
        ..ServiceSpec::default()
    };
    lock::create_from_image(session, &spec).await?;
    let mark = session.engine.read_file(&spec.name, &format!("/data/{KEPT}")).await;
    session.engine.remove(&spec.name).await?;
    let id = volume.labels.get(labels::RESTORE);
    Ok(mark?.is_some_and(|mark| Some(&*String::from_utf8_lossy(&mark)) == id.map(String::as_str)))
}

/// The volumes with data that gave its place to a copy.
pub async fn kept_volumes(session: &Session<'_>) -> Result<Vec<String>, OpsError> {
    let observed = session.observe().await?;
    let mut kept = vec![];
    for volume in restores(session, &observed) {
        // A copy that was broken off is none.
        if is_kept(session, volume).await? {
            kept.push(volume.name.clone());
        }
    }
    Ok(kept)
}

/// Removes the data that restores left behind; returns the volumes. The environment's name was typed.
pub async fn purge(session: &Session<'_>) -> Result<Vec<String>, OpsError> {
    locked(session, "durable restore --purge", async || {
        settle(session).await?;
        let observed = session.observe().await?;
        let kept: Vec<String> =
            restores(session, &observed).map(|volume| volume.name.clone()).collect();
        let names: Vec<&str> = kept.iter().map(String::as_str).collect();
        let plan = plan::purge(&names);
        if !plan.is_empty() {
            let recorded = Recorded::new("durable restore --purge").plan(&plan);
            history::recorded(session, recorded, async || session.execute(&plan, None).await)
                .await?;
        }
        Ok(kept)
    })
    .await
}
