//! What the proxy counts and writes down of the traffic, and how it is held and turned away, on a real engine.

use std::time::Duration;

use crate::support::{Sandbox, http, wait};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn requests_are_counted_written_down_held_and_turned_away() {
    let sandbox = Sandbox::small();
    let yaml = sandbox.read("envctl.yaml");
    let metrics = sandbox.ports.get(5);
    let proxy =
        format!("proxy:\n  metrics: {metrics}\n  access_log: json\n  maintenance: closed.html\n");
    sandbox.write("envctl.yaml", &format!("{yaml}{proxy}"));
    sandbox.write("closed.html", "<h1>closed for an hour</h1>");
    let _ = sandbox.ok("up").says("blue is live");
    let port = sandbox.ports.get(0);
    assert_eq!(sandbox.ask("/mark"), "first");
    let _ = sandbox.ask("/other?token=hidden");

    let counted = http::get(metrics, "/metrics").status(200).text();
    let line = counted.lines().find(|line| {
        line.starts_with("envctl_requests_total{") && line.contains(&format!("\"{port}\""))
    });
    assert!(line.is_some_and(|line| line.contains("blue") && line.contains("2xx")), "{counted}");
    wait::until_true(SOON, "the request is in the access log", || {
        let log = sandbox.ok("logs --access").stdout;
        assert!(!log.contains("hidden"), "{log}");
        log.contains("\"/other\"") && log.contains("\"blue\"")
    });

    let _ = sandbox.ok("pause");
    let held = std::thread::spawn(move || http::get(port, "/mark"));
    wait::until_true(SOON, "a request is held", || {
        sandbox.ok("status").stdout.contains("paused: 1 request held")
    });
    assert!(!held.is_finished(), "it was let through");
    let _ = sandbox.ok("resume");
    assert_eq!(held.join().unwrap().status(200).text(), "first");

    let _ = sandbox.ok("maintenance on");
    let page = http::send(port, "GET", "/", &[("accept", "text/html")], b"").status(503).text();
    assert!(page.contains("closed for an hour"), "{page}");
    assert_eq!(http::get(sandbox.ports.get(10), "/mark").status(200).text(), "first");
    let _ = sandbox.ok("maintenance off");
    assert_eq!(sandbox.ask("/mark"), "first");
    let _ = sandbox.ok("history").shows("maintenance on").shows("maintenance off");
}
