//! `envctl history`.

use std::time::Duration;

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::{Change, Outcome},
    ops,
};

/// Show the changes of the environment: when, who, what, how it ended
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// The last ones only
    #[arg(long, short = 'n', default_value_t = 20, value_name = "NUMBER")]
    limit: usize,
    /// Print them as JSON, with plans and images
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show everything about one change
    Show {
        /// Its number in the list, or its id
        change: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let changes = ops::history(&session).await?;
    if let Some(Command::Show { change, json }) = &args.command {
        let found = find(&changes, change)?;
        if *json {
            context.ui.json(found);
        } else {
            context.ui.data(&page(found));
        }
        return Ok(Exit::Done);
    }
    let skipped = changes.len().saturating_sub(args.limit);
    let last = &changes[skipped..];
    if args.json {
        context.ui.json(&last);
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 8]> =
        last.iter().enumerate().map(|(index, change)| row(skipped + index + 1, change)).collect();
    context
        .ui
        .table(&["NO", "TIME", "COMMAND", "COLOR", "RELEASE", "REVISION", "BY", "OUTCOME"], &rows);
    Ok(Exit::Done)
}

/// By its number, counted from the oldest, or by its id.
fn find<'a>(changes: &'a [Change], wanted: &str) -> Result<&'a Change, CliError> {
    let by_number = || changes.get(wanted.parse::<usize>().ok()?.checked_sub(1)?);
    changes.iter().find(|change| change.id == wanted).or_else(by_number).ok_or_else(|| {
        CliError::Usage(format!(
            "no change `{wanted}` in the history, which has {}",
            words::count(changes.len(), "change")
        ))
    })
}

fn row(number: usize, change: &Change) -> [String; 8] {
    let forced = if change.forced { " (forced)" } else { "" };
    let clone = if change.clone { " (clone)" } else { "" };
    [
        number.to_string(),
        change.time.clone(),
        format!("{}{forced}{clone}", change.command),
        change.color.map(|color| color.to_string()).unwrap_or_default(),
        change.release.clone().unwrap_or_default(),
        change.revision.as_deref().unwrap_or_default().chars().take(10).collect(),
        change.who.clone(),
        outcome(change),
    ]
}

fn outcome(change: &Change) -> String {
    let took = words::duration(Duration::from_millis(change.milliseconds));
    match &change.outcome {
        Outcome::Done => format!("done in {took}"),
        Outcome::Failed { reason } => format!("failed after {took}: {reason}"),
        Outcome::Interrupted => format!("interrupted after {took}"),
        Outcome::Crashed { at: Some(at) } => format!("crashed at {at}"),
        Outcome::Crashed { at: None } => "crashed".to_owned(),
    }
}

/// Everything of one change, for people.
fn page(change: &Change) -> String {
    let color = change.color.map(|color| color.to_string());
    let mut text = String::new();
    for (name, value) in [
        ("id", Some(change.id.as_str())),
        ("command", Some(change.command.as_str())),
        ("outcome", Some(&outcome(change))),
        ("time", Some(change.time.as_str())),
        ("by", Some(change.who.as_str())),
        ("job", change.job.as_deref()),
        ("color", color.as_deref()),
        ("release", change.release.as_deref()),
        ("revision", change.revision.as_deref()),
        ("replaced", change.replaced.as_deref()),
        ("forced", change.forced.then_some("yes")),
        ("database", change.clone.then_some("a clone")),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("{name:<10}{value}\n"));
        }
    }
    if !change.images.is_empty() {
        text.push_str("images\n");
    }
    let width = change.images.keys().map(|service| service.chars().count()).max().unwrap_or(0);
    for (service, image) in &change.images {
        text.push_str(&format!("  {service:<width$}  {image}\n"));
        let exact = [change.digests.get(service), change.image_ids.get(service)];
        for exact in exact.into_iter().flatten() {
            text.push_str(&format!("  {:<width$}  {exact}\n", ""));
        }
    }
    if !change.plan.is_empty() {
        text.push_str("plan\n");
    }
    for line in &change.plan {
        text.push_str(&format!("  {}\n", line.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::model::Color;

    fn change() -> Change {
        let pair = |value: &str| [("web".to_owned(), value.to_owned())].into();
        Change {
            command: "deploy".into(),
            who: "ann@ci".into(),
            time: "2026-11-21T08:15:00Z".into(),
            color: Some(Color::Green),
            release: Some("20261121T081500.123Z-1f2e".into()),
            images: pair("nginx:1"),
            image_ids: pair("sha256:91ab"),
            digests: pair("nginx@sha256:77ff"),
            plan: vec!["[1]     create network  not found".into()],
            milliseconds: 2100,
            ..Change::new("20261121T081502.000Z-77aa".into(), Outcome::Done)
        }
    }

    #[test]
    fn a_page_tells_everything_of_a_change() {
        assert_snapshot!(page(&change()), @"
        id        20261121T081502.000Z-77aa
        command   deploy
        outcome   done in 2.1 s
        time      2026-11-21T08:15:00Z
        by        ann@ci
        color     green
        release   20261121T081500.123Z-1f2e
        images
          web  nginx:1
               nginx@sha256:77ff
               sha256:91ab
        plan
          [1]     create network  not found
        ");
    }

    #[test]
    fn a_change_is_found_by_its_number_and_by_its_id() {
        let other = Change::new("other".into(), Outcome::Crashed { at: None });
        let all = [change(), other];
        assert_eq!(find(&all, "2").unwrap().id, "other");
        assert_eq!(find(&all, "other").unwrap().id, "other");
        let wrong = find(&all, "3").unwrap_err().to_string();
        assert_eq!(wrong, "no change `3` in the history, which has 2 changes");
        assert!(find(&all, "0").is_err());
    }
}
