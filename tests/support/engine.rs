//! The real engine, asked through Docker's own client: what envctl did is looked at with other eyes.

use std::{path::Path, process::Command, sync::OnceLock, time::Duration};

use super::{
    program::{self, Outcome},
    wait,
};

/// Makes sure that an engine answers and has the base image. Without an engine every test that needs one fails.
pub fn ready() {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let version = program::run(Command::new("docker").arg("version"));
        if version.code != Some(0) {
            return Err(format!("these tests need a Docker engine (scripts/engine)\n{version}"));
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/base-image");
        let made = program::run(&mut Command::new(script));
        if made.code != Some(0) {
            return Err(format!("no base image\n{made}"));
        }
        Ok(())
    });
    if let Err(reason) = ready {
        panic!("{reason}");
    }
}

/// The base image of every Dockerfile here.
pub fn base() -> String {
    let named = std::env::var_os("BASE_IMAGE").and_then(|name| name.into_string().ok());
    named.unwrap_or_else(|| "debian:trixie-slim".to_owned())
}

/// Runs `docker` with words that have no spaces in them.
pub fn docker(words: &str) -> Outcome {
    program::run(Command::new("docker").args(words.split_whitespace()))
}

/// Runs `docker`, which has to end well, and returns the lines of its stdout.
#[track_caller]
pub fn lines(words: &str) -> Vec<String> {
    docker(words).ok().stdout.lines().map(str::to_owned).collect()
}

/// Runs `docker`, which has to end well, and returns its stdout without the ends.
#[track_caller]
pub fn ask(args: &[&str]) -> String {
    program::run(Command::new("docker").args(args)).ok().stdout.trim().to_owned()
}

/// Names of what carries a label (`key=value`), sorted.
#[track_caller]
pub fn labelled(kind: Kind, label: &str) -> Vec<String> {
    let (list, name) = kind.words();
    let mut found = lines(&format!("{list} --filter label={label} --format {name}"));
    found.sort();
    found
}

/// Names of all that begin with a prefix, whatever their labels, sorted.
#[track_caller]
pub fn named(kind: Kind, prefix: &str) -> Vec<String> {
    let (list, name) = kind.words();
    let mut found = lines(&format!("{list} --format {name}"));
    found.retain(|name| name.starts_with(prefix));
    found.sort();
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Container,
    Network,
    Volume,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Container, Self::Network, Self::Volume];

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Container => ("ps --all", "{{.Names}}"),
            Self::Network => ("network ls", "{{.Name}}"),
            Self::Volume => ("volume ls", "{{.Name}}"),
        }
    }
}

/// Whether a container is there to stay: one that the engine still removes for somebody who was killed is not.
pub fn leaves(name: &str) -> bool {
    !wait::is_true(Duration::from_millis(500), || container(name).is_none())
}

/// The id of the container of that name; none where there is none.
pub fn container(name: &str) -> Option<String> {
    let found = docker(&format!("inspect --type container --format {{{{.Id}}}} {name}"));
    (found.code == Some(0)).then(|| found.stdout.trim().to_owned())
}
