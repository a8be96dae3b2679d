//! `envctl test`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::{model::Color, ops};

/// Ask the project's checks of a color's preview, and keep the result on its release
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The color; without it the idle one
    color: Option<Color>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("test");
    let session = context.session(&engine, &project, &*reporter, None);
    let tested = ops::test(&session, args.color).await?;
    drop(reporter);
    if args.json {
        context.ui.json(&tested);
    }
    let passed = tested.checks.iter().filter(|check| check.passed).count();
    let text = format!("{}: {passed} of {} checks passed", tested.color, tested.checks.len());
    if tested.passed {
        context.ui.say(&text);
        return Ok(Exit::Done);
    }
    context.ui.error(&text, &[], &[format!("`envctl logs {}` shows the color", tested.color)]);
    Ok(Exit::Unhealthy)
}
