//! Reads the files of a stack and hashes what its images are built from.

use std::{collections::BTreeMap, path::PathBuf};

use futures_util::future::try_join_all;

use super::{OpsError, Session, definition, secret::Secret};
use crate::{
    compose::{self, Problem, Problems},
    engine::{Hasher, base_images, same_image},
    model::{BuildSpec, Color, Image, hash_of},
    plan::{
        ImageJob,
        desired::{self, App, Durable, Service},
    },
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
    let builds = hashed(&files, None).await?;
    let durable = project.durable_targets(&files)?;
    let source = desired::Source {
        project,
        files: &files,
        paths: &paths,
        color,
        release,
        durable: &durable,
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
    let builds = hashed(&files, only).await?;
    let mut durable = desired::durable(project, (&files, &paths), only, &builds, session.wait)
        .map_err(Problems)?;
    definition::label(&mut durable, &Secret::of(project, &files));
    Ok(durable)
}

/// The builds of these services, and those that they are built on, each with the hash of all that goes into it.
async fn hashed(files: &compose::Project, only: Option<&[String]>) -> Result<Builds, OpsError> {
    let mut all = desired::builds(files);
    let mut wanted: Vec<String> =
        all.keys().filter(|key| only.is_none_or(|only| only.contains(*key))).cloned().collect();
    // Builds of one folder share what is read of it.
    let mut folders: BTreeMap<PathBuf, Vec<(String, BuildSpec)>> = BTreeMap::new();
    while let Some(service) = wanted.pop() {
        let Some(mut spec) = all.remove(&service) else { continue };
        on_services(files, &service, &mut spec)?;
        wanted.extend(services(&spec).map(str::to_owned));
        folders.entry(spec.context.clone()).or_default().push((service, spec));
    }
    let each = folders.into_values().map(|builds| async move {
        tokio::task::spawn_blocking(move || {
            let mut hasher = Hasher::default();
            let hash = |(service, spec): (String, BuildSpec)| {
                let hash = hasher.hash(&spec)?;
                Ok::<_, OpsError>((service, (spec, hash)))
            };
            builds.into_iter().map(hash).collect::<Result<Vec<_>, _>>()
        })
        .await
        .expect("hashing does not panic")
    });
    let own: Builds = try_join_all(each).await?.into_iter().flatten().collect();
    let mut builds = Builds::new();
    for (service, (spec, _)) in &own {
        let hash = with_bases(files, &own, service, &mut vec![])?;
        builds.insert(service.clone(), (spec.clone(), hash));
    }
    Ok(builds)
}

/// Where a Dockerfile names an image that another service of these files builds, that build is what is meant.
fn on_services(
    files: &compose::Project,
    service: &str,
    spec: &mut BuildSpec,
) -> Result<(), OpsError> {
    for name in base_images(spec)? {
        let meant = files.services.iter().find(|(other, its)| {
            *other != service
                && its.build.is_some()
                && its.image.as_deref().is_some_and(|image| same_image(image, &name))
        });
        if let Some((other, _)) = meant {
            let from = format!("{}{other}", BuildSpec::SERVICE);
            spec.contexts.entry(name).or_insert(from);
        }
    }
    Ok(())
}

/// The services whose images a build is built on.
fn services(spec: &BuildSpec) -> impl Iterator<Item = &str> {
    spec.contexts.values().filter_map(|from| from.strip_prefix(BuildSpec::SERVICE))
}

/// The hash of a build together with those of the builds that it is built on.
fn with_bases(
    files: &compose::Project,
    own: &Builds,
    service: &str,
    above: &mut Vec<String>,
) -> Result<String, OpsError> {
    if above.iter().any(|it| it == service) {
        let circle =
            format!("its image would be built on itself: {} → {service}", above.join(" → "));
        return Err(Problems(vec![files.problem(&["services", service, "build"], circle)]).into());
    }
    let Some((spec, hash)) = own.get(service) else { return Ok(String::new()) };
    above.push(service.to_owned());
    let bases: Vec<String> =
        services(spec).map(|base| with_bases(files, own, base, above)).collect::<Result<_, _>>()?;
    above.pop();
    Ok(if bases.is_empty() { hash.clone() } else { hash_of(&(hash, bases)) })
}

/// The images of services, and those that they are built on, that are on the engine, by reference.
pub async fn images<'a>(
    session: &Session<'_>,
    services: impl Iterator<Item = &'a Service>,
) -> Result<BTreeMap<String, Image>, OpsError> {
    fn names<'a>(job: &'a ImageJob, into: &mut Vec<&'a str>) {
        into.push(&job.tag);
        job.bases.iter().for_each(|base| names(base, into));
    }
    let mut tags: Vec<&str> = vec![];
    services.for_each(|service| names(&service.image, &mut tags));
    tags.sort_unstable();
    tags.dedup();
    let each = tags.into_iter().map(|tag| async move {
        Ok::<_, OpsError>(session.engine.image(tag).await?.map(|image| (tag.to_owned(), image)))
    });
    Ok(try_join_all(each).await?.into_iter().flatten().collect())
}
