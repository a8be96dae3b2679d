//! The proxy's container stopped, killed and removed: what it knew is on the engine still.

use std::time::Duration;

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http, wait,
};

const SOON: Duration = Duration::from_secs(60);

fn two_colors() -> Sandbox {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    let _ = sandbox.ok("up").says("green is live");
    sandbox
}

fn commands(sandbox: &Sandbox) -> Vec<String> {
    let history = sandbox.ok("history --json").json();
    let all = history.as_array().unwrap().iter();
    all.map(|change| change["command"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_restarted_or_killed_proxy_serves_the_live_color_and_knows_the_history() {
    let sandbox = two_colors();
    let proxy = sandbox.thing("proxy");
    assert_eq!(commands(&sandbox), ["deploy", "switch", "deploy", "switch"]);

    let _ = engine::docker(&format!("restart --time 5 {proxy}")).ok();
    assert_eq!(sandbox.color(), "green");
    assert_eq!(sandbox.live().as_deref(), Some("green"));
    assert_eq!(commands(&sandbox).len(), 4);

    // Killed and left so: the commands that read find everything in the stopped container.
    let _ = engine::docker(&format!("kill {proxy}")).ok();
    assert_eq!(sandbox.live().as_deref(), Some("green"));
    assert_eq!(commands(&sandbox).len(), 4);
    let _ = engine::docker(&format!("start {proxy}")).ok();
    assert_eq!(sandbox.color(), "green");

    // The idle color is there too, and a switch works as before.
    let _ = sandbox.ok("rollback").says("blue is live");
    assert_eq!(sandbox.ask("/mark"), "first");
    assert_eq!(commands(&sandbox).last().map(String::as_str), Some("rollback"));
}

#[test]
fn a_deployment_makes_a_removed_proxy_anew_with_the_same_live_color() {
    let sandbox = two_colors();
    let proxy = sandbox.thing("proxy");
    let _ = engine::docker(&format!("rm --force {proxy}")).ok();
    assert_eq!(sandbox.live().as_deref(), Some("green"));
    assert_eq!(commands(&sandbox).len(), 4);
    assert_eq!(sandbox.things(Kind::Container).len(), 2, "what is asked leaves nothing behind");

    sandbox.mark_web("third");
    let _ = sandbox.ok("deploy").says("blue holds release");
    assert_eq!(sandbox.color(), "green");
    assert_eq!(sandbox.ask("/mark"), "second");
    let blue = http::wait_for(sandbox.ports.get(10), "/mark", SOON);
    assert_eq!(blue.text(), "third");
    let _ = sandbox.ok("switch blue");
    assert_eq!(sandbox.ask("/mark"), "third");
}

#[test]
fn an_up_starts_a_stopped_proxy() {
    let sandbox = two_colors();
    let _ = engine::docker(&format!("stop --time 5 {}", sandbox.thing("proxy"))).ok();
    let _ = sandbox.ok("up");
    wait::until_true(SOON, "the page answers", || {
        http::get(sandbox.ports.get(0), "/mark").text() == "second"
    });
}
