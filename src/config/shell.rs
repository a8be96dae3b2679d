//! The process's environment, read once.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf};

use indexmap::IndexMap;

/// The process's variables; those that are not UTF-8 are left out.
#[derive(Debug, Clone, Default)]
pub struct Shell(pub IndexMap<String, String>);

impl Shell {
    pub fn read() -> Self {
        let text = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Self(text.collect())
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The address of the engine that `DOCKER_HOST` names.
    pub fn engine(&self) -> Option<&str> {
        self.get("DOCKER_HOST")
    }

    /// The folder of the Docker client's own configuration, where registry logins are.
    pub fn docker_config(&self) -> Option<PathBuf> {
        match self.get("DOCKER_CONFIG") {
            Some(folder) => Some(folder.into()),
            None => Some(PathBuf::from(self.get("HOME")?).join(".docker")),
        }
    }

    /// The folder for what programs keep for their user (XDG Base Directory Specification).
    pub fn data_folder(&self) -> PathBuf {
        match (self.get("XDG_DATA_HOME"), self.get("HOME")) {
            (Some(folder), _) if folder.starts_with('/') => folder.into(),
            (_, home) => PathBuf::from(home.unwrap_or("/root")).join(".local/share"),
        }
    }

    /// The address of the CI job that runs this process.
    pub fn job(&self) -> Option<String> {
        if let Some(url) = self.get("CI_JOB_URL") {
            return Some(url.to_owned());
        }
        let server = self.get("GITHUB_SERVER_URL")?;
        Some(format!(
            "{server}/{}/actions/runs/{}",
            self.get("GITHUB_REPOSITORY")?,
            self.get("GITHUB_RUN_ID")?
        ))
    }

    /// The revision that CI checked out.
    pub fn revision(&self) -> Option<&str> {
        self.get("CI_COMMIT_SHA").or_else(|| self.get("GITHUB_SHA"))
    }

    /// Who runs this: the one that CI names, else the login, else the number of the user.
    pub fn user(&self) -> String {
        let named = ["GITLAB_USER_LOGIN", "GITHUB_ACTOR", "USER", "LOGNAME"];
        if let Some(name) = named.into_iter().find_map(|name| self.get(name)) {
            return name.to_owned();
        }
        let id = std::fs::metadata("/proc/self").map(|own| own.uid()).unwrap_or_default();
        if id == 0 { "root".to_owned() } else { format!("uid {id}") }
    }
}
