//! `envctl init`.

use std::path::PathBuf;

use super::{context::Context, error::CliError, exit::Exit};
use crate::{base::files::shown, ops};

/// Write a first envctl.yaml beside your Compose files, and say what was decided and why
///
/// Finds services that look durable, ports that become routes, and names that two colors cannot share. Shows the file
/// and asks before it writes it. Nothing else is written, and an envctl.yaml that is there is never overwritten.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Compose file in place of those that Compose would find; given again, one that is merged over those before it
    #[arg(long, short, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Write it without asking
    #[arg(long, short)]
    yes: bool,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let draft = ops::draft(context.folder(), &args.file, &context.shell)?;
    for decision in &draft.decisions {
        context.ui.say(decision);
    }
    for problem in &draft.problems {
        context.ui.warn(&format!("to be changed before a deployment: {problem}"));
    }
    context.ui.data(&draft.text);
    if !args.yes {
        let Some(prompt) = context.ui.prompt() else {
            return Err(CliError::Usage(
                "nobody is at the terminal to be asked, and nothing was written: `--yes` writes the file".to_owned(),
            ));
        };
        if !prompt.yes(&format!("write this to `{}`?", shown(&draft.path).display())).await {
            context.ui.say("nothing was written");
            return Ok(Exit::Done);
        }
    }
    ops::write_draft(&draft)?;
    context.ui.say(&format!("wrote `{}`", shown(&draft.path).display()));
    context.ui.hint(
        "`envctl plan durable` and `envctl plan` show what would be done, `envctl up` does it",
    );
    Ok(Exit::Done)
}
