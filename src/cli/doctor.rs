//! `envctl doctor`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::ops::{self, Finding, Report};

/// Look whether this machine can run the project, and say what mends it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    // Without an engine the rest cannot be looked at, and that is the finding.
    let (report, exit) = match look(context).await {
        Ok(report) if report.good => (report, Exit::Done),
        Ok(report) => (report, Exit::Failed),
        Err(error) if error.exit() == Exit::Unreachable => {
            let mend = error.hints().into_iter().next();
            let finding =
                Finding { what: "engine".to_owned(), good: false, detail: error.to_string(), mend };
            (Report::of(vec![finding]), Exit::Unreachable)
        }
        Err(error) => return Err(error),
    };
    if args.json {
        context.ui.json(&report);
        return Ok(exit);
    }
    for finding in &report.findings {
        let mark = if finding.good { "ok  " } else { "FAIL" };
        context.ui.data(&format!("{mark}  {:<12}  {}\n", finding.what, finding.detail));
        if let Some(mend) = &finding.mend {
            context.ui.data(&format!("      {:<12}  {mend}\n", "mend:"));
        }
    }
    Ok(exit)
}

async fn look(context: &Context) -> Result<Report, CliError> {
    let engine = context.engine().await?;
    let project = context.project()?;
    let session = context.session(&engine, &project, &(), None);
    Ok(ops::doctor(&session).await?)
}
