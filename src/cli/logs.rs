//! `envctl logs` and `envctl durable logs`.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    engine::{Engine as _, LogOptions},
    model::Color,
    ops,
};

/// Show the logs of a color's services; `proxy` shows the proxy's
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A color (the live one without it) and services (all without them)
    #[arg(value_name = "COLOR|SERVICE")]
    of: Vec<String>,
    /// The proxy's access log: a line for each request
    #[arg(long, conflicts_with = "of")]
    access: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
pub struct DurableArgs {
    /// Services; all without them
    services: Vec<String>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Go on as lines come
    #[arg(long, short)]
    follow: bool,
    /// The last lines of each only
    #[arg(long, short = 'n', default_value_t = 100, value_name = "LINES")]
    tail: u64,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    if args.access {
        return access(context, &args.which).await;
    }
    let (color, services) = match args.of.split_first() {
        Some((first, rest)) if first.parse::<Color>().is_ok() => (first.parse().ok(), rest),
        _ => (None, args.of.as_slice()),
    };
    show(context, false, color, services, &args.which).await
}

pub async fn durable(context: &Context, args: &DurableArgs) -> Result<Exit, CliError> {
    show(context, true, None, &args.services, &args.which).await
}

async fn show(
    context: &Context,
    durable: bool,
    color: Option<Color>,
    services: &[String],
    which: &Which,
) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let targets = ops::log_targets(&session, durable, color, services).await?;
    let width = targets.iter().map(|target| target.name.len()).max().unwrap_or(0);
    let options =
        LogOptions { follow: which.follow, tail: Some(which.tail), ..LogOptions::default() };
    let mut all = stream::SelectAll::new();
    for target in &targets {
        let log = engine.logs(&target.container, &options).await?;
        let name = target.name.clone();
        all.push(log.map(move |chunk| (name.clone(), chunk)));
    }
    // A chunk may end within a line: each target's rest waits for its end.
    let mut rests: std::collections::BTreeMap<String, Vec<u8>> = std::collections::BTreeMap::new();
    while let Some((name, chunk)) = all.next().await {
        let rest = rests.entry(name.clone()).or_default();
        rest.extend_from_slice(&chunk?.bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            print(context, &name, width, &line);
        }
        if context.ui.closed() {
            return Ok(Exit::Done);
        }
    }
    for (name, rest) in rests.iter().filter(|(_, rest)| !rest.is_empty()) {
        print(context, name, width, rest);
    }
    Ok(Exit::Done)
}

async fn access(context: &Context, which: &Which) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let tail = usize::try_from(which.tail).unwrap_or(usize::MAX);
    let mut after = None;
    loop {
        let (lines, mark) = ops::access_log(&session, tail, after).await?;
        for line in lines {
            context.ui.data(&format!("{line}\n"));
        }
        if !which.follow || mark.is_none() || context.ui.closed() {
            return Ok(Exit::Done);
        }
        after = mark;
        #[expect(
            clippy::disallowed_methods,
            reason = "the log is asked again until the user ends it"
        )]
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn print(context: &Context, name: &str, width: usize, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    context.ui.data(&format!("{name:<width$} | {}\n", text.trim_end()));
}
