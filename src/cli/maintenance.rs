//! `envctl maintenance`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::ops;

/// Answer all requests with a maintenance page, or no longer; previews go on
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Turn {
    On,
    Off,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let on = args.turn == Turn::On;
    ops::maintenance(&session, on).await?;
    let words = if on {
        "all requests but those of previews are answered with 503"
    } else {
        "requests go on"
    };
    context.ui.say(words);
    Ok(Exit::Done)
}
