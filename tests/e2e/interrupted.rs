//! Ctrl-C, and two at once: the lock is given back, the live color serves on, and the next command goes on from there.

use std::time::Duration;

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    program::Running,
    wait,
};

const SOON: Duration = Duration::from_secs(60);

fn wait_for_green(sandbox: &Sandbox) {
    let green = sandbox.thing("green-web-1");
    wait::until_true(SOON, "green's container runs", || {
        let state = engine::docker(&format!("inspect --format {{{{.State.Running}}}} {green}"));
        state.stdout.trim() == "true"
    });
}

fn lock(sandbox: &Sandbox) -> Option<String> {
    engine::container(&sandbox.thing("lock"))
}

/// Interrupts what runs, and looks that everything is in order after it.
#[track_caller]
fn interrupt(sandbox: &Sandbox, running: Running, signal: &str) {
    running.signal(signal);
    let ended = running.end(Duration::from_secs(30)).code(130);
    let ended = ended.says("stopped after ").says(" steps");
    let _ = ended.says("interrupted").says("running the command again goes on from here");
    assert_eq!(lock(sandbox), None);
    assert_eq!(sandbox.color(), "blue");
    assert_eq!(sandbox.ask("/mark"), "first");
}

#[test]
fn an_interrupted_deployment_gives_the_lock_back_and_the_next_one_works() {
    let sandbox = Sandbox::waiting();
    let deploy = sandbox.envctl("deploy green").start();
    wait_for_green(&sandbox);
    interrupt(&sandbox, deploy, "INT");
    assert!(sandbox.ok("history").stdout.contains("interrupted after"));

    // SIGTERM, which a pipeline sends, ends in the same way, and so does one in the middle of a build.
    sandbox.write(
        "web/Dockerfile",
        "FROM debian:trixie-slim\nCOPY serve.pl /\nRUN sleep 60\nCMD [\"perl\", \"/serve.pl\"]\n",
    );
    let mut up = sandbox.envctl("up --verbose").start();
    up.wait_for("sleep 60", SOON);
    interrupt(&sandbox, up, "TERM");

    sandbox.add_web("web");
    sandbox.edit("compose.yaml", "/ready", "/serve.pl");
    let _ = sandbox.ok("up").says("green is live");
    assert_eq!(sandbox.color(), "green");
}

#[test]
fn two_at_once_the_second_waits_or_says_who_holds_the_lock() {
    let sandbox = Sandbox::waiting();
    let first = sandbox.envctl("deploy green").start();
    wait_for_green(&sandbox);

    let refused = sandbox.envctl("switch green --lock-wait 1s").run().code(7);
    let refused = refused.says("`deploy green` of tester@").says("holds the lock since");
    assert!(refused.took < Duration::from_secs(20), "{refused}");
    let refused = sandbox.envctl("durable down --lock-wait 0s").run();
    assert!(refused.code == Some(7), "{refused}");
    // Commands that read wait for nobody, and say what is under way; ended by Ctrl-C they have nothing to say of it.
    let _ = sandbox.ok("status").shows("under way: `deploy green` of tester@");
    let watch = sandbox.envctl("status --watch").start();
    wait::until_true(SOON, "the status is shown", || watch.shown().contains("under way"));
    watch.signal("INT");
    let watch = watch.end(SOON).code(130);
    assert_eq!(watch.stderr, "", "{watch}");

    let mut second = sandbox.envctl("deploy green").start();
    second.wait_for("waiting for the lock: `deploy green` of tester@", SOON);
    // One that is interrupted while it waits takes nothing from the one that holds the lock.
    let held = lock(&sandbox);
    assert!(held.is_some());
    let mut third = sandbox.envctl("deploy").start();
    third.wait_for("waiting for the lock", SOON);
    third.signal("INT");
    let _ = third.end(Duration::from_secs(30)).code(130);
    assert_eq!(lock(&sandbox), held);

    let green = sandbox.thing("green-web-1");
    let first_id = engine::container(&green).unwrap();
    let _ = engine::ask(&["exec", &green, "touch", "/ready"]);
    let _ = first.end(SOON).ok().says("green holds release");
    // Now it is the second one's turn, with a container of its own.
    wait::until_true(SOON, "the second deployment has its own container", || {
        engine::container(&green).is_some_and(|id| id != first_id)
    });
    wait_for_green(&sandbox);
    let _ = engine::ask(&["exec", &green, "touch", "/ready"]);
    let _ = second.end(SOON).ok().says("green holds release");
    assert_eq!(lock(&sandbox), None);
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("green")).len(), 1);
}

#[test]
fn the_lock_of_one_that_was_killed_is_taken_over_at_once() {
    let sandbox = Sandbox::waiting();
    let deploy = sandbox.envctl("deploy green").start();
    wait_for_green(&sandbox);
    let _ = deploy.kill();
    assert!(lock(&sandbox).is_some());
    sandbox.edit("compose.yaml", "/ready", "/serve.pl");
    let next = sandbox.envctl("deploy green --lock-wait 0s").run().ok();
    let _ = next.says("died under way, at step ").says("going on from what it left");
    let _ = sandbox.ok("history").shows("crashed at step ");
    assert_eq!(lock(&sandbox), None);
}

#[test]
fn environments_and_projects_do_not_wait_for_each_other() {
    let sandbox = Sandbox::waiting();
    let yaml = sandbox.read("envctl.yaml");
    sandbox.write(
        "envctl.yaml",
        &format!("{yaml}environments:\n  devlocal: {{}}\n  ci: {{ port_offset: 1 }}\n"),
    );
    let deploy = sandbox.envctl("deploy green").start();
    wait_for_green(&sandbox);
    sandbox.edit("compose.yaml", "/ready", "/serve.pl");
    let _ = sandbox.ok("up --env ci --lock-wait 1s").says("blue is live");
    assert!(lock(&sandbox).is_some());
    let ci = crate::support::http::get(sandbox.ports.get(1), "/").status(200);
    assert_eq!(ci.color(), "blue");
    let _ = deploy.kill();
    let other = Sandbox::small();
    let _ = other.ok("up --lock-wait 1s").says("blue is live");
}
