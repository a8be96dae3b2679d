//! `envctl credentials`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::engine::Engine;

/// Give the credentials that envctl.yaml lists random values, in a file that only you can read
///
/// A value that is there is never overwritten. The file is .envctl/ENVIRONMENT.credentials, mode 0600, ignored by Git.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(context: &Context, _: &Args) -> Result<Exit, CliError> {
    // Works without an engine too; with one, a file that belongs to data that is there is not made anew.
    let engine = context.engine().await.ok();
    let engine = engine.as_ref().map(|engine| engine as &dyn Engine);
    let project = context.project_with_credentials(engine).await?;
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
    Ok(Exit::Done)
}
