//! `envctl bench`.

use std::time::Duration;

use http::HeaderName;

use super::{
    args::{Waits, duration},
    context::Context,
    error::CliError,
    exit::Exit,
};
use crate::{
    base::words,
    ops::{self, Bench, BenchOptions, OfKind, Target, Times},
};

/// Measure the environment as it stands
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Switch to and fro under load, and tell what the clients saw of it
    ///
    /// The requests go to the live routes, and real clients are served by both colors meanwhile. Only the routes move:
    /// hooks are not run, and workers stay where they are. The color that is live ends live, also after Ctrl-C.
    Switch(SwitchArgs),
}

#[derive(Debug, clap::Args)]
struct SwitchArgs {
    /// Where the requests go, in place of the project's HTTP routes; several times
    #[arg(long, value_parser = url, value_name = "URL")]
    url: Vec<Target>,
    /// What is asked for there, in place of the prefixes of the routes; several times
    #[arg(long, value_parser = path, value_name = "PATH")]
    path: Vec<String>,
    /// A path whose answer takes long, asked again and again on a connection of its own; several times
    #[arg(long, value_parser = path, value_name = "PATH")]
    long: Vec<String>,
    /// A path that bodies are sent to by POST; several times
    #[arg(long, value_parser = path, value_name = "PATH")]
    upload: Vec<String>,
    /// The size of such a body
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1024), value_name = "MIB")]
    upload_size: u64,
    /// A path with a WebSocket, which has to answer pings; several times
    #[arg(long, value_parser = path, value_name = "PATH")]
    websocket: Vec<String>,
    /// A path with an event stream, whose ids must not come twice; several times
    #[arg(long, value_parser = path, value_name = "PATH")]
    events: Vec<String>,
    /// Connections; at least four for each address
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "NUMBER")]
    connections: u32,
    /// Requests a second, all together; 0: as fast as they are answered
    #[arg(long, default_value_t = 500, value_name = "NUMBER")]
    rate: u32,
    /// How long; at most an hour
    #[arg(long, default_value = "30s", value_parser = bounded, value_name = "TIME")]
    duration: Duration,
    /// How often the traffic moves in that time; an even number
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "NUMBER")]
    switches: u32,
    /// Measure another proxy at `--url` by the same load: the command is run with `blue` or `green` as its last argument
    #[arg(long, requires = "url", value_name = "COMMAND")]
    switch_with: Option<String>,
    /// The header by which its answers say their color
    #[arg(long, requires = "switch_with", default_value = "X-Color", value_name = "NAME")]
    color_header: HeaderName,
    /// Print what is found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    waits: Waits,
}

fn url(text: &str) -> Result<Target, String> {
    Target::parse(text).ok_or_else(|| "an address such as http://127.0.0.1:3000/path".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') || Target::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    Err("a path such as /health, or a whole address".to_owned())
}

fn bounded(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&time) => Ok(time),
        _ => Err("from 1s to 1h".to_owned()),
    }
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let Command::Switch(args) = &args.command;
    let options = BenchOptions {
        urls: args.url.clone(),
        paths: args.path.clone(),
        long: args.long.clone(),
        uploads: args.upload.clone(),
        upload_size: args.upload_size << 20,
        websockets: args.websocket.clone(),
        events: args.events.clone(),
        connections: usize::try_from(args.connections).unwrap_or(usize::MAX),
        rate: args.rate,
        duration: args.duration,
        switches: args.switches,
    };
    if let Some(command) = &args.switch_with {
        let color = args.color_header.clone();
        let bench = ops::bench_command(&options, command, color, &context.cancel).await?;
        return Ok(show(context, &bench, args.json));
    }
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("bench switch");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let bench = ops::bench_switch(&session, &options).await?;
    drop(reporter);
    Ok(show(context, &bench, args.json))
}

fn show(context: &Context, bench: &Bench, json: bool) -> Exit {
    if json {
        context.ui.json(bench);
    } else {
        table(context, bench);
    }
    let Bench { switches, requests, failed, .. } = bench;
    context.ui.say(&format!(
        "{} switches: median {:.1} ms, longest {:.1} ms; {} is live as before",
        switches.count, switches.median_ms, switches.max_ms, bench.live
    ));
    if bench.colorless > 0 {
        let text = format!("{} answers did not say which color they came from", bench.colorless);
        context.ui.warn(&text);
    }
    if bench.gaps > 0 {
        let gaps = words::count(usize::try_from(bench.gaps).unwrap_or(usize::MAX), "number");
        let text = format!("{gaps} left out between ids of events: lost, if your ids have no gaps");
        context.ui.warn(&text);
    }
    if *failed == 0 {
        context.ui.say(&format!("0 of {requests} requests failed"));
        return Exit::Done;
    }
    let kinds: Vec<String> =
        bench.failures.iter().map(|(what, count)| format!("{count} {}", what.as_str())).collect();
    let text = format!("{failed} of {requests} requests failed: {}", kinds.join(", "));
    context.ui.error(&text, &bench.examples, &[]);
    Exit::Unhealthy
}

fn table(context: &Context, bench: &Bench) {
    let times = |times: &Option<Times>| match times {
        Some(Times { p50, p99, max, .. }) => [p50, p99, max].map(|ms| format!("{ms:.1}")),
        None => Default::default(),
    };
    let row = |name: &str, counts: [usize; 3], during, outside| {
        let mut row = vec![name.to_owned()];
        row.extend(counts.map(|count| count.to_string()));
        row.extend(times(during));
        row.extend(times(outside));
        row
    };
    let mut rows: Vec<Vec<String>> = bench
        .kinds
        .iter()
        .map(|OfKind { kind, requests, failed, messages, during, outside }| {
            row(kind.as_str(), [*requests, *failed, *messages], during, outside)
        })
        .collect();
    rows.push(row("all", [bench.requests, bench.failed, 0], &bench.during, &bench.outside));
    context.ui.table(
        &[
            "MS",
            "REQUESTS",
            "FAILED",
            "MESSAGES",
            "DURING p50",
            "p99",
            "max",
            "OUTSIDE p50",
            "p99",
            "max",
        ],
        &rows,
    );
}
