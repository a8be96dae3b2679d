//! The values of `env_file`, `label_file`, and of secrets and configs that are variables.

use std::path::Path;

use indexmap::IndexMap;

use super::{
    dotenv,
    load::{env_problem, read_text},
    problem::{Problem, Problems},
    types::{EnvFile, Hidden, Project, Service},
};

/// Gives secrets and configs of `environment` their values.
pub fn resolve_objects(project: &mut Project, environment: &IndexMap<String, String>) {
    for object in project.secrets.values_mut().chain(project.configs.values_mut()) {
        let value = object.environment.as_ref().and_then(|name| environment.get(name));
        object.value = value.map(|value| Hidden(value.clone()));
    }
}

/// Reads the environment and label files of all active services.
pub fn resolve_services(
    project: &mut Project,
    environment: &IndexMap<String, String>,
    problems: &mut Problems,
) {
    let mut services = std::mem::take(&mut project.services);
    for (name, service) in &mut services {
        for (index, cause) in variables(service, environment) {
            let path = ["services", name, "env_file", &index.to_string()];
            problems.push(project.problem(&path, cause));
        }
        for (index, cause) in labels(service) {
            let path = ["services", name, "label_file", &index.to_string()];
            problems.push(project.problem(&path, cause));
        }
    }
    project.services = services;
}

/// Files in their order, later ones over earlier; what the service sets itself counts more.
fn variables(
    service: &mut Service,
    environment: &IndexMap<String, String>,
) -> Vec<(usize, String)> {
    let mut wrong = vec![];
    let own = std::mem::take(&mut service.environment);
    let mut all: IndexMap<String, String> =
        own.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    let lookup = |name: &str| {
        let set = || own.get(name).cloned().flatten();
        environment.get(name).cloned().or_else(set)
    };
    for (index, file) in std::mem::take(&mut service.env_file).into_iter().enumerate() {
        if let Err(cause) = env_file(&file, &mut all, &lookup) {
            wrong.push((index, cause.to_string()));
        }
    }
    let mut merged: IndexMap<String, Option<String>> =
        all.into_iter().map(|(name, value)| (name, Some(value))).collect();
    merged.extend(own);
    service.environment = merged;
    wrong
}

fn env_file(
    file: &EnvFile,
    variables: &mut IndexMap<String, String>,
    lookup: dotenv::Lookup,
) -> Result<(), Problems> {
    let path = Path::new(&file.path);
    if !file.required && !path.exists() {
        return Ok(());
    }
    let text = read_text(path)?;
    match file.format.as_deref() {
        None | Some("" | ".env") => dotenv::parse(&text, variables, lookup)
            .map_err(|error| env_problem(path, &error).into()),
        Some("raw") => {
            dotenv::parse_raw(&text, variables, lookup);
            Ok(())
        }
        Some(other) => {
            let message = format!("there is no format `{other}`, only `raw`");
            Err(Problem::of_file(path, message).into())
        }
    }
}

/// Files in their order, later ones over earlier; the service's own labels count more.
fn labels(service: &mut Service) -> Vec<(usize, String)> {
    let mut wrong = vec![];
    let mut all = IndexMap::new();
    for (index, file) in std::mem::take(&mut service.label_file).into_iter().enumerate() {
        let path = Path::new(&file);
        let result = read_text(path).and_then(|text| {
            dotenv::parse(&text, &mut all, &|_| None)
                .map_err(|error| env_problem(path, &error).into())
        });
        if let Err(cause) = result {
            wrong.push((index, cause.to_string()));
        }
    }
    all.extend(std::mem::take(&mut service.labels));
    service.labels = all;
    wrong
}
