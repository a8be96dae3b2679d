//! `envctl scale`.

use std::time::Instant;

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::Color,
    ops::{self, ScaleOptions},
    ui::Summary,
};

/// Change the number of replicas of a service that stands; no request is lost
///
/// The proxy shares the requests out among them. A new replica gets its share once it is healthy; one that goes is stopped
/// when its requests have ended. The next deployment starts with the files' numbers, or with `deploy --replicas`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, and how many there shall be
    #[arg(value_parser = replicas, value_name = "SERVICE=N")]
    service: (String, u32),
    /// The color; without it the live one
    color: Option<Color>,
    #[command(flatten)]
    waits: Waits,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("scale");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let (service, replicas) = args.service.clone();
    let options = ScaleOptions { service, replicas, color: args.color };
    let scaled = ops::scale(&session, &options).await?;
    drop(reporter);
    let (service, color) = (&options.service, scaled.color);
    let number = words::count(usize::try_from(replicas).unwrap_or(usize::MAX), "replica");
    if scaled.plan.is_empty() {
        context.ui.say(&format!("{color}/{service} has {number} already"));
        return Ok(Exit::Done);
    }
    let summary = Summary::new(format!("{color}/{service} has {number}"));
    context.ui.summary(&summary.plan(&scaled.plan, &scaled.took).took(started.elapsed()));
    Ok(Exit::Done)
}

/// `web=3`.
pub fn replicas(text: &str) -> Result<(String, u32), String> {
    text.split_once('=')
        .filter(|(service, _)| !service.is_empty())
        .and_then(|(service, number)| Some((service.to_owned(), number.parse().ok()?)))
        .filter(|(_, number)| (1..=1000).contains(number))
        .ok_or_else(|| "a service and a number from 1, such as web=3".to_owned())
}
