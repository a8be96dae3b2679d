//! Docker's own Compose: what envctl put on the engine is looked at with other eyes.

use std::{path::Path, process::Command, sync::OnceLock};

use super::program::{self, Outcome};

/// `docker compose -p PROJECT WORDS…`, in a folder without Compose files. Where the machine has no Compose 2, one is
/// unpacked: no test goes without.
#[track_caller]
pub fn run(project: &str, words: &[&str]) -> Outcome {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/docker-compose");
        program::run(&mut Command::new(script)).ok().stdout.trim().to_owned()
    });
    program::run(Command::new(program).args(["-p", project]).args(words).current_dir("/"))
}
