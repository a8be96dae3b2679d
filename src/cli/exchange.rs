//! `envctl exchange`: what runs in a container to put a copy of a database's data in the place of the data.

use std::{fs, path::PathBuf};

use super::{error::CliError, exit::Exit};
use crate::{
    base::files::{self, AtPath as _},
    ops::{KEPT, OpsError},
};

/// Put two folders into each other's places (inside of a container)
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take it back
    #[arg(long)]
    back: bool,
    data: PathBuf,
    copy: PathBuf,
    id: String,
}

/// The mark moves with the old data, in the same instant: where it lies tells whether that instant has been.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let done = if args.back {
        files::exchange(&args.data, &args.copy).and_then(|()| {
            let mark = args.data.join(KEPT);
            fs::remove_file(&mark).at(&mark)
        })
    } else {
        files::write_atomic(&args.data.join(KEPT), args.id.as_bytes(), 0o644)
            .and_then(|()| files::exchange(&args.data, &args.copy))
    };
    done.map_err(|error| OpsError::File(error).into()).map(|()| Exit::Done)
}
