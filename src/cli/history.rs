//! `envctl history`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    model::{Change, Outcome},
    ops,
};

/// Show the changes of the environment: when, who, what, how it ended
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The last ones only
    #[arg(long, short = 'n', default_value_t = 20, value_name = "NUMBER")]
    limit: usize,
    /// Print them as JSON, with plans and images
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let changes = ops::history(&session).await?;
    let last = &changes[changes.len().saturating_sub(args.limit)..];
    if args.json {
        context.ui.json(&last);
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 7]> = last.iter().map(row).collect();
    context.ui.table(&["TIME", "COMMAND", "COLOR", "RELEASE", "REVISION", "BY", "OUTCOME"], &rows);
    Ok(Exit::Done)
}

fn row(change: &Change) -> [String; 7] {
    let took = words::duration(std::time::Duration::from_millis(change.milliseconds));
    let outcome = match &change.outcome {
        Outcome::Done => format!("done in {took}"),
        Outcome::Failed { reason } => format!("failed after {took}: {reason}"),
        Outcome::Interrupted => format!("interrupted after {took}"),
    };
    let forced = if change.forced { " (forced)" } else { "" };
    [
        change.time.clone(),
        format!("{}{forced}", change.command),
        change.color.map(|color| color.to_string()).unwrap_or_default(),
        change.release.clone().unwrap_or_default(),
        change.revision.as_deref().unwrap_or_default().chars().take(10).collect(),
        change.who.clone(),
        outcome,
    ]
}
