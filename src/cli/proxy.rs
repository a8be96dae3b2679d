//! `envctl proxy`: what runs inside the proxy's container.

use std::{net::Ipv4Addr, path::Path};

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    config::Shell,
    model::Listener,
    proxy::{self, Options},
};

const STATE: &str = "/state";
const CA: &str = "/ca";

/// Run the proxy, or talk to it (inside of its container)
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve what the container's environment says
    Serve,
    /// Send lines of standard input to the running proxy and print its answers
    Ctl,
}

pub fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    match args.command {
        Command::Serve => {
            // Standard output is for the answers to those who ask.
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                // What a client does wrong in a handshake is its business, and must not fill the log.
                .with_env_filter("info,rustls=error")
                .with_ansi(false)
                .init();
            proxy::serve(&options(&context.shell)?)?;
        }
        Command::Ctl => proxy::ctl(&Path::new(STATE).join("control.sock"))?,
    }
    Ok(Exit::Done)
}

fn options(shell: &Shell) -> Result<Options, CliError> {
    fn json<T: serde::de::DeserializeOwned>(
        shell: &Shell,
        name: &str,
        default: &str,
    ) -> Result<T, CliError> {
        serde_json::from_str(shell.get(name).unwrap_or(default))
            .map_err(|error| CliError::Usage(format!("{name}: {error}")))
    }
    let listeners: Vec<Listener> = json(shell, "ENVCTL_LISTENERS", "[]")?;
    let mut options =
        Options::new(listeners, STATE.into(), CA.into(), Ipv4Addr::UNSPECIFIED.into());
    options.names = json(shell, "ENVCTL_CERTIFICATE_NAMES", "[]")?;
    options.metrics = json(shell, "ENVCTL_METRICS", "null")?;
    options.access_log = json(shell, "ENVCTL_ACCESS_LOG", "null")?;
    Ok(options)
}
