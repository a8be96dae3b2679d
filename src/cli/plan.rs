//! `envctl plan`.

use super::{context::Context, deploy::Database, error::CliError, exit::Exit};
use crate::{
    model::Color,
    ops::{self, DeployOptions},
};

/// Print what a command would do, step by step with its reasons
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command
    #[arg(value_enum, default_value_t)]
    of: Of,
    /// The color; without it the idle one
    color: Option<Color>,
    /// Of `durable`: as `durable up --apply` would do it
    #[arg(long)]
    apply: bool,
    /// Of `deploy`: which database the color gets
    #[arg(long, value_enum, default_value_t)]
    database: Database,
    /// End with exit code 4 when something would be done
    #[arg(long)]
    exit_code: bool,
    /// Print the steps as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    #[default]
    Deploy,
    Durable,
    Switch,
    Cleanup,
    Down,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    if args.apply && args.of != Of::Durable {
        return Err(CliError::Usage("`--apply` goes with `plan durable`".to_owned()));
    }
    if args.database == Database::Clone && args.of != Of::Deploy {
        return Err(CliError::Usage("`--database` goes with `plan deploy`".to_owned()));
    }
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &context.ui, None);
    let plan = match args.of {
        Of::Deploy => {
            let clone = args.database == Database::Clone;
            let options = DeployOptions { color: args.color, clone, ..DeployOptions::default() };
            ops::plan_deploy(&session, options).await?
        }
        Of::Durable => {
            let (plan, differences) = ops::plan_durable_up(&session, args.apply).await?;
            super::durable::say_differences(context, &differences);
            plan
        }
        Of::Switch => {
            let color = args.color;
            let options = ops::SwitchOptions { color, force: true, bake: None, keep_clone: true };
            ops::plan_switch(&session, options).await?
        }
        Of::Down => {
            let options = ops::DownOptions { confirmed: true, ..ops::DownOptions::default() };
            ops::plan_down(&session, options).await?
        }
        Of::Cleanup => ops::plan_cleanup(&session, args.color, false).await?.plan,
    };
    if args.json {
        context.ui.json(&plan);
    } else if plan.is_empty() {
        context.ui.say("nothing to do");
    } else {
        context.ui.plan(&plan);
    }
    Ok(if args.exit_code && !plan.only_waits() { Exit::Changes } else { Exit::Done })
}
