//! `envctl durable snapshot` and what goes with it: `snapshots`, `restore`, `clone`, `import`, `export`.

use std::{path::PathBuf, time::Instant};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::{args::Waits, context::Context, error::CliError, exit::Exit};
use crate::{
    base::words,
    ops::{self, RestoreOptions, SnapshotOptions, Stored},
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Of>,
    /// What it is called; one with a name stays until it is removed
    name: Option<String>,
    /// A dump of statements, for other versions of the database; slower to restore
    #[arg(long)]
    logical: bool,
    /// The database, where there is more than one
    #[arg(long)]
    service: Option<String>,
    /// What it is taken for
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    waits: Waits,
}

#[derive(Debug, clap::Subcommand)]
enum Of {
    /// Restore it into a scratch container and check every table
    Verify {
        name: String,
        /// Print what was found as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        waits: Waits,
    },
    /// Remove a snapshot
    Remove { name: String },
}

#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The snapshot; without it the newest
    name: Option<String>,
    /// One of another environment
    #[arg(long, value_name = "ENVIRONMENT")]
    from: Option<String>,
    /// Back to this second: the newest snapshot from before it, and the changes since
    #[arg(long, value_parser = time, conflicts_with = "from", value_name = "TIME")]
    to: Option<Timestamp>,
    /// The database, where there is more than one
    #[arg(long)]
    service: Option<String>,
    /// Delete the data that former restores left in `…-before-restore`; asks for the environment's name
    #[arg(long, conflicts_with_all = ["name", "from", "to", "service"])]
    purge: bool,
    /// The environment's name, in place of typing it
    #[arg(long, requires = "purge", value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    waits: Waits,
}

#[derive(Debug, clap::Args)]
pub struct CloneArgs {
    /// The environment whose data is copied, as it is now
    from: String,
    /// The environment that gets it
    to: String,
    /// The database, where there is more than one
    #[arg(long)]
    service: Option<String>,
    #[command(flatten)]
    waits: Waits,
}

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// SQL, plain or compressed by gzip or Zstandard; `-` is standard input
    file: PathBuf,
    /// The database to run it in, made when missing; the application's without it
    #[arg(long, value_name = "DATABASE")]
    into: Option<String>,
    /// The service, where there is more than one
    #[arg(long)]
    service: Option<String>,
    #[command(flatten)]
    waits: Waits,
}

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The file to write, compressed when it ends in .zst; standard output without it
    file: Option<PathBuf>,
    /// The database; the application's without it
    #[arg(long, value_name = "DATABASE")]
    of: Option<String>,
    /// The service, where there is more than one
    #[arg(long)]
    service: Option<String>,
}

/// `2026-11-20 14:03:00` of this machine's time zone, or with an offset (`2026-11-20T14:03:00Z`).
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let here = text.parse::<DateTime>().ok().and_then(|t| t.to_zoned(TimeZone::system()).ok());
    here.map(|time| time.timestamp())
        .ok_or_else(|| "a time such as `2026-11-20 14:03:00` or 2026-11-20T14:03:00Z".to_owned())
}

pub async fn snapshot(context: &Context, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Some(Of::Verify { name, json, waits }) => verify(context, name, *json, *waits).await,
        Some(Of::Remove { name }) => {
            let project = context.project()?;
            let engine = context.engine().await?;
            let session = context.session(&engine, &project, &(), None);
            ops::remove_snapshot(&session, name)?;
            context.ui.say(&format!("snapshot {name} is removed"));
            Ok(Exit::Done)
        }
        None => take(context, args).await,
    }
}

async fn take(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable snapshot");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let options = SnapshotOptions {
        name: args.name.clone(),
        service: args.service.clone(),
        logical: args.logical,
        why: args.why.clone(),
    };
    let (stored, gone) = ops::snapshot(&session, &options).await?;
    drop(reporter);
    let snapshot = &stored.snapshot;
    let rate = snapshot.uncompressed * 1000 / snapshot.milliseconds.max(1);
    context.ui.say(&format!(
        "snapshot {}: {} of {} in {} ({} a second); `{}`",
        snapshot.name,
        words::bytes(snapshot.size),
        words::bytes(snapshot.uncompressed),
        words::duration(started.elapsed()),
        words::bytes(rate),
        stored.path.display(),
    ));
    if !gone.is_empty() {
        context.ui.say(&format!("removed as `durable.snapshots.keep` has it: {}", gone.join(", ")));
    }
    Ok(Exit::Done)
}

async fn verify(context: &Context, name: &str, json: bool, waits: Waits) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable snapshot verify");
    let session = context.session(&engine, &project, &*reporter, Some(waits));
    let verified = ops::verify_snapshot(&session, name).await?;
    drop(reporter);
    if json {
        context.ui.json(&verified);
    }
    let tables = usize::try_from(verified.tables).unwrap_or_default();
    context.ui.say(&format!(
        "snapshot {name} is good: {} checked ({})",
        words::count(tables, "table"),
        words::duration(started.elapsed()),
    ));
    Ok(Exit::Done)
}

