//! `envctl sign`: what runs in a container to make a database's certificate where the authority's key is.

use std::path::Path;

use super::{context::Context, error::CliError, exit::Exit};
use crate::{
    plan::SIGNING,
    proxy::{self, Folders},
};

/// Make or renew the certificate of a database (inside of a container)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The numbers of the server's user and group
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    owner: (u32, u32),
    #[arg(required = true)]
    names: Vec<String>,
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once(':').and_then(|(u, g)| Some((u.parse().ok()?, g.parse().ok()?)));
    numbers.ok_or_else(|| "two numbers such as 999:999".to_owned())
}

pub fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let [ca, own, public] = SIGNING.map(Path::new);
    let made = proxy::sign_for_database(&Folders { ca, own, public }, &args.names, args.owner)?;
    context.ui.say(if made { "signed a certificate" } else { "the certificate is good" });
    Ok(Exit::Done)
}
