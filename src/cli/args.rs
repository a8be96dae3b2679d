//! The arguments that all commands share, and the list of commands.

use std::{path::PathBuf, time::Duration};

use super::{
    aws, bench, build, ci, cleanup, completions, config, credentials, deploy, doctor, down,
    durable, exchange, graph, history, init, logs, maintenance, pause, plan, proxy, rollback,
    scale, sign, status, switch, test, tls, up,
};
use crate::ui::Progress;

/// Blue/green deployments on one Docker host, with a database layer that stays put, from your Compose files
#[derive(Debug, clap::Parser)]
#[command(name = "envctl", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, clap::Args)]
pub struct Global {
    /// The environment; without it the first of envctl.yaml
    #[arg(long, short, global = true, env = "ENVCTL_ENV", value_name = "NAME")]
    pub env: Option<String>,
    /// Look for envctl.yaml from this folder upwards
    #[arg(long, short = 'C', global = true, value_name = "FOLDER")]
    pub directory: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t, value_name = "HOW")]
    pub progress: Progress,
    /// Say nothing but warnings, errors and what was asked for
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Say more: the lines of builds, the engine's share of the time
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Init(init::Args),
    Up(up::Args),
    Build(build::Args),
    Deploy(deploy::Args),
    Test(test::Args),
    Switch(switch::Args),
    Pause(pause::Args),
    Resume(pause::ResumeArgs),
    Maintenance(maintenance::Args),
    Rollback(rollback::Args),
    Scale(scale::Args),
    Status(status::Args),
    Graph(graph::Args),
    Logs(logs::Args),
    History(history::Args),
    Cleanup(cleanup::Args),
    Down(down::Args),
    Plan(plan::Args),
    Config(config::Args),
    Durable(durable::Args),
    Aws(aws::Args),
    Tls(tls::Args),
    Credentials(credentials::Args),
    Bench(bench::Args),
    Ci(ci::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Proxy(proxy::Args),
    #[command(hide = true)]
    Exchange(exchange::Args),
    #[command(hide = true)]
    Sign(sign::Args),
}

impl Command {
    /// Whether the command changes something on the engine, and so ends in order when it is interrupted.
    pub const fn changes(&self) -> bool {
        match self {
            Self::Up(_)
            | Self::Deploy(_)
            | Self::Test(_)
            | Self::Switch(_)
            | Self::Maintenance(_)
            | Self::Rollback(_)
            | Self::Scale(_)
            | Self::Bench(_)
            | Self::Cleanup(_)
            | Self::Down(_) => true,
            Self::Durable(args) => args.changes(),
            Self::Aws(args) => args.changes(),
            _ => false,
        }
    }
}

/// How long a changing command waits.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Waits {
    /// How long to wait for another operation of the environment
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "TIME")]
    pub lock_wait: Duration,
    /// The longest that a service may take to get ready
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub wait_timeout: Duration,
}

/// `1%`, `0.5`.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse().ok();
    let valid = number.filter(|number| (0.0..=100.0).contains(number));
    valid.ok_or_else(|| "a percentage such as 1% or 0.5%".to_owned())
}

/// A Git revision, or its beginning.
pub fn revision(text: &str) -> Result<String, String> {
    let enough = text.len() >= 7 && text.chars().all(|c| c.is_ascii_alphanumeric());
    enough.then(|| text.to_owned()).ok_or_else(|| "7 or more characters of a revision".to_owned())
}

pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 30s, 5m or 1m30s".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}
