//! `envctl durable`.

use std::time::Instant;

use super::{args::Waits, context::Context, error::CliError, exit::Exit, logs, snapshot};
use crate::{
    base::words,
    database::{Encrypted, Encryption},
    model::{Color, Names},
    ops::{self, Apply, Data, DurableUp, Rotated, Session, Snapshot, Stored},
    plan::Difference,
};

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
        /// Apply changed definitions; a snapshot is taken before a database gets a server of a higher version
        #[arg(long)]
        apply: bool,
        /// Delete all data, after a last snapshot, and begin anew; asks for the environment's name
        #[arg(long, conflicts_with = "apply")]
        reset: bool,
        /// The environment's name, in place of typing it
        #[arg(long, requires = "reset", value_name = "NAME")]
        confirm: Option<String>,
        /// Take no snapshot before an upgrade or a reset
        #[arg(long)]
        no_snapshot: bool,
        #[command(flatten)]
        waits: Waits,
    },
    /// Stop the durable layer and remove its containers; the data stays
    ///
    /// Asks for the environment's name when a color is live: it is left without its database.
    Down {
        /// Delete the data too; asks for the environment's name
        #[arg(long)]
        volumes: bool,
        /// The environment's name, in place of typing it
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
        /// Take no last snapshot of the databases
        #[arg(long, requires = "volumes")]
        no_snapshot: bool,
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
        /// Run this statement and end
        #[arg(long, short = 'c', value_name = "STATEMENT")]
        execute: Option<String>,
    },
    /// Copy a running database into a file
    Snapshot(snapshot::Args),
    /// List the snapshots
    Snapshots(snapshot::ListArgs),
    /// Put a snapshot in the place of a database's data
    ///
    /// The copy is made beside the data and looked at by a server of its own first. The data from before stays on a
    /// volume of its own.
    Restore(snapshot::RestoreArgs),
    /// Give an environment the data of another one
    Clone(snapshot::CloneArgs),
    /// Put the data of an encrypted database under another key
    ///
    /// It can be read meanwhile, and not written to. The data under the old key stays on a volume of its own, and the old
    /// key beside the new one in the credentials file.
    RotateKey {
        /// The database, where there is more than one
        #[arg(long)]
        service: Option<String>,
        #[command(flatten)]
        waits: Waits,
    },
    /// Run the statements of a file
    Import(snapshot::ImportArgs),
    /// Write a database as statements
    Export(snapshot::ExportArgs),
}

impl Args {
    pub const fn changes(&self) -> bool {
        !matches!(
            self.command,
            Command::Status { .. }
                | Command::Logs(_)
                | Command::Shell { .. }
                | Command::Snapshots(_)
                | Command::Export(_)
        )
    }
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::Up { reset: true, confirm, no_snapshot, waits, .. } => {
            let data = if *no_snapshot { Data::Goes } else { Data::GoesAfterSnapshot };
            reset(context, data, confirm.as_deref(), *waits).await
        }
        Command::Up { apply, no_snapshot, waits, .. } => {
            let apply = match (apply, no_snapshot) {
                (true, true) => Apply::AtOnce,
                (true, false) => Apply::AfterSnapshot,
                (false, false) => Apply::No,
                (false, true) => {
                    let only = "`--no-snapshot` goes with `--apply` or `--reset`";
                    return Err(CliError::Usage(only.to_owned()));
                }
            };
            up(context, apply, *waits).await
        }
        Command::Down { volumes, confirm, no_snapshot, waits } => {
            let data = match (volumes, no_snapshot) {
                (false, _) => Data::Stays,
                (true, false) => Data::GoesAfterSnapshot,
                (true, true) => Data::Goes,
            };
            down(context, data, confirm.as_deref(), *waits).await
        }
        Command::Status { json } => status(context, *json).await,
        Command::Logs(args) => logs::durable(context, args).await,
        Command::Shell { service, execute } => {
            shell(context, service.as_deref(), execute.as_deref()).await
        }
        Command::Snapshot(args) => snapshot::snapshot(context, args).await,
        Command::Snapshots(args) => snapshot::list(context, args).await,
        Command::Restore(args) => snapshot::restore(context, args).await,
        Command::Clone(args) => snapshot::clone(context, args).await,
        Command::RotateKey { service, waits } => {
            rotate_key(context, service.as_deref(), *waits).await
        }
        Command::Import(args) => snapshot::import(context, args).await,
        Command::Export(args) => snapshot::export(context, args).await,
    }
}

async fn up(context: &Context, apply: Apply, waits: Waits) -> Result<Exit, CliError> {
    let started = Instant::now();
    let engine = context.engine().await?;
    let project = context.project_with_credentials(Some(&engine)).await?;
    let reporter = context.ui.reporter("durable up");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let up = ops::durable_up(&session, apply).await?;
    drop(reporter);
    say_differences(context, &up.differences);
    say_up(context, &up, started);
    Ok(Exit::Done)
}

fn say_up(context: &Context, up: &DurableUp, started: Instant) {
    for Stored { snapshot, path, .. } in &up.taken {
        let Snapshot { name, why, .. } = snapshot;
        context.ui.say(&format!("snapshot {name}, {why}, is in `{}`", path.display()));
    }
    let names: Vec<&str> = up.services.iter().map(|service| service.service.as_str()).collect();
    let verb = if up.plan.only_waits() { "was up already" } else { "is up" };
    let took = words::duration(started.elapsed());
    context.ui.say(&format!("the durable layer {verb}: {} ({took})", names.join(", ")));
}

