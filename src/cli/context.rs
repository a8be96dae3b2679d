//! What every command starts from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    args::{Global, Waits},
    error::CliError,
    exit::Exit,
};
use crate::{
    base::words,
    config::{ConfigError, Project, Shell},
    engine::{
        Engine,
        docker::{Address, Docker, spent},
    },
    ops::{self, OpsError, Session},
    run::Reporter,
    ui::{Options, Terminals, Ui},
};

pub struct Context {
    pub ui: Ui,
    pub shell: Shell,
    pub cancel: CancellationToken,
    environment: Option<String>,
    folder: PathBuf,
}

impl Context {
    pub fn new(global: &Global, shell: Shell) -> Self {
        let ui = Ui::new(Options {
            progress: global.progress,
            quiet: global.quiet,
            verbose: global.verbose,
            no_color: shell.get("NO_COLOR").is_some(),
            terminals: Terminals::detect(shell.get("TERM")),
        });
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let folder =
            global.directory.as_ref().map_or_else(|| folder.clone(), |chosen| folder.join(chosen));
        Self {
            ui,
            shell,
            cancel: CancellationToken::new(),
            environment: global.env.clone().filter(|name| !name.is_empty()),
            folder,
        }
    }

    /// Where the command looks from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the project.
    pub fn project(&self) -> Result<Project, CliError> {
        Ok(Project::open(&self.folder, self.environment.as_deref(), &self.shell)?)
    }

    /// Opens the project for an environment that a command names itself.
    pub fn project_in(&self, environment: &str) -> Result<Project, CliError> {
        Ok(Project::open(&self.folder, Some(environment), &self.shell)?)
    }

    /// Opens the project, its app made of these files where any are named. Compose files without a project file are one
    /// too: there is nothing yet that reading them could disagree with.
    pub fn project_of(&self, files: &[PathBuf]) -> Result<Project, CliError> {
        let found = Project::open(&self.folder, self.environment.as_deref(), &self.shell);
        let Err(missing @ ConfigError::NoProject { .. }) = found else {
            let mut project = found?;
            if !files.is_empty() {
                project.file.app.compose = files.iter().map(|f| self.folder.join(f)).collect();
            }
            return Ok(project);
        };
        let environment = self.environment.as_deref();
        match ops::bare_project(&self.folder, files, environment, &self.shell) {
            Err(OpsError::NoComposeFile { .. }) => Err(missing.into()),
            bare => Ok(bare?),
        }
    }

    /// Opens the project, for commands that bring something up: missing credentials are made first.
    pub async fn project_with_credentials(
        &self,
        engine: Option<&dyn Engine>,
    ) -> Result<Project, CliError> {
        let environment = self.environment.as_deref();
        let (project, written) =
            ops::open_with_credentials(engine, &self.folder, environment, &self.shell).await?;
        self.warn_of(&project);
        if !written.new.is_empty() {
            let path = project.credentials_file();
            self.ui.say(&format!("made {} in `{}`", written.new.join(", "), path.display()));
        }
        Ok(project)
    }

    /// Warns of the files that the project's variables are from.
    pub fn warn_of(&self, project: &Project) {
        for warning in &project.warnings {
            self.ui.warn(&warning.to_string());
        }
    }

    pub async fn engine(&self) -> Result<Docker, CliError> {
        let shell = &self.shell;
        let config = shell.docker_config();
        let address =
            Address::find(shell.engine(), shell.get("DOCKER_CONTEXT"), config.as_deref())?;
        let verify = shell.get("DOCKER_TLS_VERIFY").is_some();
        let certificates =
            shell.get("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| config.clone());
        let address = address.with_tls(certificates.filter(|_| verify));
        let docker = Docker::connect(&address).await?;
        let docker = docker.with_agent(shell.get("SSH_AUTH_SOCK").map(PathBuf::from));
        let docker = match shell.get("DOCKER_BUILDKIT") {
            Some("0" | "false") => docker.with_classic_builder(),
            _ => docker,
        };
        Ok(match config {
            Some(folder) => docker.with_logins(folder).with_helpers(shell.get("PATH")),
            None => docker,
        })
    }

    pub fn session<'a>(
        &'a self,
        engine: &'a dyn Engine,
        project: &'a Project,
        reporter: &'a dyn Reporter,
        waits: Option<Waits>,
    ) -> Session<'a> {
        let host = match self.shell.engine().and_then(|address| address.strip_prefix("tcp://")) {
            Some(address) => address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned(),
            None => "127.0.0.1".to_owned(),
        };
        Session {
            engine,
            project,
            shell: &self.shell,
            reporter,
            cancel: self.cancel.clone(),
            lock_wait: waits.map_or(Duration::ZERO, |waits| waits.lock_wait),
            wait: waits.map_or(Duration::from_secs(300), |waits| waits.wait_timeout),
            executable: std::env::current_exe().unwrap_or_default(),
            host,
            journal: Arc::default(),
        }
    }

    /// Says what went wrong, and what to do about it.
    pub fn end(&self, outcome: Result<Exit, CliError>) -> Exit {
        let exit = outcome.unwrap_or_else(|error| {
            self.ui.failure(&error.to_string(), &error.hints(), error.evidence());
            error.exit()
        });
        let (calls, time) = spent();
        if calls > 0 {
            let calls = words::count(calls, "call");
            self.ui
                .detail(&format!("{calls} of the engine, under way for {} ms", time.as_millis()));
        }
        match self.ui.finish() {
            Ok(()) => exit,
            Err(_) => Exit::Failed,
        }
    }
}
