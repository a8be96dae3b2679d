//! `ci`: a pipeline of the project's own for GitLab or GitHub, as text.

mod github;
mod gitlab;

use crate::config::Project;

/// Whose pipeline is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    GitLab,
    GitHub,
}

/// What a pipeline is written from.
struct Pipeline<'a> {
    project: &'a str,
    environment: &'a str,
    /// Variables that the host of the pipeline has to bring.
    credentials: &'a [String],
    durable: bool,
    /// Whether `envctl test` asks anything of the preview.
    requests: bool,
    /// The test services, each a job of its own.
    services: Vec<&'a str>,
}

/// The pipeline of the project's environment: YAML with comments, for the place where the host looks for it.
pub fn pipeline(project: &Project, host: Host) -> String {
    let file = &project.file;
    let services: Vec<&str> = file.checks.iter().filter_map(|check| check.service()).collect();
    let pipeline = Pipeline {
        project: &project.names.project,
        environment: &project.names.environment,
        credentials: &file.credentials,
        durable: !file.durable.compose.is_empty() || !file.durable.services.is_empty(),
        // One without a check at all still says so on the release, and may then be switched to.
        requests: services.is_empty() || services.len() < file.checks.len(),
        services,
    };
    match host {
        Host::GitLab => gitlab::write(&pipeline),
        Host::GitHub => github::write(&pipeline),
    }
}
