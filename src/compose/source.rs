//! What is read, and the ways in.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use super::{
    problem::{Problem, Problems},
    types::Project,
};

/// The files of a project and what they may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Base file first, overrides after it.
    pub files: &'a [PathBuf],
    /// What relative paths are relative to.
    pub project_dir: &'a Path,
    pub project_name: &'a str,
    /// The variables for interpolation.
    pub environment: &'a IndexMap<String, String>,
    /// The active profiles; `*` is all of them.
    pub profiles: &'a [String],
}

/// Reads the files and all that they refer to.
pub fn load(source: &Source) -> Result<Project, Problems> {
    Err(Problem::of_file(source.project_dir, "reading is not there yet").into())
}

/// The Compose files of a folder: what `COMPOSE_FILE` names, else `compose.yaml` and its like with its override.
pub fn discover(folder: &Path, environment: &IndexMap<String, String>) -> Option<Vec<PathBuf>> {
    let _ = (folder, environment);
    None
}

/// Reads a YAML file of any shape, interpolated, with the same errors; unknown keys are those that `T` refuses.
pub fn read<T: DeserializeOwned>(
    path: &Path,
    environment: &IndexMap<String, String>,
) -> Result<T, Problems> {
    let _ = environment;
    Err(Problem::of_file(path, "reading is not there yet").into())
}

/// Reads an environment file in Compose's dialect; its values may use each other and `environment`.
pub fn dotenv(
    path: &Path,
    environment: &IndexMap<String, String>,
) -> Result<IndexMap<String, String>, Problems> {
    let _ = environment;
    Err(Problem::of_file(path, "reading is not there yet").into())
}
