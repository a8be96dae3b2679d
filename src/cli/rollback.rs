//! `envctl rollback`.

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::ops;

/// Move all traffic back to the color that was live before
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    waits: Waits,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("rollback");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let switched = ops::rollback(&session).await?;
    drop(reporter);
    super::switch::show(context, &switched, args.json);
    Ok(Exit::Done)
}