async fn reset(
    context: &Context,
    data: Data,
    confirm: Option<&str>,
    waits: Waits,
) -> Result<Exit, CliError> {
    let started = Instant::now();
    let engine = context.engine().await?;
    let project = context.project_with_credentials(Some(&engine)).await?;
    let environment = &project.names.environment;
    let look = context.session(&engine, &project, &(), None);
    say_lost(context, &look, data).await?;
    let question = question(&project.names, ops::leans_on_durable(&look).await?, data);
    sure(context, environment, &question, confirm).await?;
    let reporter = context.ui.reporter("durable up --reset");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let up = ops::durable_reset(&session, data).await?;
    drop(reporter);
    say_up(context, &up, started);
    Ok(Exit::Done)
}

pub fn say_differences(context: &Context, differences: &[Difference]) {
    for difference in differences {
        context.ui.warn(&format!(
            "`{}` runs with another definition than its files have now; `envctl durable up --apply` puts a new container on the same volumes",
            difference.service
        ));
        for change in &difference.changes {
            context.ui.say(&format!("  {change}"));
        }
    }
}

async fn down(
    context: &Context,
    data: Data,
    confirm: Option<&str>,
    waits: Waits,
) -> Result<Exit, CliError> {
    let project = context.project()?;
    let environment = &project.names.environment;
    let mut live = None;
    if let Ok(engine) = context.engine().await {
        let look = context.session(&engine, &project, &(), None);
        say_lost(context, &look, data).await?;
        live = ops::leans_on_durable(&look).await?;
    }
    if data != Data::Stays || live.is_some() || confirm.is_some() {
        let question = question(&project.names, live, data);
        sure(context, environment, &question, confirm).await?;
    }
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable down");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let (plan, taken) = ops::durable_down(&session, data).await?;
    drop(reporter);
    context.ui.say(match (plan.is_empty(), data) {
        (true, _) => "the durable layer was down already",
        (false, Data::Stays) => "the durable layer is down; its data stays",
        (false, _) => "the durable layer is down and its data deleted",
    });
    for stored in taken {
        context.ui.say(&format!("a last snapshot is in `{}`", stored.path.display()));
    }
    Ok(Exit::Done)
}

/// What goes, said before the environment's name is asked for.
fn question(names: &Names, live: Option<Color>, data: Data) -> String {
    let mut parts = vec![];
    if let Some(color) = live {
        parts.push(format!("{color} is live, and its database goes down"));
    }
    if data != Data::Stays {
        let Names { project, environment } = names;
        parts.push(format!("all data of `{environment}` of `{project}` will be deleted"));
    }
    parts.join("; ") + "."
}

/// Says of what no last snapshot is taken.
async fn say_lost(context: &Context, session: &Session<'_>, data: Data) -> Result<(), CliError> {
    if data == Data::GoesAfterSnapshot {
        for service in ops::without_snapshot(session).await? {
            context.ui.warn(&format!("no snapshot keeps the data of `{service}`: it is lost"));
        }
    }
    if data == Data::Goes {
        for volume in ops::volumes_of_no_service(session).await? {
            context.ui.warn(&format!(
                "no service of the files has the volume `{volume}`: its data goes too"
            ));
        }
    }
    Ok(())
}

/// Asks for the environment's name before something is taken away; an error unless it was given.
pub async fn sure(
    context: &Context,
    environment: &str,
    question: &str,
    confirm: Option<&str>,
) -> Result<(), CliError> {
    let sure = match (confirm, context.ui.prompt()) {
        (Some(name), _) => name == environment,
        (None, Some(prompt)) => prompt.confirm_by_name(question, environment).await,
        (None, None) => {
            return Err(CliError::Usage(format!(
                "{question} That needs the environment's name: on a terminal it is asked for, in a script `--confirm {environment}`"
            )));
        }
    };
    if sure {
        return Ok(());
    }
    Err(CliError::Usage(format!("that is not `{environment}`: nothing was done")))
}

async fn rotate_key(
    context: &Context,
    service: Option<&str>,
    waits: Waits,
) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable rotate-key");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let rotated = ops::rotate_key(&session, service).await?;
    drop(reporter);
    let Rotated { service, key, previous, kept } = &rotated;
    let file = project.credentials_file();
    context.ui.say(&format!(
        "{service} is encrypted by a new `{key}` and answers ({}); the data under the old one is in the volume `{kept}`, the old one is `{previous}` in `{}`",
        words::duration(started.elapsed()),
        file.display(),
    ));
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
    for service in services.iter().filter(|service| !service.encryption.is_empty()) {
        let told = format!("{}: {}", service.service, Encryption::sum(&service.encryption));
        let some = service.encryption.iter().any(|part| part.encrypted != Encrypted::No);
        let all = service.encryption.iter().all(|part| part.encrypted == Encrypted::Yes);
        // Whoever encrypts wants to know what was left out.
        if some && !all {
            context.ui.warn(&told);
        } else {
            context.ui.say(&told);
        }
    }
    for service in &services {
        if let Some(connections) = &service.connections {
            context.ui.say(&format!("{}: {connections}", service.service));
        }
    }
    say_differences(context, &differences);
    Ok(Exit::Done)
}

async fn shell(
    context: &Context,
    service: Option<&str>,
    execute: Option<&str>,
) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let (container, command) = ops::shell_command(&session, service, execute).await?;
    // The terminal is handed over whole: Docker's own client does that well.
    let mut docker = tokio::process::Command::new("docker");
    docker.args(["exec", "--interactive"]);
    if execute.is_none() && context.ui.prompt().is_some() {
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
