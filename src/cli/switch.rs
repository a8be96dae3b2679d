//! `envctl switch`.

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::Color,
    ops::{self, SwitchOptions, Switched},
};

/// Move all traffic to a color at one instant; no request is lost
///
/// Plain requests finish where they began. WebSockets and event streams stay on the old color up to `proxy.drain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The color; without it the idle one
    color: Option<Color>,
    /// Switch whatever the checks said; the history keeps it
    #[arg(long)]
    force: bool,
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
    let options = SwitchOptions { color: args.color, force: args.force };
    if args.dry_run {
        let session = context.session(&engine, &project, &(), Some(args.waits));
        context.ui.plan(&ops::plan_switch(&session, options).await?);
        return Ok(Exit::Done);
    }
    let reporter = context.ui.reporter("switch");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let switched = ops::switch(&session, options).await?;
    drop(reporter);
    show(context, &switched, args.json);
    Ok(Exit::Done)
}

pub fn show(context: &Context, switched: &Switched, json: bool) {
    if json {
        context.ui.json(switched);
    }
    let Switched { to, release, .. } = switched;
    if switched.already {
        context.ui.say(&format!("{to} is live already: release {release}"));
        return;
    }
    context
        .ui
        .say(&format!("{to} is live: release {release} ({})", words::duration(switched.took)));
    if let Some(draining) = switched.draining.filter(|draining| !draining.is_empty()) {
        context.ui.say(&format!("{} drains: {}", to.other(), super::status::draining(&draining)));
    }
}
