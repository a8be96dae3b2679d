//! `envctl status`.

use std::{fmt::Write as _, time::Duration};

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::{Canary, Change, Holder, Outcome, Route, control::Draining},
    ops::{self, ColorStatus, ProxyStatus, Status, Vitals},
    ui,
};

/// The time between two looks of `--watch`.
const AGAIN: Duration = Duration::from_secs(2);

/// Show what stands, and who gets the traffic
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Look again every two seconds, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    loop {
        let status = ops::status(&session).await?;
        match (args.json, args.watch) {
            (true, _) => context.ui.json(&status),
            (false, true) => context.ui.redraw(&text(&status)),
            (false, false) => context.ui.data(&text(&status)),
        }
        if !args.watch || context.ui.closed() {
            return Ok(Exit::Done);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a pause between two looks, ended by Ctrl-C"
        )]
        tokio::time::sleep(AGAIN).await;
    }
}

/// What the proxy says of itself. Of one that is not up its state tells enough.
fn said(proxy: &ProxyStatus) -> String {
    match (&proxy.version, proxy.state.as_str()) {
        (Some(version), _) => format!("envctl {version}"),
        (None, "running" | "healthy" | "starting" | "unhealthy") => "does not answer".to_owned(),
        (None, _) => String::new(),
    }
}

fn text(status: &Status) -> String {
    let mut text = String::new();
    let live = status
        .live
        .map_or_else(|| "nothing is live".to_owned(), |color| format!("{color} is live"));
    let since = status.switched.as_ref().map(|time| format!(" since {time}")).unwrap_or_default();
    let _ = writeln!(text, "{} {}: {live}{since}", status.project, status.environment);
    if let Some(Canary { to, weight, since }) = &status.canary {
        let _ = writeln!(
            text,
            "{to} takes {weight} % of new clients since {since}: `envctl switch {to}` gives it all, `envctl rollback` none"
        );
    }
    if let Some(since) = &status.maintenance {
        let _ = writeln!(text, "under maintenance since {since}: `envctl maintenance off` ends it");
    }
    if let Some(paused) = status.paused {
        let held = words::count(usize::try_from(paused.held).unwrap_or(usize::MAX), "request");
        let left = words::duration(Duration::from_millis(paused.left_ms));
        let _ = writeln!(text, "paused: {held} held, {left} left; `envctl resume` ends it");
    }
    let routes = status.live.and_then(|live| Some(status.colors.get(&live)?.routes.as_slice()));
    for address in &status.addresses {
        let route = routes.and_then(|all| all.iter().find(|route| route.listen == address.route));
        let to = route.map(|route| format!("  → {}", targets(route))).unwrap_or_default();
        let _ = writeln!(text, "  {}{to}", address.url);
    }
    let others: Vec<String> = status
        .environments
        .iter()
        .filter(|other| other.name != status.environment)
        .map(|other| {
            let all = words::count(other.containers, "container");
            format!("{} ({} of {all} running)", other.name, other.running)
        })
        .collect();
    if !others.is_empty() {
        let _ = writeln!(text, "other environments: {}", others.join(", "));
    }
    text.push('\n');
    let headers = ["LAYER", "SERVICE", "STATE", "RESTARTS", "CPU", "MEMORY", "IMAGE"];
    text.push_str(&ui::table(&headers, &rows(status)));
    for (color, stack) in &status.colors {
        let share = status.canary.as_ref().filter(|canary| canary.to == *color);
        let word = match share {
            Some(canary) => format!("{} %", canary.weight),
            None if status.live == Some(*color) => "live".to_owned(),
            None => "idle".to_owned(),
        };
        let _ = writeln!(text, "\n{color} ({word}): {}", release(stack));
        for preview in &stack.previews {
            let _ = writeln!(text, "  {}", preview.url);
        }
        for clone in &stack.clones {
            let made = clone.made.as_ref().map(|at| format!(" of {at}")).unwrap_or_default();
            let _ = writeln!(
                text,
                "  database: a clone of {}{made}, which goes with {color}",
                clone.service
            );
        }
        if let Some(left) = stack.draining.filter(|draining| !draining.is_empty()) {
            let _ = writeln!(text, "  draining: {}", draining(&left));
        }
    }
    if let Some(change) = &status.last {
        let _ = writeln!(text, "\nlast: {}", last(change));
    }
    if let Some(holder) = &status.lock {
        let Holder { what, since, .. } = holder;
        let by = holder.by();
        let _ = if status.lock_lapsed {
            writeln!(
                text,
                "\nbroken off: `{what}` of {by} (since {since}) died; the next command that changes something goes on from what it left"
            )
        } else {
            writeln!(text, "\nunder way: `{what}` of {by} since {since}")
        };
    }
    text
}

