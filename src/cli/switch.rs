//! `envctl switch`.

use std::time::Duration;

use super::{
    args::{Waits, duration, percent, revision},
    context::Context,
    error::CliError,
    exit::Exit,
};
use crate::{
    base::words,
    model::{Color, Figures},
    ops::{self, Shared, SwitchOptions, Switched},
    plan::Bake,
};

/// Move all traffic to a color at one instant; no request is lost
///
/// Plain requests finish where they began. WebSockets and event streams stay on the old color up to `proxy.drain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The color; without it the idle one
    color: Option<Color>,
    /// Switch to the release of this revision and no other; done where it is live. The first 7 characters are enough
    #[arg(long, value_name = "SHA", value_parser = revision, conflicts_with = "weight")]
    revision: Option<String>,
    /// Give the idle color this percentage of new clients, 0 to 99; each stays where it is by a cookie
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..100))]
    weight: Option<u8>,
    /// Watch the color's requests for so long, and switch back when too many fail or are slow (exit code 6)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    bake: Option<Duration>,
    /// The part of the requests that may fail meanwhile; five failures are the least that count
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "1%", requires = "bake")]
    max_errors: f64,
    /// The time within which 99 % of the requests are to be answered meanwhile
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "bake")]
    max_p99: Option<Duration>,
    /// Switch whatever the checks said; the history keeps it
    #[arg(long)]
    force: bool,
    /// Switch to a color that has a clone of the database: what was written since it was made is not in it, and what is
    /// written to it goes with the color
    #[arg(long, conflicts_with = "weight")]
    keep_clone: bool,
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
    let Args { max_errors, max_p99, .. } = *args;
    let bake = args.bake.map(|time| Bake { time, max_errors, max_p99 });
    let Args { color, force, keep_clone, .. } = *args;
    let options = SwitchOptions { color, force, bake, keep_clone };
    if args.dry_run {
        let session = context.session(&engine, &project, &(), Some(args.waits));
        context.ui.plan(&match (args.weight, &args.revision) {
            (Some(weight), _) => ops::plan_share(&session, options, weight).await?,
            (None, Some(revision)) => ops::plan_promote(&session, options, revision).await?,
            (None, None) => ops::plan_switch(&session, options).await?,
        });
        return Ok(Exit::Done);
    }
    let reporter = context.ui.reporter("switch");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    if let Some(weight) = args.weight {
        let shared = ops::share(&session, options, weight).await?;
        drop(reporter);
        show_share(context, &shared, args.json);
        return Ok(Exit::Done);
    }
    let switched = match &args.revision {
        Some(revision) => ops::promote(&session, options, revision).await?,
        None => ops::switch(&session, options).await?,
    };
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
    let what = if switched.from == Some(*to) { "gets all of the traffic again" } else { "is live" };
    let took = words::duration(switched.took);
    context.ui.say(&format!("{to} {what}: release {release} ({took})"));
    held(context, *to, switched.bake.as_ref());
    if let Some(draining) = switched.draining.filter(|draining| !draining.is_empty()) {
        context.ui.say(&format!("{} drains: {}", to.other(), super::status::draining(&draining)));
    }
}

fn show_share(context: &Context, shared: &Shared, json: bool) {
    if json {
        context.ui.json(shared);
    }
    let Shared { live, color, release, weight, .. } = shared;
    if shared.already {
        context
            .ui
            .say(&format!("{color} gets {weight} % of new clients already: release {release}"));
        return;
    }
    let took = words::duration(shared.took);
    context.ui.say(&format!(
        "{color} gets {weight} % of new clients, {live} the rest: release {release} ({took})"
    ));
    held(context, *color, shared.bake.as_ref());
    if let Some(draining) = shared.draining.filter(|draining| !draining.is_empty()) {
        context.ui.say(&format!("{color} drains: {}", super::status::draining(&draining)));
    }
}

/// What was seen of a color under watch.
fn held(context: &Context, color: Color, figures: Option<&Figures>) {
    match figures {
        Some(Figures { requests: 0, .. }) => {
            context.ui.warn(&format!("no request came to {color} while it was watched"));
        }
        Some(figures) => context.ui.say(&format!("{color} held: {figures}")),
        None => {}
    }
}
