//! What is read, and the ways in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use super::{
    de, dotenv as env,
    interpolate::interpolate,
    load::{self, Options},
    node::{Map, Node, Value},
    origin::Origin,
    problem::{Files, Problem, Problems},
    text::{blanked_problem, env_problem, read_text},
    types::Project,
    yaml,
};

/// The files of a project and what they may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Base file first, overrides after it.
    pub files: &'a [PathBuf],
    /// What relative paths are relative to.
    pub project_dir: &'a Path,
    /// Empty: the file's `name`, else the folder's.
    pub project_name: &'a str,
    /// The variables for interpolation.
    pub environment: &'a IndexMap<String, String>,
    /// The active profiles; `*` is all of them.
    pub profiles: &'a [String],
    /// Services that are there whatever their profiles, as with `docker compose run`.
    pub named: &'a [String],
}

/// Reads the files and all that they refer to, and leaves relative paths as the files have them.
pub fn load_as_written(source: &Source) -> Result<Project, Problems> {
    load::load(source, Options { resolve_paths: false, read_env_files: true })
}

/// Reads the files and all that they refer to.
pub fn load(source: &Source) -> Result<Project, Problems> {
    load::load(source, Options { resolve_paths: true, read_env_files: true })
}

const NAMES: &[&str] =
    &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDE_NAMES: &[&str] = &[
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// The Compose files of a folder: what `COMPOSE_FILE` names, else `compose.yaml` or its like with its override.
///
/// Paths in `COMPOSE_FILE` are relative to the folder and may not exist.
pub fn discover(folder: &Path, environment: &IndexMap<String, String>) -> Option<Vec<PathBuf>> {
    if let Some(list) = environment.get("COMPOSE_FILE").filter(|list| !list.is_empty()) {
        let separator = environment
            .get("COMPOSE_PATH_SEPARATOR")
            .filter(|separator| !separator.is_empty())
            .map_or(":", String::as_str);
        return Some(list.split(separator).map(|file| folder.join(file)).collect());
    }
    let first =
        |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let base = first(NAMES)?;
    Some([base].into_iter().chain(first(OVERRIDE_NAMES)).collect())
}

/// Reads a YAML file of any shape, interpolated, with the same errors; unknown keys are those that `T` refuses.
///
/// A variable that is set nowhere and has no default is an empty text, as in Compose; [`read_warned`] tells of it.
pub fn read<T: DeserializeOwned>(
    path: &Path,
    environment: &IndexMap<String, String>,
) -> Result<T, Problems> {
    read_placed(path, environment).map(|(value, _)| value)
}

/// Reads like [`read`] and returns where each key stands.
pub fn read_placed<T: DeserializeOwned>(
    path: &Path,
    environment: &IndexMap<String, String>,
) -> Result<(T, Origin), Problems> {
    let read = read_whole(path, environment)?;
    Ok((read.value, read.origin))
}

/// Reads like [`read`] and returns what is to be warned of.
pub fn read_warned<T: DeserializeOwned>(
    path: &Path,
    environment: &IndexMap<String, String>,
) -> Result<(T, Vec<Problem>), Problems> {
    read_whole(path, environment).map(|read| (read.value, read.warnings))
}

struct Whole<T> {
    value: T,
    origin: Origin,
    warnings: Vec<Problem>,
}

fn read_whole<T: DeserializeOwned>(
    path: &Path,
    environment: &IndexMap<String, String>,
) -> Result<Whole<T>, Problems> {
    let text: Arc<str> = read_text(path)?.into();
    let mut files = Files::default();
    let file = files.add(path, text.clone());
    let mut documents = yaml::parse(&files, file, &text)?;
    if documents.len() > 1 {
        let at = documents.pop().unwrap_or_default().at;
        return Err(files.problem(at, "", "only one document is read here").into());
    }
    let empty = Node { value: Value::Map(Map::new()), ..Node::default() };
    let mut node = documents.pop().unwrap_or(empty);
    let (mut warnings, mut problems) = (vec![], Problems::default());
    interpolate(&mut node, &files, environment, &mut warnings, &mut problems);
    match de::from_node(&node, &files, de::Nulls::Absent) {
        Ok(value) => {
            problems.or_ok()?;
            Ok(Whole { value, origin: Origin { files, tree: Arc::new(node) }, warnings })
        }
        Err(more) => {
            more.0.into_iter().for_each(|problem| problems.push(problem));
            Err(problems)
        }
    }
}

/// Reads an environment file in Compose's dialect; its values may use each other and `environment`. What is to be warned
/// of is added to `warnings`.
pub fn dotenv(
    path: &Path,
    environment: &IndexMap<String, String>,
    warnings: &mut Vec<Problem>,
) -> Result<IndexMap<String, String>, Problems> {
    let text = read_text(path)?;
    let mut variables = IndexMap::new();
    let blanked = env::parse(&text, &mut variables, &|name| environment.get(name).cloned())
        .map_err(|error| -> Problem { env_problem(path, &error) })?;
    warnings.extend(blanked.iter().map(|one| blanked_problem(path, one)));
    Ok(variables)
}
