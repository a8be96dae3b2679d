//! The images of services: what to pull, what to build, and under which name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    compose,
    model::{BuildSecret, BuildSpec, Names, Ulimit, labels},
    plan::ImageJob,
};

/// What the services' `build:` say, by service. Tag and context hash are not in them yet: the hash takes reading files.
pub fn builds(project: &compose::Project) -> BTreeMap<String, BuildSpec> {
    project
        .services
        .iter()
        .filter_map(|(name, service)| {
            Some((name.clone(), build(project, service.build.as_ref()?, service)))
        })
        .collect()
}

fn build(
    project: &compose::Project,
    build: &compose::Build,
    service: &compose::Service,
) -> BuildSpec {
    let context = PathBuf::from(build.context.as_deref().unwrap_or("."));
    let secrets = build.secrets.iter().filter_map(|mount| {
        let object = project.secrets.get(&mount.source)?;
        let secret = match (&object.value, &object.file) {
            (Some(value), _) => BuildSecret::Value(value.0.clone().into_bytes()),
            (None, Some(file)) => BuildSecret::File(file.into()),
            (None, None) => return None,
        };
        Some((mount.target.clone().unwrap_or_else(|| mount.source.clone()), secret))
    });
    BuildSpec {
        tag: String::new(),
        tags: build.tags.clone(),
        dockerfile: Path::new(build.dockerfile.as_deref().unwrap_or("Dockerfile")).to_owned(),
        dockerfile_inline: build.dockerfile_inline.clone(),
        args: build.args.iter().filter_map(|(k, v)| Some((k.clone(), v.clone()?))).collect(),
        target: build.target.clone(),
        labels: build.labels.clone().into_iter().collect(),
        cache_from: build.cache_from.clone(),
        cache_to: build.cache_to.clone(),
        extra_hosts: hosts(&build.extra_hosts),
        network: build.network.clone(),
        platform: service.platform.clone().or_else(|| build.platforms.first().cloned()),
        shm_size: build.shm_size.map(|size| size.0),
        ulimits: build
            .ulimits
            .iter()
            .map(|(name, limit)| (name.clone(), Ulimit { soft: limit.soft, hard: limit.hard }))
            .collect(),
        contexts: build.additional_contexts.clone().into_iter().collect(),
        secrets: secrets.collect(),
        ssh: build
            .ssh
            .iter()
            .map(|key| match &key.path {
                Some(path) => format!("{}={path}", key.id),
                None => key.id.clone(),
            })
            .collect(),
        no_cache: build.no_cache,
        pull: build.pull,
        context,
    }
}

pub(super) fn hosts(hosts: &compose::Hosts) -> Vec<String> {
    hosts
        .0
        .iter()
        .flat_map(|(host, addresses)| {
            addresses.iter().map(move |address| format!("{host}:{address}"))
        })
        .collect()
}

/// The image of a service: the reference itself where it is only pulled, else a name that ends with the hash of what it
/// is built from, so that the same content is built once for both colors, and for all services that say the same.
pub(super) fn job(
    names: &Names,
    key: &str,
    files: &compose::Project,
    builds: &BTreeMap<String, (BuildSpec, String)>,
) -> ImageJob {
    let service = files.services.get(key);
    let named = |key: &str| files.services.get(key).and_then(|service| service.image.as_deref());
    let policy = service.and_then(|service| service.pull_policy.as_deref());
    let platform = service.and_then(|service| service.platform.clone());
    // `daily` and the like ask the registry at each deployment: it answers at once where nothing is newer.
    let refresh = !matches!(policy, None | Some("missing" | "build" | "never"));
    let Some((spec, hash)) = builds.get(key) else {
        let tag = named(key).unwrap_or_default().to_owned();
        let pull = (policy != Some("never")).then(|| tag.clone());
        return ImageJob { tag, pull, platform, refresh, ..ImageJob::default() };
    };
    let short = &hash[..12.min(hash.len())];
    let tag = match named(key) {
        None => {
            let same = |(other, (_, its)): &(&String, &(BuildSpec, String))| {
                its == hash && named(other).is_none()
            };
            let first = builds.iter().find(same).map_or(key, |(first, _)| first);
            format!("{}:{short}", names.image(first))
        }
        Some(reference) => {
            let (name, tag) = split(reference);
            match tag {
                Some(tag) => format!("{name}:{tag}-{short}"),
                None => format!("{name}:{short}"),
            }
        }
    };
    let mut spec = BuildSpec { tag: tag.clone(), ..spec.clone() };
    let mut bases = vec![];
    for from in spec.contexts.values_mut() {
        if let Some(other) = from.strip_prefix(BuildSpec::SERVICE) {
            let base = job(names, other, files, builds);
            *from = format!("{}{}", BuildSpec::IMAGE, base.tag);
            bases.push(base);
        }
    }
    spec.labels.insert(labels::CONTEXT_HASH.to_owned(), hash.clone());
    spec.labels.insert(labels::PROJECT.to_owned(), names.project.clone());
    let pull = match policy {
        Some("build" | "never") => None,
        _ => named(key).map(str::to_owned),
    };
    ImageJob { tag, refresh: refresh && pull.is_some(), pull, build: Some(spec), platform, bases }
}

/// Name and tag of a reference; a digest is dropped.
fn split(reference: &str) -> (&str, Option<&str>) {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_split_at_its_tag_and_not_at_its_port() {
        assert_eq!(split("redis:8"), ("redis", Some("8")));
        assert_eq!(split("host:5000/redis"), ("host:5000/redis", None));
        assert_eq!(split("host:5000/redis:8@sha256:ab"), ("host:5000/redis", Some("8")));
    }
}
