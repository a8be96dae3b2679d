//! `envctl test`.

use std::path::PathBuf;

use super::{
    args::{Waits, revision},
    context::Context,
    error::CliError,
    exit::Exit,
};
use crate::{
    base::files,
    model::Color,
    ops::{self, Only},
};

/// Ask the project's checks of a color, and keep the result on its release
///
/// Requests go to the color's preview; test services run in the color.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The color; without it the idle one
    color: Option<Color>,
    /// Only the checks that ask the preview; the results of the others stay
    #[arg(long)]
    requests: bool,
    /// Only the check that runs this service; may be given for several
    #[arg(long, value_name = "SERVICE")]
    service: Vec<String>,
    /// Refuse a release of another revision; the first 7 characters are enough
    #[arg(long, value_name = "SHA", value_parser = revision)]
    revision: Option<String>,
    /// Write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    waits: Waits,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let Args { requests, .. } = *args;
    let only = Only { requests, services: args.service.clone(), revision: args.revision.clone() };
    let reporter = context.ui.reporter("test");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let tested = ops::test(&session, args.color, &only).await?;
    drop(reporter);
    if let Some(file) = &args.junit {
        let text = tested.junit(&project.names);
        files::write_atomic(file, text.as_bytes(), 0o644).map_err(ops::OpsError::from)?;
    }
    if args.json {
        context.ui.json(&tested);
    }
    if tested.checks.is_empty() {
        let color = tested.color;
        context.ui.say(&format!("{color}: nothing was asked, as envctl.yaml has no `checks`"));
        return Ok(Exit::Done);
    }
    let passed = tested.checks.iter().filter(|check| check.passed).count();
    let text = format!("{}: {passed} of {} checks passed", tested.color, tested.checks.len());
    if tested.passed {
        context.ui.say(&text);
        if tested.release_passed.is_none() {
            context.ui.hint(&format!("`envctl test {}` runs the others too", tested.color));
        }
        return Ok(Exit::Done);
    }
    context.ui.error(&text, &[], &[format!("`envctl logs {}` shows the color", tested.color)]);
    Ok(Exit::Unhealthy)
}
