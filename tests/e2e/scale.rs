//! Replicas of the live color come and go under load, and one that dies is seen while the others serve.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use crate::support::{Sandbox, engine, load::Load, wait};

#[test]
fn scaling_up_and_down_under_load_loses_nothing() {
    let sandbox = Sandbox::small();
    sandbox.edit(
        "compose.yaml",
        "    stop_grace_period",
        "    mem_limit: 64m\n    stop_grace_period",
    );
    let _ = sandbox.ok("up");
    let port = sandbox.ports.get(0);
    let load = Load::default();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.client("kept", port, Duration::from_millis(3), |c| c.get("/")));
        }
        for _ in 0..2 {
            scope.spawn(|| load.client("slow", port, Duration::ZERO, |c| c.get("/slow?ms=400")));
        }
        scope.spawn(|| {
            while load.goes_on() {
                load.client_once("new connection", port, |c| c.get("/"));
                thread::sleep(Duration::from_millis(20));
            }
        });
        let stopped = StopOnDrop(&load);
        let _ = sandbox.ok("scale web=3").says("blue/web has 3 replicas");
        let status = sandbox.ok("status --json").json();
        for service in status["colors"]["blue"]["services"].as_array().unwrap() {
            assert_eq!(service["memory_limit"], 64 << 20, "{service:#}");
        }
        let mut hosts = BTreeSet::new();
        wait::until_true(Duration::from_secs(30), "each replica gets its share", || {
            hosts.insert(sandbox.ask("/env/HOSTNAME"));
            hosts.len() == 3
        });
        let _ = sandbox.ok("scale web=1").says("blue/web has 1 replica");
        let rest = load.total() + 100;
        wait::until_true(Duration::from_secs(30), "the one that is left serves", || {
            load.total() > rest
        });
        drop(stopped);
    });
    let wrong = load.wrong("blue", &[]);
    println!("{} requests, {:.0} a second", load.total(), load.rate(started, Instant::now()));
    assert!(wrong.is_empty(), "{} of {} failed: {wrong:#?}", wrong.len(), load.total());
    for kind in ["kept", "slow", "new connection"] {
        assert!(load.count(kind) > 0, "no {kind}");
    }
    let status = sandbox.ok("status --json").json();
    assert_eq!(status["colors"]["blue"]["services"].as_array().unwrap().len(), 1);
}

struct StopOnDrop<'a>(&'a Load);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn a_replica_that_dies_is_seen_in_status_while_the_others_serve() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("deploy --replicas web=2");
    let _ = sandbox.ok("switch");
    let dead = sandbox.thing("blue-web-2");
    let _ = engine::docker(&format!("kill --signal KILL {dead}")).ok();
    for _ in 0..20 {
        let _ = sandbox.ask("/");
    }
    let status = sandbox.ok("status --json").json();
    let services = status["colors"]["blue"]["services"].as_array().unwrap();
    let states: Vec<_> =
        services.iter().map(|one| (one["state"].as_str().unwrap(), &one["exit_code"])).collect();
    assert_eq!(states[0].0, "running");
    assert_eq!((states[1].0, states[1].1.as_i64()), ("stopped", Some(137)));
    assert!(services[0]["memory"].as_u64().unwrap() > 0, "{services:#?}");
    let _ = sandbox.ok("status").shows("web-2").shows("stopped (137)");
    // The same number again starts it.
    let _ = sandbox.ok("scale web=2");
    assert_eq!(
        sandbox.ok("status --json").json()["colors"]["blue"]["services"][1]["state"],
        "running"
    );
}
