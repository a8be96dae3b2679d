//! The values of `env_file`, `label_file`, and of secrets and configs that are variables.

use std::{collections::HashMap, path::Path};

use indexmap::IndexMap;

use super::{
    dotenv,
    node::{Node, Value, members},
    problem::{Problem, Problems},
    text::{blanked_problem, env_problem, read_text},
    types::{EnvFile, Hidden, Project, Service},
};

/// The values of secrets and configs that are variables, by section and name.
pub type Values = HashMap<(&'static str, String), String>;

/// Looks up the variables that a merged model names without a value, in the environment of its own files.
pub fn look_up(model: &mut Node, environment: &IndexMap<String, String>, values: &mut Values) {
    for service in members(model, "services") {
        let own = service.get_mut("environment").and_then(Node::as_map_mut);
        for (name, value) in own.into_iter().flatten().filter(|(_, value)| value.is_null()) {
            if let Some(text) = environment.get(name) {
                value.value = Value::Text(text.clone());
            }
        }
    }
    for section in ["secrets", "configs"] {
        let objects = model.get(section).and_then(Node::as_map);
        for (name, object) in objects.into_iter().flatten() {
            let variable = object.get("environment").and_then(Node::as_text);
            if let Some(value) = variable.and_then(|variable| environment.get(variable)) {
                values.insert((section, name.clone()), value.clone());
            }
        }
    }
}

/// Gives secrets and configs of `environment` their values.
pub fn resolve_objects(project: &mut Project, values: &Values) {
    for (section, objects) in [("secrets", &mut project.secrets), ("configs", &mut project.configs)]
    {
        for (name, object) in objects.iter_mut().filter(|(_, object)| object.environment.is_some())
        {
            object.value = values.get(&(section, name.clone())).cloned().map(Hidden);
        }
    }
}

/// Reads the files of secrets and configs for which a service asks an owner or a mode: a mounted file has its own.
pub fn read_owned(project: &mut Project, folder: &Path, problems: &mut Problems) {
    let mut asked: Vec<(&'static str, String, [String; 4])> = vec![];
    for (name, service) in &project.services {
        for (section, list) in [("secrets", &service.secrets), ("configs", &service.configs)] {
            for (index, own) in list.iter().enumerate() {
                if own.uid.is_some() || own.gid.is_some() || own.mode.is_some() {
                    let at = ["services", name, section, &index.to_string()].map(str::to_owned);
                    asked.push((section, own.source.clone(), at));
                }
            }
        }
    }
    for (section, name, at) in asked {
        let objects =
            if section == "secrets" { &mut project.secrets } else { &mut project.configs };
        let Some(object) = objects.get_mut(&name) else { continue };
        let Some(file) = object.file.as_ref().filter(|_| object.value.is_none()) else { continue };
        match read_text(&folder.join(file)) {
            Ok(text) => object.value = Some(Hidden(text)),
            Err(cause) => {
                problems
                    .push(project.problem(&at.each_ref().map(String::as_str), cause.to_string()));
            }
        }
    }
}

/// Reads the environment and label files of all active services; relative paths start in `folder`.
pub fn resolve_services(
    project: &mut Project,
    environment: &IndexMap<String, String>,
    folder: &Path,
    problems: &mut Problems,
) {
    let mut services = std::mem::take(&mut project.services);
    for (name, service) in &mut services {
        let warnings = &mut project.warnings;
        for (index, cause) in variables(service, environment, folder, warnings) {
            let path = ["services", name, "env_file", &index.to_string()];
            problems.push(project.problem(&path, cause));
        }
        for (index, cause) in labels(service, folder) {
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
    folder: &Path,
    warnings: &mut Vec<Problem>,
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
        match env_file(&file, folder, &mut all, &lookup) {
            Ok(more) => {
                for warning in more {
                    // One file is often that of many services.
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                }
            }
            Err(cause) => wrong.push((index, cause.to_string())),
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
    folder: &Path,
    variables: &mut IndexMap<String, String>,
    lookup: dotenv::Lookup,
) -> Result<Vec<Problem>, Problems> {
    let path = &folder.join(&file.path);
    if !file.required && !path.exists() {
        return Ok(vec![]);
    }
    let text = read_text(path)?;
    match file.format.as_deref() {
        None | Some("" | ".env") => dotenv::parse(&text, variables, lookup)
            .map(|blanked| blanked.iter().map(|one| blanked_problem(path, one)).collect())
            .map_err(|error| env_problem(path, &error).into()),
        Some("raw") => {
            dotenv::parse_raw(&text, variables, lookup);
            Ok(vec![])
        }
        Some(other) => {
            let message = format!("there is no format `{other}`, only `raw`");
            Err(Problem::of_file(path, message).into())
        }
    }
}

/// Files in their order, later ones over earlier; the service's own labels count more.
fn labels(service: &mut Service, folder: &Path) -> Vec<(usize, String)> {
    let mut wrong = vec![];
    let mut all = IndexMap::new();
    for (index, file) in std::mem::take(&mut service.label_file).into_iter().enumerate() {
        let path = &folder.join(&file);
        let result = read_text(path).and_then(|text| {
            dotenv::parse(&text, &mut all, &|_| None)
                .map(drop)
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
