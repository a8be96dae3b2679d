//! Help, version and completions.

use std::path::Path;

use super::envctl;

#[test]
fn help_names_every_command_and_hides_the_proxys() {
    let (code, out, _) = envctl(Path::new("/"), &["--help"]);
    assert_eq!(code, Some(0));
    for command in [
        "up",
        "build",
        "deploy",
        "test",
        "switch",
        "pause",
        "resume",
        "maintenance",
        "rollback",
        "scale",
        "status",
        "graph",
        "logs",
        "history",
        "cleanup",
        "down",
        "plan",
        "config",
        "init",
        "durable",
        "credentials",
        "bench",
        "ci",
        "doctor",
        "completions",
    ] {
        assert!(
            out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command}:\n{out}"
        );
    }
    assert!(!out.contains("proxy serve"));
}

#[test]
fn every_command_has_help() {
    for command in [
        &["up"][..],
        &["deploy"],
        &["test"],
        &["switch"],
        &["pause"],
        &["resume"],
        &["maintenance"],
        &["rollback"],
        &["scale"],
        &["status"],
        &["logs"],
        &["history"],
        &["cleanup"],
        &["down"],
        &["plan"],
        &["config"],
        &["init"],
        &["durable"],
        &["durable", "up"],
        &["durable", "down"],
        &["durable", "status"],
        &["durable", "logs"],
        &["durable", "shell"],
        &["credentials"],
        &["bench"],
        &["bench", "switch"],
        &["doctor"],
        &["completions"],
        &["proxy"],
    ] {
        let (code, out, err) = envctl(Path::new("/"), &[command, &["--help"]].concat());
        assert_eq!(code, Some(0), "{command:?}: {err}");
        assert!(out.contains("Usage:"), "{command:?}: {out}");
    }
}

#[test]
fn version_and_completions_go_to_standard_output() {
    let (code, out, _) = envctl(Path::new("/"), &["--version"]);
    assert_eq!((code, out.trim()), (Some(0), concat!("envctl ", env!("CARGO_PKG_VERSION"))));
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = envctl(Path::new("/"), &["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(out.contains("envctl"), "{shell}");
    }
}
