//! Images are built once, whoever shares them, and a context is sent once.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Outcome, Sandbox, engine};

/// Two services of one folder; each run of its instruction leaves another stamp.
fn project(builder: &str) -> Sandbox {
    let sandbox = Sandbox::small();
    let stamp = format!(
        "ENV BUILDER={builder}-@NAME@\nRUN date +%s%N >/stamp && echo stamped by {builder}\nCMD"
    );
    sandbox.edit("web/Dockerfile", "CMD", &stamp);
    let compose = sandbox.read("compose.yaml");
    let side =
        "  side:\n    build: web\n    environment: { PORT: 9000 }\n    stop_grace_period: 1s\n";
    sandbox.write("compose.yaml", &format!("{compose}{side}"));
    sandbox
}

fn deploy(sandbox: &Sandbox, builder: &str, color: &str) -> Outcome {
    let command = sandbox.envctl(&format!("deploy {color} --progress json"));
    command.env("DOCKER_BUILDKIT", builder).run().ok()
}

fn events(outcome: &Outcome) -> Vec<Value> {
    outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Lines of a build that say so, in order.
fn said<'a>(events: &'a [Value], text: &str) -> Vec<&'a str> {
    let lines = events.iter().filter_map(|event| event["line"].as_str());
    lines.filter(|line| line.contains(text)).collect()
}

fn shared_is_built_once(builder: &str, name: &str) {
    let sandbox = project(name);
    let first = deploy(&sandbox, builder, "blue");
    let stamped = format!("stamped by {name}");
    assert_eq!(said(&events(&first), &stamped), [stamped.as_str()], "{first}");
    let second = deploy(&sandbox, builder, "green");
    assert_eq!(said(&events(&second), &stamped), [""; 0], "{second}");
    for outcome in [second, deploy(&sandbox, builder, "green")] {
        let gets = |event: &&Value| event["action"] == "get-image";
        assert_eq!(events(&outcome).iter().filter(gets).count(), 0, "{outcome}");
    }
    let containers = ["blue-web-1", "blue-side-1", "green-web-1", "green-side-1"];
    let stamps: BTreeSet<String> =
        containers.map(|name| engine::ask(&["exec", &sandbox.thing(name), "cat", "/stamp"])).into();
    assert_eq!(stamps.len(), 1, "{stamps:?}");
}

#[test]
fn what_two_services_and_both_colors_share_is_built_once() {
    shared_is_built_once("1", "kit");
    shared_is_built_once("0", "classic");
}
