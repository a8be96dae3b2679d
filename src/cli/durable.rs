//! `envctl durable`.

use std::time::Instant;

use super::{args::Waits, context::Context, error::CliError, exit::Exit, logs};
use crate::{base::words, ops, plan::Difference};

/// Manage the durable layer: databases and what else outlives deployments
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create what is missing and start what is stopped; never deletes data
    ///
    /// A changed definition is shown, and applied with `--apply` only: by a new container on the same volumes.
    Up {
        /// Apply changed definitions
        #[arg(long)]
        apply: bool,
        #[command(flatten)]
        waits: Waits,
    },
    /// Stop the durable layer and remove its containers; the data stays
    Down {
        /// Delete the data too; asks for the environment's name
        #[arg(long)]
        volumes: bool,
        /// The environment's name, in place of typing it
        #[arg(long, requires = "volumes", value_name = "NAME")]
        confirm: Option<String>,
        #[command(flatten)]
        waits: Waits,
    },
    /// Show the durable layer
    Status {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show its logs
    Logs(logs::DurableArgs),
    /// Open the database's own client, with the application's credentials
    Shell {
        /// The service, where there is more than one
        service: Option<String>,
    },
}

impl Args {
    pub const fn changes(&self) -> bool {
        matches!(self.command, Command::Up { .. } | Command::Down { .. })
    }
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::Up { apply, waits } => up(context, *apply, *waits).await,
        Command::Down { volumes, confirm, waits } => {
            down(context, *volumes, confirm.as_deref(), *waits).await
        }
        Command::Status { json } => status(context, *json).await,
        Command::Logs(args) => logs::durable(context, args).await,
        Command::Shell { service } => shell(context, service.as_deref()).await,
    }
}

async fn up(context: &Context, apply: bool, waits: Waits) -> Result<Exit, CliError> {
    let started = Instant::now();
    let engine = context.engine().await?;
    let project = context.project_with_credentials(Some(&engine)).await?;
    let reporter = context.ui.reporter("durable up");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let up = ops::durable_up(&session, apply).await?;
    drop(reporter);
    say_differences(context, &up.differences);
    let names: Vec<&str> = up.services.iter().map(|service| service.service.as_str()).collect();
    let verb = if up.plan.only_waits() { "was up already" } else { "is up" };
    let took = words::duration(started.elapsed());
    context.ui.say(&format!("the durable layer {verb}: {} ({took})", names.join(", ")));
    Ok(Exit::Done)
}

pub fn say_differences(context: &Context, differences: &[Difference]) {
    for difference in differences {
        context.ui.warn(&format!(
            "`{}` runs with another definition than its files have now; `envctl durable up --apply` puts a new container on the same volumes",
            difference.service
        ));
    }
}

async fn down(
    context: &Context,
    volumes: bool,
    confirm: Option<&str>,
    waits: Waits,
) -> Result<Exit, CliError> {
    let project = context.project()?;
    let environment = &project.names.environment;
    if volumes {
        let sure = match (confirm, context.ui.prompt()) {
            (Some(name), _) => name == environment,
            (None, Some(prompt)) => {
                let question = format!(
                    "all data of `{environment}` of `{}` will be deleted.",
                    project.names.project
                );
                prompt.confirm_by_name(&question, environment).await
            }
            (None, None) => {
                return Err(CliError::Usage(format!(
                    "deleting data needs the environment's name: on a terminal it is asked for, in a script `--confirm {environment}`"
                )));
            }
        };
        if !sure {
            return Err(CliError::Usage(format!(
                "that is not `{environment}`: nothing was deleted"
            )));
        }
    }
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable down");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let plan = ops::durable_down(&session, volumes).await?;
    drop(reporter);
    context.ui.say(match (plan.is_empty(), volumes) {
        (true, _) => "the durable layer was down already",
        (false, false) => "the durable layer is down; its data stays",
        (false, true) => "the durable layer is down and its data deleted",
    });
    Ok(Exit::Done)
}

async fn status(context: &Context, json: bool) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let (services, differences) = ops::durable_status(&session).await?;
    if json {
        context.ui.json(&serde_json::json!({ "services": services, "differences": differences }));
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 5]> = services
        .iter()
        .map(|s| {
            [
                s.service.clone(),
                s.state.clone(),
                s.image.clone(),
                s.ports.join(", "),
                s.volumes.join(", "),
            ]
        })
        .collect();
    context.ui.table(&["SERVICE", "STATE", "IMAGE", "PORTS", "VOLUMES"], &rows);
    say_differences(context, &differences);
    Ok(Exit::Done)
}

async fn shell(context: &Context, service: Option<&str>) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let (container, command) = ops::shell_command(&session, service).await?;
    // The terminal is handed over whole: Docker's own client does that well.
    let mut docker = tokio::process::Command::new("docker");
    docker.args(["exec", "--interactive"]);
    if context.ui.prompt().is_some() {
        docker.arg("--tty");
    }
    let status = docker.arg(container).args(command).status().await;
    match status {
        Ok(status) if status.success() => Ok(Exit::Done),
        Ok(_) => Ok(Exit::Failed),
        Err(error) => {
            Err(CliError::Program { program: "docker".to_owned(), reason: error.to_string() })
        }
    }
}
