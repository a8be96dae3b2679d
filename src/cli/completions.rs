//! `envctl completions`.

use super::{context::Context, exit::Exit};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub fn run(context: &Context, args: &Args, command: &mut clap::Command) -> Exit {
    let mut text = vec![];
    clap_complete::generate(args.shell, command, "envctl", &mut text);
    context.ui.data(&String::from_utf8_lossy(&text));
    context.end(Ok(Exit::Done))
}
