//! A first project file for Compose files that are there: what looks durable, which ports become routes, and why.

mod durable;
mod routes;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use indexmap::IndexMap;

use super::{OpsError, secret::REDACTED};
use crate::{
    base::files,
    compose::{self, Problem, Problems},
    config::{ConfigError, EnvironmentFile, FILE, Project, ProjectFile, Shell},
    model::{Color, Names},
    plan::desired,
};

/// The longest name that a project may have.
const LONGEST_NAME: usize = 40;

/// A project file as it would be written.
#[derive(Debug, Clone)]
pub struct Draft {
    pub path: PathBuf,
    pub text: String,
    /// What was decided and why, each a line.
    pub decisions: Vec<String>,
    /// What the Compose files hold that has to be changed before a deployment.
    pub problems: Vec<String>,
}

/// Reads the Compose files of a folder and drafts its project file. Writes nothing.
///
/// The files are those that are named, else those that Compose would find.
pub fn draft(folder: &Path, named: &[PathBuf], shell: &Shell) -> Result<Draft, OpsError> {
    let path = folder.join(FILE);
    if path.symlink_metadata().is_ok() {
        return Err(OpsError::ProjectExists { path });
    }
    let mut variables = match folder.join(".env") {
        env if env.is_file() => compose::dotenv(&env, &IndexMap::new(), &mut vec![])?,
        _ => IndexMap::new(),
    };
    variables.extend(shell.0.clone());
    let paths = compose_files(folder, named, &variables)?;
    let mut decisions = vec![];
    let credentials = credentials(&paths, &mut variables, &mut decisions)?;
    let files = load(&paths, &variables)?;

    let name = name(&files.name);
    decisions.insert(0, format!("`{name}` is the project's name, as Compose names it"));
    if let Some(above) =
        folder.ancestors().skip(1).map(|above| above.join(FILE)).find(|p| p.is_file())
    {
        decisions
            .push(format!("`{}` is no longer the project file of this folder", above.display()));
    }
    let durable = durable::detect(&files, &mut decisions);
    let proxy = routes::detect(&files, &durable, &mut decisions);
    others(&files, &durable, &mut decisions);

    let listed: Vec<&Path> =
        paths.iter().map(|path| path.strip_prefix(folder).unwrap_or(path)).collect();
    let text = text::render(&name, &listed, &durable, &proxy, &credentials);
    let problems = refused(folder, &text, &paths, &files, variables);
    Ok(Draft { path, text, decisions, problems })
}

fn compose_files(
    folder: &Path,
    named: &[PathBuf],
    variables: &IndexMap<String, String>,
) -> Result<Vec<PathBuf>, OpsError> {
    if !named.is_empty() {
        return Ok(named.iter().map(|file| folder.join(file)).collect());
    }
    compose::discover(folder, variables)
        .ok_or_else(|| OpsError::NoComposeFile { folder: folder.to_owned() })
}

/// The project that Compose files would be the app of, where no project file says so.
pub fn bare_project(
    folder: &Path,
    named: &[PathBuf],
    environment: Option<&str>,
    shell: &Shell,
) -> Result<Project, OpsError> {
    let mut project = Project::of_compose_files(folder, String::new(), named, environment, shell)?;
    let paths = compose_files(folder, named, &project.variables)?;
    project.file.credentials = credentials(&paths, &mut project.variables, &mut vec![])?;
    let name = name(&load(&paths, &project.variables)?.name);
    project.variables.insert("ENVCTL_PROJECT".to_owned(), name.clone());
    project.file.name.clone_from(&name);
    project.names.project = name;
    Ok(project)
}

/// Writes the draft, unless a project file came up meanwhile.
pub fn write_draft(draft: &Draft) -> Result<(), OpsError> {
    if draft.path.symlink_metadata().is_ok() {
        return Err(OpsError::ProjectExists { path: draft.path.clone() });
    }
    files::write_atomic(&draft.path, draft.text.as_bytes(), 0o644)
        .map_err(|error| ConfigError::File(error).into())
}

fn load(
    paths: &[PathBuf],
    variables: &IndexMap<String, String>,
) -> Result<compose::Project, Problems> {
    let profiles = variables.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    let profiles: Vec<String> =
        profiles.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    compose::load(&compose::Source {
        files: paths,
        project_dir: paths.first().and_then(|path| path.parent()).unwrap_or(Path::new(".")),
        project_name: variables.get("COMPOSE_PROJECT_NAME").map(String::as_str).unwrap_or_default(),
        environment: variables,
        profiles: &profiles,
        named: &[],
    })
}

