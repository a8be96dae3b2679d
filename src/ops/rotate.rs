//! `durable rotate-key`: the data of a database under another key.
//!
//! A key file's plugin knows no versions of a key, and much of what a server writes (its logs, its system tables) is always
//! under the first key. So the data is copied into a server that has the new key, and the two change places, as a restore
//! has it. The new key stands in the credentials file beside the old one until the data has it; where the folders are tells
//! whoever comes after a crash which of both that is.

use sha2::{Digest as _, Sha256};

use super::{
    OpsError, Session,
    database::{Database, kind_of},
    durable::{Apply, Layer, containers},
    restore::{self, Prepared},
    sources,
};
use crate::{
    config::{self, Project},
    database::Kind,
    model::{Container, labels},
    plan::{self, desired::Service},
    run::RunError,
};

/// What the name of a credential ends with while it is to become the key, and after it was.
const NEXT: &str = "_NEXT";
const PREVIOUS: &str = "_PREVIOUS";

/// What came of it.
#[derive(Debug, Clone)]
pub struct Rotated {
    pub service: String,
    /// The credential that has the new key.
    pub key: String,
    /// The one that has the old key.
    pub previous: String,
    /// Where the data under the old key is kept.
    pub kept: String,
}

/// A change of key that did not come to its end.
struct Pending {
    name: String,
    next: String,
}

fn pending(project: &Project) -> Option<Pending> {
    project.credentials.iter().find_map(|(name, next)| {
        let name = name.strip_suffix(NEXT)?;
        let known = project.file.credentials.iter().any(|each| each == name);
        known.then(|| Pending { name: name.to_owned(), next: next.clone() })
    })
}

pub(super) fn is_settled(project: &Project) -> bool {
    pending(project).is_none()
}

/// What the restore is called by which data comes under a key.
fn id(key: &str) -> String {
    let hash = hex::encode(Sha256::digest(format!("the restore of {key}")));
    format!("key-{}", &hash[..16])
}

/// The credential for the key that gives its place to another: the data and the snapshots that are under older ones keep theirs.
fn previous(project: &Project, name: &str) -> String {
    let mut free = format!("{name}{PREVIOUS}");
    let mut number = 1;
    while project.credentials.contains_key(&free) {
        number += 1;
        free = format!("{name}{PREVIOUS}_{number}");
    }
    free
}

fn with_key(project: &Project, name: &str, value: &str) -> Project {
    let previous = previous(project, name);
    let mut project = project.clone();
    for variables in [&mut project.variables, &mut project.credentials] {
        variables.shift_remove(&format!("{name}{NEXT}"));
        // Still a secret.
        if let Some(old) = variables.insert(name.to_owned(), value.to_owned()) {
            variables.insert(previous.clone(), old);
        }
    }
    project
}

/// The new key becomes the key.
fn commit(project: &Project, Pending { name, next }: &Pending) -> Result<Project, OpsError> {
    let old = project.credentials.get(name).map(String::as_str);
    let values = [
        (name.as_str(), Some(next.as_str())),
        (&previous(project, name), old),
        (&format!("{name}{NEXT}"), None),
    ];
    config::change_credentials(&project.credentials_file(), &values)?;
    Ok(with_key(project, name, next))
}

/// The new key is forgotten.
fn forget(project: &Project, name: &str) -> Result<(), OpsError> {
    let next = format!("{name}{NEXT}");
    Ok(config::change_credentials(&project.credentials_file(), &[(&next, None)])?)
}

/// Brings a change of key that was broken off to its end where the data has the new key, and takes it back where it has
/// not. Under the lock. Returns the project with the new key, for whom the database's container is to be made.
pub(super) async fn finish(session: &Session<'_>) -> Result<Option<Project>, OpsError> {
    let Some(pending) = pending(session.project) else { return Ok(None) };
    let observed = session.observe().await?;
    let durable = containers(&session.project.names, &observed);
    if let Some(volume) = restore::kept_by(session, &observed, &id(&pending.next)).await? {
        // Its container has the old key.
        let service = volume.labels.get(labels::SERVICE).map(String::as_str);
        let old = durable.iter().find(|found| found.label(labels::SERVICE) == service);
        if let Some(old) = old {
            session.execute(&plan::remove_keyed(old), None).await?;
        }
        return Ok(Some(commit(session.project, &pending)?));
    }
    let desired = sources::durable(session).await?;
    for found in durable {
        if found.is_running() && kind_of(&desired, found) == Some(Kind::MariaDb) {
            thaw(session, found).await?;
        }
    }
    forget(session.project, &pending.name)?;
    Ok(None)
}

