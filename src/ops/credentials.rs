//! Opens a project whose credentials are there, made when missing.

use std::path::Path;

use super::OpsError;
use crate::{
    config::{self, Project, Shell, Written},
    engine::Engine,
    model::labels,
};

/// Opens the project, and gives the credentials that it asks for and that are set nowhere random values first.
///
/// Refused when the file is gone and the data it belongs to is there: a database keeps the passwords it was set up with.
/// Without an engine that cannot be seen.
pub async fn open_with_credentials(
    engine: Option<&dyn Engine>,
    start: &Path,
    environment: Option<&str>,
    shell: &Shell,
) -> Result<(Project, Written), OpsError> {
    let project = Project::open(start, environment, shell)?;
    let wanted = project.file.credentials.iter();
    let is_missing = |name: &&String| project.variables.get(*name).is_none_or(String::is_empty);
    let missing: Vec<String> = wanted.filter(is_missing).cloned().collect();
    if missing.is_empty() {
        return Ok((project, Written { new: vec![] }));
    }
    let path = project.credentials_file();
    if let Some(engine) = engine
        && !path.exists()
    {
        let own = |key: &str, value: &str, found: &std::collections::BTreeMap<String, String>| {
            found.get(key).map(String::as_str) == Some(value)
        };
        let data = engine.observe().await?.volumes.into_iter().any(|volume| {
            own(labels::PROJECT, &project.names.project, &volume.labels)
                && own(labels::ENVIRONMENT, &project.names.environment, &volume.labels)
                && own(labels::LAYER, "durable", &volume.labels)
        });
        if data {
            return Err(OpsError::CredentialsLost { file: path, names: missing });
        }
    }
    let written = config::write_credentials(&path, &missing)?;
    let environment = project.names.environment.clone();
    Ok((Project::open(start, Some(&environment), shell)?, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::stage::{APP, PROJECT, Stage};

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_ci_has_not_is_made_before_there_is_data_and_refused_afterwards() {
        let stage = Stage::of(&format!("{PROJECT}credentials: [PW]\n"), APP);
        let unset = Shell([("PW".to_owned(), String::new())].into_iter().collect());
        let open = || open_with_credentials(Some(&stage.engine), &stage.project.root, None, &unset);
        let (project, written) = open().await.unwrap();
        assert_eq!(written.new, ["PW"]);
        assert_eq!(project.variables["PW"].len(), 32);

        stage.up().await.unwrap();
        std::fs::remove_file(project.credentials_file()).unwrap();
        let lost = open().await.unwrap_err();
        assert!(matches!(lost, OpsError::CredentialsLost { .. }), "{lost}");
    }
}
