//! `bench switch`: what a switch costs the clients of the real routes.

mod client;
mod found;
mod load;
mod stream;

use std::{process::Stdio, time::Duration};

use http::HeaderName;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use self::{
    client::Client,
    found::Turn,
    load::{Load, Plain, Running},
};
pub use self::{
    client::Target,
    found::{Bench, Kind, OfKind, Switches, Times, What},
};
use super::{
    OpsError, Session,
    history::{self, Recorded},
    lock::locked,
    state,
    switch::{self, SwitchOptions},
};
use crate::{
    base::words,
    model::{Color, Observed, Protocol, Route, Routing, control::Request},
    plan::Action,
    run::{self, Event},
};

/// The header by which the proxy says which color answered.
const COLOR: HeaderName = HeaderName::from_static("x-envctl-color");
/// How long streams may stay with a color that another proxy moved away from: what ends earlier is cut.
const DRAIN: Duration = Duration::from_secs(30);
/// At least, for each address: kept alive, HTTP/2, and opened for each request.
const CONNECTIONS: usize = 4;

#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// In place of the project's own routes; a target's path counts where `paths` is empty.
    pub urls: Vec<Target>,
    /// Asked on each route; without any the prefixes of the routes.
    pub paths: Vec<String>,
    /// Paths whose answers take long.
    pub long: Vec<String>,
    pub uploads: Vec<String>,
    pub upload_size: u64,
    pub websockets: Vec<String>,
    pub events: Vec<String>,
    pub connections: usize,
    pub rate: u32,
    pub duration: Duration,
    /// Rounded up to an even number, so that the color that was live ends live.
    pub switches: u32,
}

/// Switches to and fro under load, and ends on the color that was live, also when it fails or is interrupted.
///
/// Only the routes move: hooks are not run, and the workers stay with the color that was live.
pub async fn bench_switch(
    session: &Session<'_>,
    options: &BenchOptions,
) -> Result<Bench, OpsError> {
    let what = "bench switch";
    locked(session, what, async || {
        let observed = session.observe().await?;
        let routing = state::routing(session, &observed).await?;
        let live = routing.live.ok_or(OpsError::NothingLive)?;
        if let Some(canary) = &routing.canary {
            return Err(OpsError::Shared { color: canary.to, weight: canary.weight });
        }
        takes_traffic(session, &observed, &routing, live.other()).await?;
        let client = Client::new(COLOR);
        let bases = bases(session, &routing.stacks[&live].routes, options);
        let load = load(&client, &bases, options).await?;
        let proxy = session.project.names.proxy();
        let switch_to = async |to: Color, health: bool| -> Result<(), OpsError> {
            run::tell(session.engine, &proxy, &Request::Switch { to, health }).await?;
            Ok(())
        };
        session.reporter.on(Event::Note(&told(&load, options)));
        let result = history::recorded(session, Recorded::new(what), async || {
            let turn = async |to| switch_to(to, true).await;
            measure(client, load, options, live, routing.drain, turn).await
        })
        .await;
        if result.is_err() {
            switch_to(live, false).await?;
        }
        result
    })
    .await
}

/// Measures another proxy, which a command switches: it is run with the color as its last argument, and has to end when
/// the color gets all new requests. `color` is the header that says which color answered.
pub async fn bench_command(
    options: &BenchOptions,
    command: &str,
    color: HeaderName,
    cancel: &CancellationToken,
) -> Result<Bench, OpsError> {
    let client = Client::new(color);
    let bases = bases_of(&options.urls);
    let load = load(&client, &bases, options).await?;
    let first = &load.plain[0];
    let live = first.color.ok_or_else(|| OpsError::NoAnswer {
        url: first.target.url(),
        reason: format!("no header `{}` that says blue or green", client.color),
    })?;
    let turn = async |to| run_command(command, to).await;
    let result = tokio::select! {
        result = measure(client, load, options, live, DRAIN, turn) => result,
        () = cancel.cancelled() => Err(OpsError::Interrupted),
    };
    if result.is_err() {
        // Why it failed says more than that the way back failed too.
        let back = run_command(command, live).await;
        return result.and_then(|bench| back.map(|()| bench));
    }
    result
}

async fn run_command(command: &str, to: Color) -> Result<(), OpsError> {
    let failed = |reason: String| OpsError::SwitchCommand { command: command.to_owned(), reason };
    let output = tokio::process::Command::new("sh")
        .args(["-c", &format!("{command} {to}")])
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!("{}: {}", output.status, said.trim())))
}

/// The idle color has to be one that `switch` would take: tested, and with nothing to do before it serves.
async fn takes_traffic(
    session: &Session<'_>,
    observed: &Observed,
    routing: &Routing,
    idle: Color,
) -> Result<(), OpsError> {
    let plan = switch::planned(session, observed, routing, idle, SwitchOptions::default()).await?;
    let is_switch = |action: &Action| matches!(action, Action::Tell(request) if matches!(**request, Request::Switch { .. }));
    match plan.steps().first() {
        Some(first) if !is_switch(&first.action) => {
            Err(OpsError::NotYet { color: idle, step: first.title.clone() })
        }
        _ => Ok(()),
    }
}

