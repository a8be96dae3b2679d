//! `envctl graph`.

use super::{context::Context, error::CliError, exit::Exit};
use crate::ops;

/// Draw what stands: routes, both colors, the durable layer, and what talks to what
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Mermaid is for Markdown pages, SVG is a picture
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Print boxes and lines as JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Mermaid,
    Svg,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let graph = ops::graph(&session).await?;
    match (args.json, args.format) {
        (true, _) => context.ui.json(&graph),
        (false, Format::Mermaid) => context.ui.data(&graph.mermaid()),
        (false, Format::Svg) => context.ui.data(&graph.svg()),
    }
    Ok(Exit::Done)
}
