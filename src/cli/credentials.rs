//! `envctl credentials`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::ops;

/// Give the credentials that envctl.yaml lists random values, in a file that only you can read
///
/// A value that is there is never overwritten. The file is .envctl/ENVIRONMENT.credentials, mode 0600, ignored by Git.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(context: &Context, _: &Args) -> Result<Exit, CliError> {
    let project = context.project(true)?;
    let path = project.credentials_file();
    if project.file.credentials.is_empty() {
        context.ui.say("envctl.yaml lists no `credentials`");
    } else {
        context.ui.say(&format!(
            "`{}` has {}",
            path.display(),
            project.file.credentials.join(", ")
        ));
    }
    debug_assert!(ops::open(&project.root, None, &context.shell, false).is_ok());
    Ok(Exit::Done)
}
