//! Reads the files of a stack and hashes what its images are built from.

use std::{collections::BTreeMap, path::PathBuf};

use futures_util::future::try_join_all;

use super::{OpsError, Session};
use crate::{
    compose::{self, Problem, Problems},
    engine::context_hash,
    model::{BuildSpec, Color, Image},
    plan::desired::{self, App, Durable, Service},
};

type Builds = BTreeMap<String, (BuildSpec, String)>;

/// The app's files of a color, and its stack; `replicas` are numbers in place of the files'.
pub async fn app(
    session: &Session<'_>,
    color: Color,
    release: &str,
    replicas: &BTreeMap<String, u32>,
) -> Result<(compose::Project, App), OpsError> {
    let project = session.project;
    let files = project.load_app(color, release)?;
    let paths = project.app_files(color)?;
    let builds = hashed(desired::builds(&files)).await?;
    let source = desired::Source {
        project,
        files: &files,
        paths: &paths,
        color,
        release,
        replicas,
        builds: &builds,
        wait: session.wait,
    };
    let mut problems = shared(session, &files, color, release)?;
    match desired::app(&source) {
        Ok(app) if problems.is_empty() => Ok((files, app)),
        Ok(_) => Err(Problems(problems).into()),
        Err(more) => {
            problems.extend(more);
            Err(Problems(problems).into())
        }
    }
}

/// What the color's files fix that the other color's do too; where they fix nothing, those are not read.
fn shared(
    session: &Session<'_>,
    files: &compose::Project,
    color: Color,
    release: &str,
) -> Result<Vec<Problem>, OpsError> {
    let durable = &session.project.file.durable.services;
    let own = desired::fixed_addresses(files, durable);
    if own.is_empty() {
        return Ok(vec![]);
    }
    let other = session.project.load_app(color.other(), release)?;
    let others = desired::fixed_addresses(&other, durable);
    Ok(desired::shared_addresses(files, &own, &others))
}

/// The durable layer: from its own files, or split out of the app's.
pub async fn durable(session: &Session<'_>) -> Result<Durable, OpsError> {
    let project = session.project;
    let split = &project.file.durable.services;
    let (files, paths, only): (_, Vec<PathBuf>, Option<&[String]>) = match project.load_durable()? {
        Some(files) => (files, project.durable_files(), None),
        None if split.is_empty() => return Err(OpsError::NoDurableLayer),
        None => (project.load_app(Color::Blue, "")?, project.app_files(Color::Blue)?, Some(split)),
    };
    let mut builds = desired::builds(&files);
    builds.retain(|service, _| only.is_none_or(|only| only.contains(service)));
    let builds = hashed(builds).await?;
    Ok(desired::durable(project, (&files, &paths), only, &builds, session.wait)
        .map_err(Problems)?)
}

async fn hashed(builds: BTreeMap<String, BuildSpec>) -> Result<Builds, OpsError> {
    let each = builds.into_iter().map(|(service, spec)| async move {
        let (spec, hash) = tokio::task::spawn_blocking(move || {
            let hash = context_hash(&spec);
            (spec, hash)
        })
        .await
        .expect("hashing does not panic");
        Ok::<_, OpsError>((service, (spec, hash?)))
    });
    Ok(try_join_all(each).await?.into_iter().collect())
}

/// The images of services that are on the engine, by reference.
pub async fn images<'a>(
    session: &Session<'_>,
    services: impl Iterator<Item = &'a Service>,
) -> Result<BTreeMap<String, Image>, OpsError> {
    let mut tags: Vec<&str> = services.map(|service| service.image.tag.as_str()).collect();
    tags.sort_unstable();
    tags.dedup();
    let each = tags.into_iter().map(|tag| async move {
        Ok::<_, OpsError>(session.engine.image(tag).await?.map(|image| (tag.to_owned(), image)))
    });
    Ok(try_join_all(each).await?.into_iter().flatten().collect())
}
