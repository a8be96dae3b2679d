//! `envctl pause` and `envctl resume`.

use std::time::Duration;

use super::{args::duration, context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    ops::{self, PauseOptions},
};

/// Hold new requests, for a moment that has to be quiet; previews go on
#[derive(Debug, clap::Args)]
pub struct Args {
    /// When the pause ends by itself
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
    limit: Duration,
    /// The longest that one request is held; then it is answered with 503
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "TIME")]
    hold: Duration,
    /// The most requests that are held at one time; the next ones are answered with 503
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    most: u64,
}

/// Let the requests through that a pause holds
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let Args { limit, hold, most } = *args;
    let open = ops::pause(&session, PauseOptions { limit, hold, most }).await?;
    let open = words::count(usize::try_from(open).unwrap_or(usize::MAX), "request");
    context.ui.say(&format!(
        "new requests are held for up to {}; {open} still under way",
        words::duration(limit)
    ));
    Ok(Exit::Done)
}

pub async fn resume(context: &Context, _: &ResumeArgs) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let held = ops::resume(&session).await?;
    let held = words::count(usize::try_from(held).unwrap_or(usize::MAX), "request");
    context.ui.say(&format!("requests go on; {held} had been held"));
    Ok(Exit::Done)
}
