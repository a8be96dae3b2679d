//! `envctl tls`.

use std::{path::Path, process::Stdio};

use super::{context::Context, error::CliError, exit::Exit};
use crate::{base::files, model::Certificates, ops};

/// Show, renew and trust the certificates of TLS routes
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the certificates that the proxy shows, their names and ends
    Show {
        /// Print it as JSON
        #[arg(long, conflicts_with = "ca")]
        json: bool,
        /// Print the local authority's certificate (PEM)
        #[arg(long)]
        ca: bool,
    },
    /// Have this machine's programs trust the local authority; needs root
    ///
    /// Browsers with a store of their own (Firefox) have to be told by hand: `envctl tls show --ca > envctl-ca.crt`, and
    /// import that file.
    Trust,
    /// Read the certificate files of envctl.yaml again, and sign the local certificate anew; nothing is interrupted
    ///
    /// For example as the hook of what renews the files: `certbot renew --deploy-hook "envctl tls renew"`. The local
    /// certificate renews itself in time without this.
    Renew,
}

pub async fn run(context: &Context, args: &Args) -> Result<Exit, CliError> {
    let project = context.project()?;
    let engine = context.engine().await?;
    let session = context.session(&engine, &project, &(), None);
    let renew = matches!(args.command, Command::Renew);
    let certificates = ops::tls(&session, renew).await?;
    match args.command {
        Command::Show { ca: true, .. } => context.ui.data(&certificates.authority),
        Command::Show { json: true, .. } => context.ui.json(&certificates),
        Command::Show { .. } | Command::Renew => show(context, &certificates),
        Command::Trust => trust(context, &certificates.authority).await?,
    }
    Ok(Exit::Done)
}

fn show(context: &Context, certificates: &Certificates) {
    for one in &certificates.shown {
        let whose = match one.listen {
            None => "local authority".to_owned(),
            Some(port) if one.hosts.is_empty() => format!("file, port {port}"),
            Some(port) => format!("file, port {port} for {}", one.hosts.join(", ")),
        };
        context.ui.data(&format!("{whose}\n  until {}\n  {}\n", one.expires, one.names.join(", ")));
    }
}

/// Folders of certificates that a system trusts, and the program that takes them up.
const STORES: [(&str, &str); 3] = [
    ("/usr/local/share/ca-certificates", "update-ca-certificates"),
    ("/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
    ("/etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
];

async fn trust(context: &Context, authority: &str) -> Result<(), CliError> {
    let Some((folder, update)) = STORES.into_iter().find(|(folder, _)| Path::new(folder).is_dir())
    else {
        let words = "this system's store of certificates is not known; import what `envctl tls show --ca` prints";
        return Err(CliError::Usage(words.to_owned()));
    };
    let file = Path::new(folder).join("envctl-local-ca.crt");
    files::write_atomic(&file, authority.as_bytes(), 0o644).map_err(|error| {
        CliError::Usage(format!(
            "{error}; as root: `envctl tls show --ca > {} && {update}`",
            file.display()
        ))
    })?;
    let updated = tokio::process::Command::new(update)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await;
    match updated {
        Ok(status) if status.success() => {
            context.ui.say(&format!("trusted: `{}`", file.display()));
            Ok(())
        }
        _ => Err(CliError::Usage(format!(
            "`{}` is written; `{update}` has to be run",
            file.display()
        ))),
    }
}
