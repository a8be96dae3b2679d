//! `envctl config`.

use std::{collections::BTreeMap, path::PathBuf};

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    model::Color,
    ops::{self, Layer, OpsError},
};

/// Print what your Compose files come to: read, merged and interpolated, in the shape of `docker compose config`
///
/// Credentials, secrets, variables named like one and passwords in addresses are never in it: `<redacted>` stands in
/// their place. Names of networks and volumes are those on the engine. No engine is asked, and no envctl.yaml is needed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Compose file in place of those of envctl.yaml; given again, one that is merged over those before it
    #[arg(long, short, value_name = "FILE", conflicts_with = "durable")]
    file: Vec<PathBuf>,
    /// The color whose files are read
    #[arg(long, default_value = "blue", value_name = "COLOR")]
    color: Color,
    /// The durable layer in place of a color
    #[arg(long, conflicts_with = "color")]
    durable: bool,
    /// Print the services' names, one a line
    #[arg(long, group = "part")]
    services: bool,
    /// Print the images' names, one a line
    #[arg(long, group = "part")]
    images: bool,
    /// Print a hash of each service's definition; `*` is all of them
    #[arg(long, group = "part", value_name = "SERVICE,…", value_delimiter = ',')]
    hash: Vec<String>,
    /// Whether relative paths are printed as absolute ones, or as the files have them
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    resolve_paths: bool,
    /// The same as `--resolve-paths=false`, as Docker Compose calls it
    #[arg(long, conflicts_with = "resolve_paths")]
    no_path_resolution: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let mut project = context.project_of(&args.file)?;
    project.resolve_paths = args.resolve_paths && !args.no_path_resolution;
    let layer = if args.durable { Layer::Durable } else { Layer::App(args.color) };
    let resolved = ops::config(&project, layer)?;
    context.warn_of(&project);
    for warning in &resolved.warnings {
        context.ui.warn(warning);
    }
    if args.services {
        lines(context, args.json, &resolved.services);
    } else if args.images {
        lines(context, args.json, &resolved.images);
    } else if !args.hash.is_empty() {
        let hashes = chosen(&args.hash, resolved.hashes)?;
        if args.json {
            context.ui.json(&hashes);
        } else {
            for (key, hash) in &hashes {
                context.ui.data(&format!("{key} {hash}\n"));
            }
        }
    } else {
        let text = if args.json {
            serde_json::to_string_pretty(&resolved.document).map_err(|error| error.to_string())
        } else {
            serde_yaml::to_string(&resolved.document).map_err(|error| error.to_string())
        };
        // A document of plain values; as a Compose file it has to read as it was written.
        context.ui.data(&text.expect("plain values").replace('$', "$$"));
    }
    Ok(Exit::Done)
}

fn lines(context: &Context, json: bool, names: &[String]) {
    if json {
        context.ui.json(&names);
    } else {
        for name in names {
            context.ui.data(&format!("{name}\n"));
        }
    }
}

fn chosen(
    names: &[String],
    mut hashes: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, OpsError> {
    if names.iter().any(|name| name == "*") {
        return Ok(hashes);
    }
    if let Some(name) = names.iter().find(|name| !hashes.contains_key(*name)) {
        return Err(OpsError::NoService {
            name: name.clone(),
            place: "these files".to_owned(),
            known: hashes.into_keys().collect(),
        });
    }
    hashes.retain(|key, _| names.contains(key));
    Ok(hashes)
}
