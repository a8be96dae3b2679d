//! `envctl up`.

use std::time::Instant;

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::{
    ops::{self, Up, UpOptions},
    ui::Summary,
};

/// Bring everything up: the durable layer, a fresh stack on the idle color, its tests, the switch
///
/// Safe to run again: when the live color runs exactly what the files say, nothing is changed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what stands of the new color again when its deployment or its tests fail
    #[arg(long)]
    cleanup_on_failure: bool,
    #[command(flatten)]
    waits: Waits,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let started = Instant::now();
    let engine = context.engine().await?;
    let project = context.project_with_credentials(Some(&engine)).await?;
    let reporter = context.ui.reporter("up");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let up = ops::up(&session, UpOptions { cleanup_on_failure: args.cleanup_on_failure }).await?;
    drop(reporter);
    let Up { durable, deployed, switched, addresses, .. } = &up;
    let parts = [
        durable.as_ref().map(|part| (&part.plan, &part.took)),
        deployed.as_ref().map(|part| (&part.plan, &part.took)),
        switched.as_ref().map(|part| (&part.plan, &part.steps)),
    ];
    if let Some(durable) = durable {
        super::durable::say_differences(context, &durable.differences);
    }
    let urls = addresses.iter().map(|address| address.url.clone());
    let summary = if let (Some(_), Some(switched)) = (deployed, switched) {
        Summary::new(format!("{} is live: release {}", switched.to, switched.release))
    } else {
        Summary::new("up to date: the live color runs what the files say")
    };
    let done = parts.into_iter().flatten();
    let summary = done.fold(summary, |summary, (plan, took)| summary.plan(plan, took));
    context.ui.summary(&summary.took(started.elapsed()).live(urls));
    Ok(Exit::Done)
}