/// A name that a project may have.
fn name(of_compose: &str) -> String {
    let short: String = of_compose.chars().take(LONGEST_NAME).collect();
    if short.starts_with(|c: char| c.is_ascii_alphanumeric()) { short } else { "app".to_owned() }
}

/// The variables that are set nowhere and named like a password: they become credentials, and stand-ins here.
fn credentials(
    paths: &[PathBuf],
    variables: &mut IndexMap<String, String>,
    decisions: &mut Vec<String>,
) -> Result<Vec<String>, OpsError> {
    let mut names = BTreeSet::new();
    loop {
        let loaded = load(paths, variables);
        let problems = match &loaded {
            Ok(files) => &files.warnings,
            Err(problems) => &problems.0,
        };
        let missing: Vec<String> = problems
            .iter()
            .filter_map(unset)
            .filter(|name| is_secret(name) && !variables.contains_key(*name))
            .map(str::to_owned)
            .collect();
        if missing.is_empty() {
            // A stand-in that a file cannot be read with, or something else: both are the user's to see.
            loaded?;
            break;
        }
        for name in missing {
            variables.insert(name.clone(), REDACTED.to_owned());
            names.insert(name);
        }
    }
    for name in &names {
        decisions.push(format!(
            "`{name}` is set nowhere: a credential, given a random value by `envctl credentials`"
        ));
    }
    Ok(names.into_iter().collect())
}

/// The variable that a problem says is not set.
fn unset(problem: &Problem) -> Option<&str> {
    let (name, rest) = problem.message.strip_prefix("the variable `")?.split_once('`')?;
    rest.starts_with(" is not set").then_some(name)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASSWORD", "PASSWD", "SECRET"].iter().any(|word| name.contains(word))
        || name.ends_with("_PASS")
}

/// What else becomes of the services in two colors.
fn others(files: &compose::Project, durable: &[String], decisions: &mut Vec<String>) {
    let of_durable: BTreeSet<&String> = files
        .services
        .iter()
        .filter(|(key, _)| durable.contains(key))
        .flat_map(|(_, own)| durable::named_volumes(files, own))
        .collect();
    for (key, own) in &files.services {
        let is_durable = durable.contains(key);
        match &own.container_name {
            Some(name) if is_durable => {
                decisions.push(format!("`{key}` keeps its container's name `{name}`"));
            }
            Some(name) => decisions.push(format!(
                "`{key}` is called `{name}`: a network alias, as two colors cannot share a name"
            )),
            None => {}
        }
        if is_durable {
            continue;
        }
        for volume in durable::named_volumes(files, own).filter(|name| !of_durable.contains(name)) {
            decisions.push(format!(
                "`{volume}` of `{key}` is one volume per color and goes with it; `external: true` on the volume keeps one for both"
            ));
        }
        if own.network_mode.as_deref() == Some("host") {
            decisions.push(format!(
                "`{key}` uses the host's network: two colors would listen on the same ports"
            ));
        }
    }
    if !files.disabled.is_empty() {
        let names: Vec<String> = files.disabled.keys().map(|key| format!("`{key}`")).collect();
        decisions.push(format!(
            "{} left out, as no active profile names them; `app.profiles` turns profiles on",
            names.join(", ")
        ));
    }
}

/// What the drafted project would be refused for.
fn refused(
    folder: &Path,
    text: &str,
    paths: &[PathBuf],
    files: &compose::Project,
    variables: IndexMap<String, String>,
) -> Vec<String> {
    let file: ProjectFile = match serde_yaml::from_str(text) {
        Ok(file) => file,
        Err(error) => return vec![format!("{FILE}: {error}")],
    };
    let project = Project {
        root: folder.to_owned(),
        names: Names::new(file.name.clone(), "devlocal".to_owned()),
        file,
        origin: compose::Origin::default(),
        environment: EnvironmentFile::default(),
        variables,
        credentials: IndexMap::new(),
        warnings: vec![],
        resolve_paths: true,
    };
    let (builds, wait) = (BTreeMap::new(), Duration::ZERO);
    let source = desired::Source {
        project: &project,
        files,
        paths,
        color: Color::Blue,
        release: "",
        durable: &BTreeMap::new(),
        replicas: &BTreeMap::new(),
        builds: &builds,
        wait,
    };
    let mut found = Problems::default();
    let mut add = |problems: Vec<Problem>| problems.into_iter().for_each(|one| found.push(one));
    if let Err(problems) = desired::app(&source) {
        add(problems);
    }
    let only = &project.file.durable.services;
    if !only.is_empty()
        && let Err(problems) = desired::durable(&project, (files, paths), Some(only), &builds, wait)
    {
        add(problems);
    }
    found.0.iter().map(ToString::to_string).collect()
}
