//! `envctl deploy`.

use std::time::Instant;

use super::{args::Waits, context::Context, error::CliError, exit::Exit, scale};
use crate::{
    model::Color,
    ops::{self, DeployOptions, Deployed},
    ui::Summary,
};

/// Bring a fresh stack up on the idle color, beside the one that serves
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The color; without it the idle one
    color: Option<Color>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Deploy to the live color all the same: its requests fail meanwhile
    #[arg(long)]
    force: bool,
    /// The number of replicas of a service, in place of the files'; may be given for several
    #[arg(long, value_parser = scale::replicas, value_name = "SERVICE=N")]
    replicas: Vec<(String, u32)>,
    /// The database: the durable one, or a clone of the color's own, made now and gone with the color
    #[arg(long, value_enum, default_value_t)]
    database: Database,
    /// Remove what stands of the color again when it fails; without it, it stays for a look
    #[arg(long)]
    cleanup_on_failure: bool,
    #[command(flatten)]
    waits: Waits,
}

/// Which database a color gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    #[default]
    Durable,
    Clone,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let started = Instant::now();
    let engine = context.engine().await?;
    let project = if args.dry_run {
        context.project()?
    } else {
        context.project_with_credentials(Some(&engine)).await?
    };
    let options = DeployOptions {
        color: args.color,
        force: args.force,
        replicas: args.replicas.iter().cloned().collect(),
        cleanup_on_failure: args.cleanup_on_failure,
        clone: args.database == Database::Clone,
    };
    if args.dry_run {
        let session = context.session(&engine, &project, &context.ui, Some(args.waits));
        context.ui.plan(&ops::plan_deploy(&session, options).await?);
        return Ok(Exit::Done);
    }
    let reporter = context.ui.reporter("deploy");
    let session = context.session(&engine, &project, &*reporter, Some(args.waits));
    let deployed = ops::deploy(&session, options).await?;
    drop(reporter);
    let text = format!("{} holds release {}", deployed.color, deployed.release);
    let summary = Summary::new(text).plan(&deployed.plan, &deployed.took).took(started.elapsed());
    context
        .ui
        .summary(&summary.previews(deployed.previews.iter().map(|preview| preview.url.clone())));
    let Deployed { color, clones, .. } = &deployed;
    context.ui.hint(&if clones.is_empty() {
        format!("`envctl test {color}`, then `envctl switch {color}`")
    } else {
        let clones = clones.join(", ");
        format!(
            "{color} has a clone of {clones}: `envctl cleanup {color}` removes it with the color"
        )
    });
    Ok(Exit::Done)
}
