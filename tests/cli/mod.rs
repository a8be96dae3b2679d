//! The command line as a process: help, exit codes, what wrong input is answered with. No engine is asked.

mod ci;
mod config;
mod errors;
mod help;
mod init;
mod troubleshooting;

use std::{
    path::Path,
    process::{Command, Output},
};

/// Runs envctl in a folder with a bare environment and an engine that does not exist.
fn envctl(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_envctl"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn project(envctl_yaml: &str, compose_yaml: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("envctl.yaml"), envctl_yaml).unwrap();
    std::fs::write(folder.path().join("compose.yaml"), compose_yaml).unwrap();
    folder
}
