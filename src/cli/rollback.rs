//! `envctl rollback`.

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::ops::{self, RollbackOptions};

/// Move all traffic back to the release that was live before
///
/// A release that stands is switched to. One that was cleaned up or replaced is deployed again on the idle color, from the
/// images and the stack that were kept of it, and then switched to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Another release that was live: its id, or the number of a change in `envctl history`
    #[arg(long, value_name = "RELEASE")]
    to: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    waits: Waits,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let options = RollbackOptions { to: args.to.clone() };
    if args.dry_run {
        let session = context.session(&engine, &project, &(), Some(args.waits));
        let rollback = ops::plan_rollback(&session, &options).await?;
        context.ui.plan(&rollback.plan);
        let ops::Rollback { release, color, .. } = rollback;
        if rollback.redeployed {
            context.ui.say(&format!("then all routes switch to {color}: release {release}"));
        }
        return Ok(Exit::Done);
    }
    let reporter = context.ui.reporter("rollback");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let switched = ops::rollback(&session, &options).await?;
    drop(reporter);
    super::switch::show(context, &switched, args.json);
    Ok(Exit::Done)
}
