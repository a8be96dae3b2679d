//! Deployments that fail half-way: what went wrong is told with its evidence, the live color serves on untouched, and what
//! did not come up is left for a look.

mod causes;
mod definitions;
mod later;
mod removed;

use std::time::{Duration, Instant};

use crate::support::{
    Outcome, Sandbox,
    engine::{self, Kind},
};

/// A project whose blue is live, and which then gets a web service that does not come up.
fn live() -> (Sandbox, String) {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    let id = engine::container(&sandbox.thing("blue-web-1")).unwrap();
    (sandbox, id)
}

/// Deploys what must fail, and looks that blue serves as if nothing had been.
#[track_caller]
fn fails(sandbox: &Sandbox, blue: &str, code: i32) -> Outcome {
    let failed = sandbox.envctl("deploy green").run().code(code);
    assert_eq!(sandbox.color(), "blue");
    assert_eq!(sandbox.ask("/mark"), "first");
    assert_eq!(engine::container(&sandbox.thing("blue-web-1")).as_deref(), Some(blue));
    assert_eq!(sandbox.live().as_deref(), Some("blue"));
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("lock")), [""; 0]);
    failed.says("no traffic was moved").says("envctl logs green")
}

/// A project of these services, as the `services:` of a Compose file, two spaces in.
fn services(yaml: &str) -> Sandbox {
    Sandbox::of(&[
        ("envctl.yaml", "name: @NAME@\napp: { compose: [compose.yaml] }\n"),
        ("compose.yaml", &format!("services:\n{yaml}")),
    ])
}

/// What a failed command said last: from its first `error:` on, without what differs from run to run.
fn told(sandbox: &Sandbox, failed: &Outcome) -> String {
    let at = failed.stderr.find("error: ").unwrap_or_else(|| panic!("no error: {failed}"));
    let folder = sandbox.path("").display().to_string();
    let mut text = failed.stderr[at..].replace(folder.trim_end_matches('/'), "FOLDER");
    for (pattern, instead) in [
        (sandbox.name.as_str(), "NAME"),
        (r"\b[0-9a-f]{12,64}\b", "ID"),
        (r"\d+ times", "N times"),
        (r"connection: Get .*", "connection: …"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// Deploys a project that cannot come up, and returns what is said of it.
#[track_caller]
fn fails_with(sandbox: &Sandbox, code: i32, more: &str) -> String {
    let failed = sandbox.envctl(&format!("deploy {more}")).run().code(code);
    assert_eq!(sandbox.live(), None);
    told(sandbox, &failed)
}

#[test]
fn a_service_that_never_gets_healthy_ends_with_6_and_its_evidence() {
    let (sandbox, blue) = live();
    sandbox.edit(
        "compose.yaml",
        "    ports:",
        "    healthcheck:\n      \
           test: [CMD-SHELL, \"echo the disk is made of cheese; exit 3\"]\n      \
           interval: 1s\n      timeout: 2s\n      retries: 2\n    ports:",
    );
    let started = Instant::now();
    let failed = sandbox.envctl("deploy green --wait-timeout 4s").run().code(6);
    assert!(started.elapsed() < Duration::from_secs(60), "{failed}");
    let failed = failed.says("web").says("the disk is made of cheese").says("exit code 3");
    let _ = failed.says("serving as green on port 8080").says("did not get healthy within 4 s");
    let _ = fails(&sandbox, &blue, 6);

    // What did not come up stands still, and can be looked at.
    let state =
        engine::ask(&["inspect", "--format", "{{.State.Running}}", &sandbox.thing("green-web-1")]);
    assert_eq!(state, "true");
    let _ = sandbox.ok("logs green").shows("serving as green");
    let _ = sandbox.ok("status").shows("green").shows("blue is live");
    let _ = sandbox.envctl("switch green").run().code(1).says("green has no release");
    let history = sandbox.ok("history").stdout;
    assert!(history.contains("failed after"), "{history}");

    // Mended, the same command does it.
    sandbox.edit("compose.yaml", "exit 3", "exit 0");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("switch green");
    assert_eq!(sandbox.color(), "green");
}

#[test]
fn a_service_that_ends_at_once_tells_its_exit_code_and_its_last_words() {
    let (sandbox, blue) = live();
    sandbox.edit(
        "compose.yaml",
        "    ports:",
        "    command: [sh, -c, \"echo no flour left >&2; exit 9\"]\n    ports:",
    );
    let failed = fails(&sandbox, &blue, 6).says("ended with exit code 9").says("no flour left");
    assert!(failed.took < Duration::from_secs(60), "it waited for what was over: {failed}");
    // The same with a restart policy: it comes back again and again.
    sandbox.edit("compose.yaml", "    ports:", "    restart: always\n    ports:");
    let _ = fails(&sandbox, &blue, 6).says("no flour left");
}

#[test]
fn a_service_that_does_not_listen_on_its_routes_port_is_not_ready() {
    let (sandbox, blue) = live();
    sandbox.edit("compose.yaml", "MARK:", "PORT: 9090\n      MARK:");
    let failed = sandbox.envctl("deploy green --wait-timeout 3s").run().code(6);
    let _ = failed.says("green-web:8080").says("serving as green on port 9090");
    assert_eq!(sandbox.color(), "blue");
    assert_eq!(engine::container(&sandbox.thing("blue-web-1")), Some(blue));
}

#[test]
fn failed_checks_keep_the_traffic_where_it_is() {
    let (sandbox, blue) = live();
    let yaml = sandbox.read("envctl.yaml");
    let checks = "checks:\n  - { path: /mark, contains: second }\n  - { path: /, status: 204 }\n";
    sandbox.write("envctl.yaml", &format!("{yaml}{checks}"));
    sandbox.mark_web("second");
    let failed = sandbox.envctl("up").run().code(6);
    let _ = failed.says("status 200 instead of 204").says("the tests of green failed: 1 of 2");
    assert_eq!(sandbox.color(), "blue");
    let _ = sandbox.envctl("test green").run().code(6).says("1 of 2 checks passed");
    let json = sandbox.envctl("test green --json").run().code(6).json();
    assert_eq!(json["passed"], false);
    let _ = sandbox.envctl("switch green").run().code(6).says("--force");
    assert_eq!(engine::container(&sandbox.thing("blue-web-1")), Some(blue));
    let _ = sandbox.ok("switch green --force");
    assert_eq!(sandbox.color(), "green");
    let _ = sandbox.ok("history").shows("(forced)");
}

#[test]
fn a_color_that_died_does_not_get_the_traffic() {
    let (sandbox, _) = live();
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    let _ = engine::docker(&format!("kill {}", sandbox.thing("green-web-1"))).ok();
    let refused = sandbox.envctl("switch green").run().code(6);
    let _ = refused.says("green/web was killed (exit code 137)").says("serving as green");
    assert_eq!(sandbox.color(), "blue");
    // Nor by force: it could answer nothing.
    let _ = sandbox.envctl("switch green --force").run().code(6).says("green-web:8080");
    assert_eq!(sandbox.color(), "blue");
}
