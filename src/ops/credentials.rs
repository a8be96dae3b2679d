//! Opens a project whose credentials are there, made when missing.

use std::path::Path;

use crate::{
    compose::dotenv,
    config::{self, ConfigError, FILE, Project, Shell, Written},
};

/// Opens the project; with `make`, gives the credentials that it asks for and has not got random values first.
pub fn open(
    start: &Path,
    environment: Option<&str>,
    shell: &Shell,
    make: bool,
) -> Result<(Project, Written), ConfigError> {
    let project = Project::open(start, environment, shell)?;
    if !make {
        return Ok((project, Written { new: vec![] }));
    }
    let path = project.credentials_file();
    let present = if path.is_file() {
        dotenv(&path, &indexmap::IndexMap::new())?
    } else {
        indexmap::IndexMap::new()
    };
    let written = config::write_credentials(&path, &project.file.credentials, &present)?;
    if written.new.is_empty() {
        return Ok((project, written));
    }
    debug_assert!(project.root.join(FILE).is_file());
    let environment = project.names.environment.clone();
    Ok((Project::open(start, Some(&environment), shell)?, written))
}
