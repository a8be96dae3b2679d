//! `envctl down`.

use std::time::Instant;

use super::{args::Waits, context::Context, durable, error::CliError, exit::Exit};
use crate::{
    base::words,
    ops::{self, DownOptions},
};

/// Take the app away: both colors, the proxy, and images that nothing uses; asks when a color is live
///
/// The durable layer and the history stay. `envctl up` brings the app back.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment's name, in place of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
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
    let look = context.session(&engine, &project, &(), Some(args.waits));
    let mut options = DownOptions { force: args.force, confirmed: true };
    if args.dry_run {
        context.ui.plan(&ops::plan_down(&look, options).await?);
        return Ok(Exit::Done);
    }
    let environment = &project.names.environment;
    let live = ops::serving(&look).await?;
    if live.is_some() || args.confirm.is_some() {
        let project = &project.names.project;
        let color = live.map(|color| format!("{color} is live: ")).unwrap_or_default();
        let question = format!("{color}`{environment}` of `{project}` will not answer.");
        durable::sure(context, environment, &question, args.confirm.as_deref()).await?;
    }
    options.confirmed = live.is_some();
    let reporter = context.ui.reporter("down");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let plan = ops::down(&session, options).await?;
    drop(reporter);
    if plan.is_empty() {
        context.ui.say("the app was down already");
    } else {
        let took = words::duration(started.elapsed());
        context.ui.say(&format!("the app is down; data and history stay ({took})"));
    }
    Ok(Exit::Done)
}
