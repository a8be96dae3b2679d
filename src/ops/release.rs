//! A release as it was deployed, kept on the engine: its images and its resolved stack, enough to deploy it again.
//!
//! Credentials are not in it. The files are resolved once more with each credential's value replaced by a mark, and the
//! marks are filled in from today's credentials: a password that was changed meanwhile is the one the database expects.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    OpsError,
    secret::{SHORTEST, is_secret},
};
use crate::{
    compose::Problems,
    config::Project,
    model::{Color, Hook, Image, Mount, Names, ServiceSpec, When, labels},
    plan::{
        ImageJob,
        desired::{self, App},
    },
};

const FORMAT: u32 = 1;

/// A release as it was deployed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Release {
    format: u32,
    /// The release's own.
    pub id: String,
    pub revision: Option<String>,
    /// The checkout that it was deployed from.
    root: PathBuf,
    /// By service.
    pub images: BTreeMap<String, KeptImage>,
    /// As it would be on either color. The other one's is missing where its images are others.
    stacks: BTreeMap<Color, App>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptImage {
    /// What the service's file or build called it.
    pub name: String,
    pub id: String,
    /// `name@sha256:…`, where a registry gave it one.
    pub digest: Option<String>,
}

impl Release {
    /// Resolves the files once more, for both colors and without credentials.
    pub fn of(
        project: &Project,
        app: &App,
        revision: Option<&str>,
        present: &BTreeMap<String, Image>,
        wait: std::time::Duration,
    ) -> Result<Self, OpsError> {
        let project = &seen(project, app.color);
        let hidden = hidden(project, &secret_names(project, app)?);
        let resolve = |color: Color| -> Result<App, OpsError> {
            let files = hidden.load_app(color, &app.release)?;
            // What is built is known already: only whether both colors build the same is asked here.
            let builds = desired::builds(&files)
                .into_iter()
                .map(|(service, build)| (service, (build, String::new())));
            let source = desired::Source {
                project: &hidden,
                files: &files,
                paths: &hidden.app_files(color)?,
                color,
                release: &app.release,
                durable: &app.durable,
                replicas: &app.replicas,
                builds: &builds.collect(),
                wait,
            };
            Ok(desired::app(&source).map_err(Problems)?)
        };
        let (own, other) = (resolve(app.color)?, resolve(app.color.other())?);
        let same = |a: &App, b: &App| {
            let images = |app: &App| -> Vec<(String, ImageJob)> {
                app.services.iter().map(|s| (s.key.clone(), s.image.clone())).collect()
            };
            images(a) == images(b)
        };
        let mut stacks = BTreeMap::new();
        if same(&own, &other) {
            stacks.insert(app.color.other(), other);
        }
        stacks.insert(app.color, own);
        // A copy of a database goes with the color: another deployment of the release has the durable one.
        let own = app.services.iter().filter(|service| service.role != desired::Role::Clone);
        let images = own.filter_map(|service| {
            let image = present.get(&service.image.tag)?;
            let kept = KeptImage {
                name: service.image.tag.clone(),
                id: image.id.clone(),
                digest: image.digests.first().cloned(),
            };
            Some((service.key.clone(), kept))
        });
        Ok(Self {
            format: FORMAT,
            id: app.release.clone(),
            revision: revision.map(str::to_owned),
            root: project.root.clone(),
            images: images.collect(),
            stacks,
        })
    }

    /// Reads a kept release; none where the file is of another format or was cut off.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|release: &Self| release.format == FORMAT)
    }

    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a release has text keys only")
    }

    /// The names that keep its images on the engine, with the image's id.
    pub fn tags(&self, names: &Names) -> BTreeMap<String, String> {
        self.images
            .values()
            .map(|image| (names.kept_image(&self.id, &image.id), image.id.clone()))
            .collect()
    }

    /// The stack for a color, with the credentials of today and the paths of this checkout. `images` says under which name
    /// each service's image is found on the engine. Hooks before the switch ran when the release first went live; they are
    /// not in it.
    pub fn app(
        &self,
        project: &Project,
        color: Color,
        images: &BTreeMap<String, String>,
    ) -> Result<App, OpsError> {
        let wrong = |reason: String| OpsError::State {
            environment: project.names.environment.clone(),
            reason: format!("release {}: {reason}", self.id),
        };
        let Some(stack) = self.stacks.get(&color) else {
            return Err(OpsError::OtherColor { release: self.id.clone(), color });
        };
        let mut value = serde_json::to_value(stack).map_err(|error| wrong(error.to_string()))?;
        let mut missing = BTreeSet::new();
        let project = &seen(project, color);
        fill(&mut value, project, &mut missing);
        let mut app: App =
            serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        app.services.retain(|service| !runs_before_switch(service));
        for service in &mut app.services {
            let Some(image) = images.get(&service.key) else {
                return Err(wrong(format!("service {} has no image", service.key)));
            };
            service.image = ImageJob { tag: image.clone(), ..ImageJob::default() };
            for spec in &mut service.replicas {
                spec.image.clone_from(image);
                for file in &mut spec.files {
                    if let Ok(text) = std::str::from_utf8(&file.content) {
                        file.content = filled(text, project, &mut missing).into_bytes();
                    }
                }
                for mount in &mut spec.mounts {
                    moved(mount, &self.root, &project.root);
                }
                *spec = spec.clone().sealed();
            }
        }
        if !missing.is_empty() {
            let names = missing.into_iter().collect();
            return Err(OpsError::CredentialsMissing { release: self.id.clone(), names });
        }
        Ok(app)
    }
}