/// Where the load goes, and the paths that it asks for there: the HTTP routes of the live stack, if nothing else is said.
fn bases(
    session: &Session<'_>,
    routes: &[Route],
    options: &BenchOptions,
) -> Vec<(Target, Vec<String>)> {
    if !options.urls.is_empty() {
        return bases_of(&options.urls);
    }
    let http = routes.iter().filter(|route| !route.tcp && route.redirect.is_none());
    http.map(|route| {
        let address = format!("{}:{}", session.host, route.listen);
        let host = route.hosts.first().map_or_else(
            || address.clone(),
            |name| format!("{}:{}", name.replacen('*', "bench", 1), route.listen),
        );
        let paths = route.paths.iter().filter(|path| path.protocol == Protocol::Http1);
        let paths = paths.map(|path| path.prefix.clone()).collect();
        (Target { tls: route.tls, address, host, path: "/".to_owned() }, paths)
    })
    .collect()
}

fn bases_of(urls: &[Target]) -> Vec<(Target, Vec<String>)> {
    urls.iter().map(|url| (url.clone(), vec![url.path.clone()])).collect()
}

/// Asks everything plain once: what does not answer now says nothing about switches.
async fn load(
    client: &Client,
    bases: &[(Target, Vec<String>)],
    options: &BenchOptions,
) -> Result<Load, OpsError> {
    let unfit = |target: &Target, reason: String| OpsError::NoAnswer { url: target.url(), reason };
    let mut plain: Vec<Plain> = vec![];
    for (base, own) in bases {
        for path in if options.paths.is_empty() { own } else { &options.paths } {
            let target = place(base, path);
            let found = load::look(client, &target).await;
            match found.map_err(|failure| unfit(&target, failure.reason))? {
                found if found.status.is_some_and(|status| status >= 500) => {
                    let status = found.status.unwrap_or_default();
                    return Err(unfit(&target, format!("status {status}")));
                }
                found => plain.push(found),
            }
        }
    }
    let Some((first, _)) = bases.first().filter(|_| !plain.is_empty()) else {
        return Err(OpsError::NoHttpRoute);
    };
    let targets = |paths: &[String]| paths.iter().map(|path| place(first, path)).collect();
    let unknown =
        |paths: &[String]| paths.iter().map(|path| Plain::unknown(place(first, path))).collect();
    Ok(Load {
        connections: options.connections.max(CONNECTIONS * plain.len()),
        rate: options.rate,
        long: unknown(&options.long),
        uploads: unknown(&options.uploads),
        upload_size: options.upload_size,
        websockets: targets(&options.websockets),
        events: targets(&options.events),
        plain,
    })
}

/// A path of the first route, or an address of its own.
fn place(first: &Target, path: &str) -> Target {
    Target::parse(path).unwrap_or_else(|| first.at(path))
}

fn told(load: &Load, options: &BenchOptions) -> String {
    let rate = match load.rate {
        0 => "as fast as they are answered".to_owned(),
        rate => format!("{rate} a second"),
    };
    let urls: Vec<String> = load.plain.iter().map(|plain| plain.target.url()).collect();
    format!(
        "{} switches within {} under requests to {}, {rate} over {}",
        even(options.switches),
        words::duration(options.duration),
        words::list(&urls),
        words::count(load.connections, "connection"),
    )
}

const fn even(switches: u32) -> u32 {
    switches.next_multiple_of(2)
}

/// Switches evenly over the time, under load.
async fn measure(
    client: Client,
    load: Load,
    options: &BenchOptions,
    live: Color,
    drain: Duration,
    switch_to: impl AsyncFn(Color) -> Result<(), OpsError>,
) -> Result<Bench, OpsError> {
    let clock = client.clock;
    let running = Running::start(load, client)
        .map_err(|error| OpsError::NoThread { reason: error.to_string() })?;
    let begun = Instant::now();
    let count = even(options.switches);
    let every = options.duration / (count + 1);
    let mut pace = interval_at(begun + every, every.max(Duration::from_millis(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turns = vec![];
    let mut to = live;
    for _ in 0..count {
        pace.tick().await;
        if to == live && begun.elapsed() > 2 * options.duration {
            break;
        }
        to = to.other();
        let before = clock.now();
        switch_to(to).await?;
        turns.push(Turn { to, before, after: clock.now() });
    }
    pace.tick().await;
    let seconds = begun.elapsed().as_secs_f64();
    let tally =
        running.end().await.ok_or_else(|| OpsError::NoThread { reason: "it died".to_owned() })?;
    let drain = u32::try_from(drain.as_micros()).unwrap_or(u32::MAX);
    Ok(Bench::judge(tally, live, &turns, drain, seconds))
}
