//! `envctl build`.

use std::time::Instant;

use super::{context::Context, error::CliError, exit::Exit};
use crate::{ops, ui::Summary};

/// Pull and build the images of both layers, and change nothing else
///
/// A deployment does it as well; a job of its own in a pipeline shows a broken build before anything is touched.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(context: &Context, _: &Args) -> Result<Exit, CliError> {
    let started = Instant::now();
    let engine = context.engine().await?;
    let project = context.project()?;
    let reporter = context.ui.reporter("build");
    let session = context.session(&engine, &project, &*reporter, None);
    let built = ops::build(&session).await?;
    drop(reporter);
    let text = if built.plan.is_empty() {
        "all images were there already"
    } else {
        "all images are there"
    };
    let summary = Summary::new(text).plan(&built.plan, &built.took);
    context.ui.summary(&summary.took(started.elapsed()));
    Ok(Exit::Done)
}
