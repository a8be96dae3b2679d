//! What a layer's files say once they are read: the document that `docker compose config` would print, with the names
//! that things get on the engine and without what nobody shall see.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{
    OpsError,
    secret::{REDACTED, Secret},
};
use crate::{
    compose::{self, MountKind},
    config::Project,
    model::Color,
};

/// Compose's own order.
const SECTIONS: [&str; 6] = ["name", "services", "networks", "volumes", "secrets", "configs"];

/// The files that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    App(Color),
    Durable,
}

/// A layer's files, resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// In the shape of a Compose file, keys sorted, credentials and secrets redacted.
    pub document: Value,
    /// Sorted.
    pub services: Vec<String>,
    /// What the services run, or the name of what is built for them; sorted.
    pub images: Vec<String>,
    /// By service: differs when anything of its definition does, its credentials too.
    pub hashes: BTreeMap<String, String>,
    pub warnings: Vec<String>,
}

/// Resolves a layer's files; asks no engine and makes no credentials.
pub fn config(project: &Project, layer: Layer) -> Result<Resolved, OpsError> {
    let mut project = project.clone();
    for name in &project.file.credentials {
        // Those that are not made yet are no error here.
        project.variables.entry(name.clone()).or_insert_with(|| REDACTED.to_owned());
    }
    project.variables = project.variables_beside(&match layer {
        Layer::Durable if !project.durable_files().is_empty() => project.durable_files(),
        Layer::Durable => project.app_files(Color::Blue)?,
        Layer::App(color) => project.app_files(color)?,
    })?;
    let files = load(&project, layer)?;
    let mut secret = Secret::of(&project, &files);
    // Read once more with the credentials hidden: a value that a command line splits into words is found by no search.
    // Where that cannot be read, since a number or a path is made of one, the search has to do.
    let shown = load(&secret.hidden(&project), layer).unwrap_or_else(|_| {
        secret.search_all(&project);
        files.clone()
    });
    let mut document = serde_json::to_value(shown).expect("own types have text keys");
    secret.mask(&mut document);

    let image = |(key, service): (&String, &compose::Service)| match &service.image {
        Some(image) => secret.masked(image),
        None => project.names.image(key),
    };
    let images: BTreeSet<String> = files.services.iter().map(image).collect();
    let mut services: Vec<String> = files.services.keys().cloned().collect();
    services.sort();
    Ok(Resolved {
        document: sorted(document),
        services,
        images: images.into_iter().collect(),
        hashes: files.services.iter().map(|(key, service)| (key.clone(), hash(service))).collect(),
        warnings: files
            .warnings
            .iter()
            .map(|warning| secret.masked(&warning.to_string()))
            .collect(),
    })
}

fn load(project: &Project, layer: Layer) -> Result<compose::Project, OpsError> {
    let split = &project.file.durable.services;
    let mut files = match layer {
        Layer::App(color) => project.load_app(color, "")?,
        Layer::Durable => match project.load_durable()? {
            Some(files) => files,
            None if split.is_empty() => return Err(OpsError::NoDurableLayer),
            None => only(project.load_app(Color::Blue, "")?, split)?,
        },
    };
    let names = &project.names;
    files.name = match layer {
        Layer::App(color) => names.compose_project(color.as_str()),
        Layer::Durable => names.compose_project("durable"),
    };
    let durable = mounted(files.services.iter().filter(|(key, _)| split.contains(key)));
    for (key, volume) in files.volumes.iter_mut().filter(|(_, volume)| !volume.external) {
        volume.name = Some(match layer {
            Layer::App(color) if !durable.contains(key) => names.volume(color, key),
            _ => names.durable_volume(key),
        });
    }
    for (key, network) in files.networks.iter_mut().filter(|(_, network)| !network.external) {
        network.name = Some(match layer {
            Layer::App(color) => names.network(color, key),
            Layer::Durable => names.durable_network(key),
        });
    }
    Ok(files)
}

/// The volumes that services mount.
fn mounted<'a>(
    services: impl Iterator<Item = (&'a String, &'a compose::Service)>,
) -> BTreeSet<String> {
    services
        .flat_map(|(_, service)| &service.volumes)
        .filter(|mount| mount.kind == MountKind::Volume)
        .filter_map(|mount| mount.source.clone())
        .collect()
}

/// Those services alone, with what they use.
fn only(mut files: compose::Project, chosen: &[String]) -> Result<compose::Project, OpsError> {
    if let Some(name) = chosen.iter().find(|name| !files.services.contains_key(*name)) {
        return Err(OpsError::NoService {
            name: name.clone(),
            place: "the app's files".to_owned(),
            known: files.services.keys().cloned().collect(),
        });
    }
    files.services.retain(|key, _| chosen.contains(key));
    let volumes = mounted(files.services.iter());
    files.volumes.retain(|key, _| volumes.contains(key));
    let services = || files.services.values();
    files.networks.retain(|key, _| services().any(|own| own.networks.contains_key(key)));
    let uses = |mounts: &[compose::FileMount], key: &str| mounts.iter().any(|m| m.source == key);
    files.secrets.retain(|key, _| {
        services().any(|own| {
            uses(&own.secrets, key)
                || own.build.as_ref().is_some_and(|build| uses(&build.secrets, key))
        })
    });
    files.configs.retain(|key, _| services().any(|own| uses(&own.configs, key)));
    Ok(files)
}

fn hash(service: &compose::Service) -> String {
    let text = serde_json::to_vec(service).expect("own types have text keys");
    hex::encode(Sha256::digest(text))
}

fn sorted(mut document: Value) -> Value {
    document.sort_all_objects();
    let mut map = Map::new();
    for section in SECTIONS {
        if let Some(value) = document.get_mut(section) {
            map.insert(section.to_owned(), value.take());
        }
    }
    Value::Object(map)
}
