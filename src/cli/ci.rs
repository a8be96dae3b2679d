//! `envctl ci`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::ops;

/// Print a pipeline for this project, to be kept in its repository and changed as you like
///
/// `envctl ci gitlab > .gitlab-ci.yml`, or `envctl ci github > .github/workflows/deploy.yml`; `--env` is the
/// environment that it deploys to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose pipeline
    #[arg(value_enum)]
    host: Host,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Host {
    #[value(name = "gitlab")]
    GitLab,
    #[value(name = "github")]
    GitHub,
}

pub fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let host = match args.host {
        Host::GitLab => ops::CiHost::GitLab,
        Host::GitHub => ops::CiHost::GitHub,
    };
    context.ui.data(&ops::pipeline(&project, host));
    Ok(Exit::Done)
}
