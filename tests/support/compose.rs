//! Docker's own Compose: what envctl put on the engine is looked at with other eyes.

use std::{path::Path, process::Command, sync::OnceLock, time::Duration};

use super::{
    program::{self, Outcome},
    wait,
};

/// Has Compose say all of these words of a project, which it does once the containers have said and done so.
#[track_caller]
pub fn shows(project: &str, words: &[&str], wanted: &[&str]) {
    let mut last = None;
    let shown = || {
        let outcome = run(project, words);
        let shown = outcome.code == Some(0) && wanted.iter().all(|it| outcome.stdout.contains(it));
        last = Some(outcome);
        shown
    };
    let shown = wait::is_true(Duration::from_secs(60), shown);
    assert!(shown, "{wanted:?} not shown: {}", last.expect("it ran once"));
}

/// `docker compose -p PROJECT WORDS…`, in a folder without Compose files. Where the machine has no Compose 2, one is
/// unpacked: no test goes without.
fn run(project: &str, words: &[&str]) -> Outcome {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/docker-compose");
        program::run(&mut Command::new(script)).ok().stdout.trim().to_owned()
    });
    program::run(Command::new(program).args(["-p", project]).args(words).current_dir("/"))
}
