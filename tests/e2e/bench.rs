//! `bench switch` measures what it says it does: on the real proxy, with colors that answer well and with one that does
//! not.

use std::time::Duration;

use crate::support::{Sandbox, wait};

/// Both colors stand, and blue is live.
fn both() -> Sandbox {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    sandbox
}

#[test]
fn a_bench_of_switches_counts_what_the_clients_saw_and_ends_on_the_color_that_was_live() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    let alone = sandbox.envctl("bench switch").run().code(1).says("green has no release");
    let _ = alone.says("`envctl deploy green` brings one up");
    let _ = sandbox.ok("deploy green");

    let words = "bench switch --switches 5 --duration 3s --rate 200 --path / --path /mark --long /slow?ms=300";
    let found = sandbox.ok(&format!("{words} --json")).says("6 switches: median").json();
    assert_eq!((&found["failed"], &found["colorless"]), (&0.into(), &0.into()), "{found:#}");
    assert_eq!((&found["live"], &found["switches"]["count"]), (&"blue".into(), &6.into()));
    let count = |kind: &str| {
        let kinds = found["kinds"].as_array().unwrap();
        let of_kind = kinds.iter().find(|found| found["kind"] == kind);
        of_kind.unwrap_or_else(|| panic!("{kind}: {found:#}"))["requests"].as_u64().unwrap()
    };
    let all = found["requests"].as_u64().unwrap();
    assert_eq!(all, count("kept alive") + count("new connection") + count("long"));
    assert!(count("new connection") > 0 && count("long") > 0, "{found:#}");
    let (during, outside) = (&found["during"], &found["outside"]);
    let plain = during["requests"].as_u64().unwrap() + outside["requests"].as_u64().unwrap();
    assert_eq!(plain + count("long"), all);
    assert!(during["p99"].as_f64() <= during["max"].as_f64(), "{during}");

    assert_eq!(sandbox.live().as_deref(), Some("blue"));
    assert_eq!(sandbox.color(), "blue");
    let _ = sandbox.ok("history").shows("bench switch");
}

#[test]
fn a_color_that_answers_otherwise_is_found_by_a_bench() {
    let sandbox = both();
    sandbox.edit(
        "web/serve.pl",
        "return ('200 OK', $mark) if",
        "return ('503 Service Unavailable', 'no') if",
    );
    let _ = sandbox.ok("deploy green");
    let words = "bench switch --switches 2 --duration 2s --rate 100 --path";
    let bad = sandbox.envctl(&format!("{words} /mark")).run().code(6);
    let _ = bad.says("of another status").says("status 503 in place of 200").shows("kept alive");
    let none = sandbox.envctl(&format!("{words} /ask/nowhere/1")).run().code(6);
    let _ = none.says("gives no answer to compare with: status 502");
    assert_eq!(sandbox.live().as_deref(), Some("blue"));
}

#[test]
fn an_interrupted_bench_leaves_the_color_live_that_was() {
    let sandbox = both();
    let mut bench = sandbox.envctl("bench switch --switches 2 --duration 1h").start();
    bench.wait_for("2 switches within 1 h 0 min under requests to", Duration::from_secs(60));
    // As if the bench had moved it: it switches twenty minutes later.
    let ctl = r#"{"id":"1","body":{"switch":{"to":"green","health":true}}}"#;
    let proxy = sandbox.thing("proxy");
    let told = format!("echo '{ctl}' | docker exec -i {proxy} /envctl proxy ctl");
    let mut shell = std::process::Command::new("sh");
    let told = crate::support::program::run(shell.args(["-c", &told])).ok();
    let _ = told.shows(r#""to":"green""#);
    bench.signal("INT");
    let _ = bench.end(Duration::from_secs(60)).code(130).says("interrupted");
    wait::until_true(Duration::from_secs(10), "blue is live", || {
        sandbox.live().as_deref() == Some("blue")
    });
    let _ = sandbox.ok("switch green").says("green is live");
}