pub async fn list(context: &Context, args: &ListArgs) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let (all, broken) = ops::snapshots(&session, None)?;
    let kept = ops::kept_volumes(&session).await?;
    if args.json {
        context.ui.json(&serde_json::json!({ "snapshots": all, "broken": broken, "kept": kept }));
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 7]> = all
        .iter()
        .map(|Stored { snapshot, whole, .. }| {
            [
                snapshot.name.clone(),
                snapshot.time.clone(),
                snapshot.service.clone(),
                if snapshot.logical { "statements" } else { "files" }.to_owned(),
                words::bytes(snapshot.size),
                if *whole {
                    snapshot.version.clone()
                } else {
                    "BROKEN: not what was written".to_owned()
                },
                snapshot.why.clone(),
            ]
        })
        .collect();
    context.ui.table(&["NAME", "TIME", "SERVICE", "KIND", "SIZE", "VERSION", "WHY"], &rows);
    for broken in broken {
        context.ui.warn(&format!("a snapshot is BROKEN: {}", broken.reason));
    }
    for volume in kept {
        context.ui.say(&format!(
            "`{volume}` has the data from before a restore; `envctl durable restore --purge` deletes it"
        ));
    }
    Ok(Exit::Done)
}

pub async fn restore(context: &Context, args: &RestoreArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let environment = &project.names.environment;
    if args.purge {
        let what = format!(
            "the data from before all restores of `{environment}` of `{}` will be deleted.",
            project.names.project
        );
        super::durable::sure(context, environment, &what, args.confirm.as_deref()).await?;
        let engine = context.engine().await?;
        let reporter = context.ui.reporter("durable restore");
        let session = context.session(&engine, &project, &*reporter, Some(args.waits));
        let gone = ops::purge(&session).await?;
        drop(reporter);
        context.ui.say(&match gone.len() {
            0 => "no data from before a restore was left".to_owned(),
            _ => format!("deleted: {}", gone.join(", ")),
        });
        return Ok(Exit::Done);
    }
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable restore");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let options = RestoreOptions {
        name: args.name.clone(),
        from: args.from.clone(),
        service: args.service.clone(),
        to: args.to,
    };
    let restored = ops::restore(&session, &options).await?;
    drop(reporter);
    said(context, &restored, started);
    Ok(Exit::Done)
}

fn said(context: &Context, restored: &ops::Restored, started: Instant) {
    context.ui.say(&format!(
        "{} has the data of {} and answers ({}); the data from before is in the volume `{}`",
        restored.service,
        restored.from,
        words::duration(started.elapsed()),
        restored.kept,
    ));
}

pub async fn clone(context: &Context, args: &CloneArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let (from, to) = (context.project_in(&args.from)?, context.project_in(&args.to)?);
    if args.from == args.to {
        return Err(CliError::Usage("an environment is no clone of itself".to_owned()));
    }
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable clone");
    let session = context.session(&engine, &to, &*reporter, Some(args.waits));
    let restored = ops::clone_environment(&session, &from, args.service.as_deref()).await?;
    drop(reporter);
    said(context, &restored, started);
    Ok(Exit::Done)
}

pub async fn import(context: &Context, args: &ImportArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable import");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let file = (args.file.as_os_str() != "-").then(|| context.folder().join(&args.file));
    let into = args.into.as_deref();
    let service = ops::import(&session, file, into, args.service.as_deref()).await?;
    drop(reporter);
    let took = words::duration(started.elapsed());
    context.ui.say(&format!("`{}` is imported into {service} ({took})", args.file.display()));
    Ok(Exit::Done)
}

pub async fn export(context: &Context, args: &ExportArgs) -> Result<Exit, CliError> {
    let started = Instant::now();
    let project = context.project()?;
    let engine = context.engine().await?;
    let reporter = context.ui.reporter("durable export");
    let session = context.session(&engine, &project, &*reporter, None);
    let named = args.file.as_ref().filter(|file| file.as_os_str() != "-");
    let file = named.map(|file| context.folder().join(file));
    let bytes = ops::export(&session, file, args.of.as_deref(), args.service.as_deref()).await?;
    drop(reporter);
    let took = words::duration(started.elapsed());
    context.ui.say(&format!("exported {} ({took})", words::bytes(bytes)));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_of_this_machine_unless_it_says_otherwise() {
        let there = time("2026-11-20T14:03:00Z").unwrap();
        assert_eq!(there.as_second(), 1_795_183_380);
        let here = time("2026-11-20 14:03:00").unwrap();
        assert_eq!(here.to_zoned(TimeZone::system()).time().to_string(), "14:03:00");
        assert!(time("yesterday").is_err());
    }
}