fn runs_before_switch(service: &desired::Service) -> bool {
    let hook = |spec: &ServiceSpec| Hook::of_label(spec.labels.get(labels::HOOK)?);
    service.replicas.iter().filter_map(hook).any(|hook| hook.when == When::BeforeSwitch)
}

/// A bind source of the old checkout is that of this one.
fn moved(mount: &mut Mount, from: &Path, to: &Path) {
    if let Mount::Bind { source, .. } = mount
        && let Ok(rest) = source.strip_prefix(from)
    {
        *source = to.join(rest);
    }
}

/// The project with the variables that its Compose files see: those of the `.env` beside them too, where there is one.
fn seen(project: &Project, color: Color) -> Project {
    let files = project.app_files(color);
    let variables = files.and_then(|files| project.variables_beside(&files));
    let variables = variables.unwrap_or_else(|_| project.variables.clone());
    Project { variables, ..project.clone() }
}

/// The variables whose values are not written down: credentials, what secrets are made of, and what is named like one.
fn secret_names(project: &Project, app: &App) -> Result<BTreeSet<String>, OpsError> {
    let files = project.load_app(app.color, &app.release)?;
    let of_secrets = files.secrets.values().filter_map(|secret| secret.environment.clone());
    let named = project.variables.keys().filter(|name| is_secret(name));
    let listed = project.file.credentials.iter().chain(project.credentials.keys());
    let mut all: BTreeSet<String> = listed.chain(named).cloned().chain(of_secrets).collect();
    all.retain(|name| project.variables.get(name).is_some_and(|value| !value.is_empty()));
    Ok(all)
}

/// The project with marks for the values of these variables, also where another variable is made of one.
fn hidden(project: &Project, secrets: &BTreeSet<String>) -> Project {
    let mut hidden = project.clone();
    let mut values: Vec<(&str, String)> =
        secrets.iter().map(|name| (project.variables[name].as_str(), mark(name))).collect();
    // The longest first: one may be part of another. A short one may be part of anything.
    values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    values.retain(|(value, _)| value.len() >= SHORTEST);
    for (name, value) in &mut hidden.variables {
        if secrets.contains(name) {
            *value = mark(name);
        } else {
            for (secret, mark) in &values {
                *value = value.replace(secret, mark);
            }
        }
    }
    hidden
}

const BEGIN: &str = "__ENVCTL_VALUE_OF_";
const END: &str = "__";

fn mark(name: &str) -> String {
    format!("{BEGIN}{name}{END}")
}

fn fill(node: &mut Value, project: &Project, missing: &mut BTreeSet<String>) {
    match node {
        Value::String(text) => *text = filled(text, project, missing),
        Value::Array(list) => list.iter_mut().for_each(|member| fill(member, project, missing)),
        Value::Object(map) => map.values_mut().for_each(|member| fill(member, project, missing)),
        _ => {}
    }
}

/// The text with the values that its marks stand for.
fn filled(text: &str, project: &Project, missing: &mut BTreeSet<String>) -> String {
    let Some((before, rest)) = text.split_once(BEGIN) else { return text.to_owned() };
    // A name may end with the mark's end: the longest that is a variable counts.
    let ends = rest.match_indices(END).map(|(at, _)| at).collect::<Vec<_>>();
    let known = |at: &&usize| project.variables.contains_key(&rest[..**at]);
    let Some(at) = ends.iter().find(known).or(ends.first()) else { return text.to_owned() };
    let (name, rest) = (&rest[..*at], &rest[at + END.len()..]);
    let value = project.variables.get(name).map_or_else(
        || {
            missing.insert(name.to_owned());
            String::new()
        },
        Clone::clone,
    );
    format!("{before}{value}{}", filled(rest, project, missing))
}
