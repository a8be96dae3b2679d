//! The command line: arguments in, exit code out. One file a command; its doc comment is its help. May import everything.

mod args;
mod aws;
mod bench;
mod build;
mod ci;
mod cleanup;
mod completions;
mod config;
mod context;
mod credentials;
mod deploy;
mod doctor;
mod down;
mod durable;
mod error;
mod exchange;
mod exit;
mod graph;
mod history;
mod init;
mod logs;
mod maintenance;
mod pause;
mod plan;
mod proxy;
mod rollback;
mod scale;
mod sign;
mod signals;
mod snapshot;
mod status;
mod switch;
mod test;
mod tls;
mod up;

use std::{ffi::OsString, panic, process::ExitCode};

use clap::{CommandFactory as _, Parser as _};

pub use args::Cli;
use args::Command;
use context::Context;
use exit::Exit;

use crate::config::Shell;

/// Runs the program with its arguments (the first is its name) and the process's environment.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let cli = match Cli::try_parse_from(arguments) {
            Ok(cli) => cli,
            // Help and version are no errors: clap knows where each goes.
            Err(error) => {
                let wrong = error.use_stderr();
                let _ = error.print();
                return if wrong { Exit::Usage } else { Exit::Done };
            }
        };
        run(&cli, Shell::read())
    }));
    // The panic's own message has been written already.
    outcome.unwrap_or(Exit::Bug).into()
}

fn run(cli: &Cli, shell: Shell) -> Exit {
    let context = Context::new(&cli.global, shell);
    if let Command::Proxy(proxy) = &cli.command {
        // The proxy brings its own runtime.
        return context.end(proxy::run(&context, proxy));
    }
    if let Command::Exchange(exchange) = &cli.command {
        return context.end(exchange::run(exchange));
    }
    if let Command::Sign(sign) = &cli.command {
        return context.end(sign::run(&context, sign));
    }
    if let Command::Completions(completions) = &cli.command {
        return completions::run(&context, completions, &mut Cli::command());
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            context.ui.error(&format!("no runtime: {error}"), &[], &[]);
            return Exit::Failed;
        }
    };
    let exit = runtime.block_on(async {
        signals::watch(
            &context.cancel,
            cli.command.changes(),
            Box::pin(dispatch(&context, &cli.command)),
        )
        .await
    });
    // A thread that still reads a file is not waited for.
    runtime.shutdown_background();
    context.end(exit)
}

async fn dispatch(context: &Context, command: &Command) -> Result<Exit, error::CliError> {
    match command {
        Command::Up(args) => up::run(context, args).await,
        Command::Deploy(args) => deploy::run(context, args).await,
        Command::Build(args) => build::run(context, args).await,
        Command::Test(args) => test::run(context, args).await,
        Command::Switch(args) => switch::run(context, args).await,
        Command::Pause(args) => pause::run(context, args).await,
        Command::Resume(args) => pause::resume(context, args).await,
        Command::Maintenance(args) => maintenance::run(context, args).await,
        Command::Rollback(args) => rollback::run(context, args).await,
        Command::Scale(args) => scale::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Graph(args) => graph::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::History(args) => history::run(context, args).await,
        Command::Cleanup(args) => cleanup::run(context, args).await,
        Command::Down(args) => down::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Config(args) => config::run(context, args),
        Command::Init(args) => init::run(context, args).await,
        Command::Ci(args) => ci::run(context, args),
        Command::Durable(args) => durable::run(context, args).await,
        Command::Aws(args) => aws::run(context, args).await,
        Command::Tls(args) => tls::run(context, args).await,
        Command::Bench(args) => bench::run(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Credentials(args) => credentials::run(context, args).await,
        Command::Completions(_) | Command::Proxy(_) | Command::Exchange(_) | Command::Sign(_) => {
            Ok(Exit::Done)
        }
    }
}