fn rows(status: &Status) -> Vec<[String; 7]> {
    let row = |layer: &str, service: &str, state: &str, vitals: &Vitals, image: &str| {
        let ended = match vitals.exit_code.filter(|_| matches!(state, "stopped" | "restarting")) {
            Some(code) if vitals.out_of_memory => format!(" ({code}, out of memory)"),
            Some(code) => format!(" ({code})"),
            None => String::new(),
        };
        let (cpu, memory) = vitals.usage.map_or_else(Default::default, |usage| {
            let limit = usage.memory_limit.map(|limit| format!(" / {}", words::bytes(limit)));
            let memory = words::bytes(usage.memory) + &limit.unwrap_or_default();
            (format!("{:.1} %", usage.cpu * 100.0), memory)
        });
        let restarts = match vitals.restarts {
            0 => String::new(),
            some => some.to_string(),
        };
        let state = format!("{state}{ended}");
        [layer.to_owned(), service.to_owned(), state, restarts, cpu, memory, image.to_owned()]
    };
    let proxy = &status.proxy;
    let version = said(proxy);
    let mut rows = vec![row("proxy", "", &proxy.state, &proxy.vitals, &version)];
    for durable in &status.durable {
        let service = &durable.service;
        rows.push(row(
            "durable",
            &service.service,
            &service.state,
            &durable.vitals,
            &service.image,
        ));
    }
    for (color, stack) in &status.colors {
        for service in &stack.services {
            let same = |other: &&ops::ServiceStatus| other.service == service.service;
            let several = stack.services.iter().filter(same).count() > 1;
            let number = service.container.rsplit('-').next().filter(|_| several);
            let shown =
                number.map_or(service.service.clone(), |n| format!("{}-{n}", service.service));
            let image = &service.image;
            rows.push(row(color.as_str(), &shown, word(service), &service.vitals, image));
        }
    }
    rows
}

/// The state of a service; what is to run to its end and did is done, and not just stopped.
fn word(service: &ops::ServiceStatus) -> &str {
    let ends = matches!(service.role.as_deref(), Some("job" | "hook" | "test"));
    match (ends, service.state.as_str(), service.vitals.exit_code) {
        (true, "stopped", Some(0)) => "done",
        (_, state, _) => state,
    }
}

/// `20261121T091116.390Z-0fde, revision 1e8b241f00, tests passed`.
fn release(stack: &ColorStatus) -> String {
    let tested = match stack.tested {
        Some(true) => "tests passed",
        Some(false) => "tests failed",
        None => "not tested",
    };
    let release = stack.release.as_deref().unwrap_or("no release: a deployment did not end");
    let revision = stack.revision.as_ref().map(|text| {
        let short: String = text.chars().take(10).collect();
        format!(", revision {short}")
    });
    format!("{release}{}, {tested}", revision.unwrap_or_default())
}

/// `web:80`, or `/ → api:80, /hub → hub:80`.
fn targets(route: &Route) -> String {
    let target = |path: &crate::model::PathRule| {
        let service = path.host.split_once('-').map_or(path.host.as_str(), |(_, key)| key);
        format!("{service}:{}", path.port)
    };
    match route.paths.as_slice() {
        [only] if only.prefix == "/" => target(only),
        paths => {
            let all: Vec<String> =
                paths.iter().map(|path| format!("{} → {}", path.prefix, target(path))).collect();
            all.join(", ")
        }
    }
}

/// `deploy green by ann@host, 2026-11-21T09:11:28.010Z, done in 3.1 s`.
fn last(change: &Change) -> String {
    let color = change.color.map(|color| format!(" {color}")).unwrap_or_default();
    let took = words::duration(Duration::from_millis(change.milliseconds));
    let outcome = match &change.outcome {
        Outcome::Done => format!("done in {took}"),
        Outcome::Failed { reason } => format!("failed after {took}: {reason}"),
        Outcome::Interrupted => format!("interrupted after {took}"),
        Outcome::Crashed { at: Some(at) } => format!("crashed at {at}"),
        Outcome::Crashed { at: None } => "crashed".to_owned(),
    };
    format!("`{}{color}` by {}, {}, {outcome}", change.command, change.who, change.time)
}

/// `2 requests, 1 websocket, 14.0 s left`.
pub fn draining(draining: &Draining) -> String {
    let mut parts: Vec<String> = [
        (draining.requests, "request"),
        (draining.websockets, "websocket"),
        (draining.streams, "event stream"),
        (draining.tcp, "TCP connection"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, noun)| words::count(usize::try_from(number).unwrap_or(usize::MAX), noun))
    .collect();
    parts.push(format!("{} left", words::duration(Duration::from_millis(draining.left_ms))));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_as_it_should_is_done_and_what_should_run_is_stopped() {
        let service = |role: Option<&str>, code| ops::ServiceStatus {
            service: "it".to_owned(),
            container: "it-1".to_owned(),
            role: role.map(str::to_owned),
            state: "stopped".to_owned(),
            image: String::new(),
            vitals: Vitals { exit_code: Some(code), ..Vitals::default() },
        };
        assert_eq!(word(&service(Some("hook"), 0)), "done");
        assert_eq!(word(&service(Some("job"), 3)), "stopped");
        assert_eq!(word(&service(Some("worker"), 0)), "stopped");
        assert_eq!(word(&service(None, 0)), "stopped");
    }

    #[test]
    fn a_proxy_that_runs_and_says_nothing_does_not_answer() {
        let proxy = |state: &str, version: Option<&str>| ProxyStatus {
            state: state.to_owned(),
            version: version.map(str::to_owned),
            vitals: Vitals::default(),
        };
        assert_eq!(said(&proxy("running", Some("1.2.3"))), "envctl 1.2.3");
        assert_eq!(said(&proxy("running", None)), "does not answer");
        assert_eq!(said(&proxy("restarting", None)), "");
    }
}
