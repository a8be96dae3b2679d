//! `envctl status`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::control::Draining,
    ops::{self, Status},
};

/// Show what stands, and who gets the traffic
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let status = ops::status(&session).await?;
    if args.json {
        context.ui.json(&status);
        return Ok(Exit::Done);
    }
    show(context, &status);
    Ok(Exit::Done)
}

fn show(context: &Context, status: &Status) {
    let live = status
        .live
        .map_or_else(|| "nothing is live".to_owned(), |color| format!("{color} is live"));
    let since = status.switched.as_ref().map(|time| format!(" since {time}")).unwrap_or_default();
    context.ui.data(&format!("{} {}: {live}{since}\n", status.project, status.environment));
    for address in &status.addresses {
        context.ui.data(&format!("  {}\n", address.url));
    }
    context.ui.data("\n");
    let mut rows: Vec<[String; 4]> = vec![];
    let version = status
        .proxy
        .version
        .as_deref()
        .map(|version| format!("envctl {version}"))
        .unwrap_or_default();
    rows.push(["proxy".to_owned(), String::new(), status.proxy.state.clone(), version]);
    for service in &status.durable {
        rows.push([
            "durable".to_owned(),
            service.service.clone(),
            service.state.clone(),
            service.image.clone(),
        ]);
    }
    for (color, stack) in &status.colors {
        for service in &stack.services {
            rows.push([
                color.to_string(),
                service.service.clone(),
                service.state.clone(),
                service.image.clone(),
            ]);
        }
    }
    context.ui.table(&["LAYER", "SERVICE", "STATE", "IMAGE"], &rows);
    for (color, stack) in &status.colors {
        let word = if status.live == Some(*color) { "live" } else { "idle" };
        let tested = match stack.tested {
            Some(true) => "tests passed",
            Some(false) => "tests failed",
            None => "not tested",
        };
        let release = stack.release.as_deref().unwrap_or("no release: a deployment did not end");
        let revision = stack
            .revision
            .as_deref()
            .map(|text| format!(", revision {}", &text[..10.min(text.len())]));
        context.ui.data(&format!(
            "\n{color} ({word}): {release}{}, {tested}\n",
            revision.unwrap_or_default()
        ));
        for preview in &stack.previews {
            context.ui.data(&format!("  {}\n", preview.url));
        }
        if let Some(left) = stack.draining.filter(|draining| !draining.is_empty()) {
            context.ui.data(&format!("  draining: {}\n", draining(&left)));
        }
    }
    if let Some(holder) = &status.lock {
        context.ui.data(&format!(
            "\nunder way: `{}` of {} since {}\n",
            holder.what, holder.who, holder.since
        ));
    }
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
    parts.push(format!(
        "{} left",
        words::duration(std::time::Duration::from_millis(draining.left_ms))
    ));
    parts.join(", ")
}