async fn thaw(session: &Session<'_>, found: &Container) -> Result<(), OpsError> {
    let plan = plan::call(&found.name, Kind::MariaDb, "thaw", "let writers in again");
    session.execute(&plan, None).await?;
    Ok(())
}

/// Puts the data of a database under a new key. It can be read meanwhile, and not written to.
pub async fn rotate_key(session: &Session<'_>, service: Option<&str>) -> Result<Rotated, OpsError> {
    super::lock::locked(session, "durable rotate-key", async || {
        if let Some(project) = finish(session).await? {
            let session = session.with(&project);
            Layer::read(&session).await?.bring_up(&session, Apply::No).await?;
            return rotate(&session, service).await;
        }
        rotate(session, service).await
    })
    .await
}

async fn rotate(session: &Session<'_>, service: Option<&str>) -> Result<Rotated, OpsError> {
    restore::settle(session).await?;
    let observed = session.observe().await?;
    let database = Database::find(session, &observed, service).await?;
    let key = database.service.key.clone();
    let not = |reason: String| OpsError::NotCopied { service: key.clone(), reason };
    database.must_run()?;
    if database.kind != Kind::MariaDb || database.about(session).await?.key.is_empty() {
        return Err(not("its data is encrypted by no key of a file".to_owned()));
    }
    let name = credential(session.project, &database.service).map_err(not)?;
    let next = Pending { name, next: config::random_key() };
    let begun = format!("{}{NEXT}", next.name);
    let file = session.project.credentials_file();
    config::change_credentials(&file, &[(&begun, Some(&next.next))])?;

    let project = with_key(session.project, &next.name, &next.next);
    let keyed = session.with(&project);
    let freeze = "keep writers out until the data has changed places";
    let freeze = plan::call(&database.found.name, database.kind, "freeze", freeze);
    if let Err(error) = session.execute(&freeze, None).await {
        // It may have been done all the same, unless the server itself would not.
        if !is_refused(&error) {
            thaw(&session.going_on(), &database.found).await?;
        }
        forget(session.project, &next.name)?;
        return Err(error);
    }
    let copied = async {
        let prepared = Prepared::under_another_key(&keyed, &database, id(&next.next)).await?;
        restore::place(&keyed, &prepared, "durable rotate-key").await
    };
    let restored = match copied.await {
        Ok(restored) => restored,
        Err(error) => {
            let session = session.going_on();
            if !matches!(error, OpsError::NotPutBack { .. }) {
                thaw(&session, &database.found).await?;
                forget(session.project, &next.name)?;
            }
            return Err(error);
        }
    };
    let previous = previous(session.project, &next.name);
    let project = commit(session.project, &next)?;
    let keyed = session.with(&project);
    Layer::read(&keyed).await?.bring_up(&keyed, Apply::No).await?;
    Ok(Rotated { service: key, key: next.name, previous, kept: restored.kept })
}

fn is_refused(error: &OpsError) -> bool {
    let OpsError::Failed { failure, .. } = error else { return false };
    matches!(failure.source, RunError::Command { .. })
}

/// The credential that is the service's key: a file of its has it.
fn credential(project: &Project, service: &Service) -> Result<String, String> {
    let files = &service.replicas[0].files;
    let holds = |value: &str| {
        !value.is_empty()
            && files.iter().any(|file| String::from_utf8_lossy(&file.content).contains(value))
    };
    let name = project.file.credentials.iter().find(|name| {
        name.ends_with("_KEY") && project.variables.get(*name).is_some_and(|value| holds(value))
    });
    let name = name.ok_or("no credential whose name ends with `_KEY` is in a file of it")?;
    if project.credentials.get(name) != project.variables.get(name) {
        let file = project.credentials_file();
        return Err(format!("`{name}` is not from `{}`", file.display()));
    }
    Ok(name.clone())
}
