//! `envctl cleanup`.

use std::time::Instant;

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::{base::words, model::Color, ops};

/// Remove the idle color, once its connections ended, and images that nothing uses
///
/// The live color and the durable layer are never touched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The color; without it the idle one
    color: Option<Color>,
    /// Without the hooks of `before_cleanup`; the history keeps it
    #[arg(long)]
    force: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waits: Waits,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    if args.dry_run {
        let session = context.session(&engine, &project, &(), Some(args.waits));
        context.ui.plan(&ops::plan_cleanup(&session, args.color, args.force).await?.plan);
        return Ok(Exit::Done);
    }
    let reporter = context.ui.reporter("cleanup");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let cleanup = ops::cleanup(&session, args.color, args.force).await?;
    drop(reporter);
    if cleanup.plan.is_empty() {
        context.ui.say(&format!("nothing to clean up: {} does not stand", cleanup.color));
    } else {
        let took = words::duration(started.elapsed());
        context.ui.say(&format!("{} is cleaned up ({took})", cleanup.color));
    }
    Ok(Exit::Done)
}
