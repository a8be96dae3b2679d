//! A color under watch after it got traffic, on a real engine.

use std::{thread, time::Duration};

use crate::support::{Sandbox, http, program::Outcome, wait};

const SOON: Duration = Duration::from_secs(60);

/// Runs a command, and asks this path again and again once `begun` holds, until it has ended.
fn under(sandbox: &Sandbox, words: &str, path: &str, begun: impl Fn() -> bool) -> Outcome {
    let mut running = sandbox.envctl(words).start();
    wait::until_true(SOON, "it got traffic", || {
        assert!(!running.is_over(), "`{words}` ended too soon: {}", running.said());
        begun()
    });
    let port = sandbox.ports.get(0);
    while !running.is_over() {
        let _ = http::send(port, "GET", path, &[], b"");
        thread::sleep(Duration::from_millis(20));
    }
    running.end(SOON)
}

#[test]
fn a_color_that_fails_or_is_slow_under_watch_goes_back_and_one_that_holds_stays() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    let is_live = |color: &str| sandbox.live().as_deref() == Some(color);

    let plan = sandbox.ok("switch green --bake 5m --max-p99 800ms --dry-run");
    let _ = plan.shows("watch green for 5 min 0 s").shows("at most 1 % may fail, 99 % have 800 ms");
    let failing = "/ask/127.0.0.1/1";
    let failed = under(&sandbox, "switch green --bake 5m", failing, || is_live("green"));
    let _ = failed.code(6).says("green did not hold").says("all of the traffic is on blue again");
    assert!(is_live("blue"));
    let words = "switch green --bake 5m --max-errors 100% --max-p99 50ms";
    let slow = under(&sandbox, words, "/slow?ms=300", || is_live("green"));
    let _ = slow.code(6).says("99 % of").says("50 ms may be");
    assert!(is_live("blue"));
    let share = || sandbox.ok("status --json").json()["canary"]["weight"] == 50;
    let shared = under(&sandbox, "switch green --weight 50 --bake 5m", failing, share);
    let _ = shared.code(6).says("all of the traffic is on blue again");
    assert!(sandbox.ok("status --json").json()["canary"].is_null());
    let _ = sandbox.ok("history").shows("failed after").shows("did not hold");

    let held = under(&sandbox, "switch green --bake 10s --json", "/mark", || is_live("green"));
    let figures = held.code(0).says("green held:").json()["bake"].clone();
    assert!(figures["requests"].as_u64() > Some(0), "{figures}");
    assert_eq!(figures["failed"], 0);
    assert!(is_live("green"));

    let interrupted = sandbox.envctl("switch blue --bake 5m").start();
    wait::until_true(SOON, "blue is live", || is_live("blue"));
    interrupted.signal("INT");
    let _ = interrupted.end(SOON).code(130).says("blue keeps the traffic that it has");
    assert!(is_live("blue"));
    let _ = sandbox.envctl("switch green --max-errors 5%").run().code(2);
}
