//! The proof that a switch is not noticed: a thousand of them under every kind of traffic, measured by `bench switch` as
//! anyone can. `scripts/bench proof` does the same for longer, beside other proxies.

use serde_json::Value;

use crate::support::Sandbox;

const SWITCHES: u64 = 1000;
/// What a busy test machine must do at least, with a build for debugging; the figure itself is printed.
const LEAST: u64 = 10_000;

const COMPOSE: &str = "services:\n\
    \x20 web:\n\
    \x20   build: { context: mixed, args: { BASE_IMAGE: \"${BASE_IMAGE:-debian:trixie-slim}\" } }\n\
    \x20   healthcheck:\n\
    \x20     test: [CMD, python3, -c, \"import socket; [socket.create_connection(('127.0.0.1', p)) for p in (80, 8080)]\"]\n\
    \x20     retries: 60\n\
    \x20   stop_grace_period: 2s\n";

const PROJECT: &str = "name: @NAME@\n\
    app: { compose: [compose.yaml] }\n\
    proxy:\n\
    \x20 routes:\n\
    \x20   - { listen: @PORT0@, paths: { /: web:80, /slow: web:8080, /upload: web:8080, /events: web:8080, /ws: web:8080 } }\n\
    \x20   - { listen: @PORT1@, tls: true, to: web:80 }\n";

#[test]
fn a_thousand_switches_under_every_kind_of_traffic_lose_nothing() {
    let sandbox = Sandbox::of(&[("envctl.yaml", PROJECT), ("compose.yaml", COMPOSE)]).released();
    sandbox.take("bench/mixed", "mixed");
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    let load = "--connections 32 --rate 7000 --path / --long /slow?ms=30000 --long /slow?ms=30000 --long /download \
        --upload /upload --upload-size 50 --websocket /ws --websocket /ws --events /events --events /events";
    let words = format!("bench switch --switches {SWITCHES} --duration 150s --json {load}");
    let outcome = sandbox.envctl(&words).run();
    println!("{}", outcome.stdout);
    let found = outcome.ok().json();

    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{found:#}"));
    assert!(number(&found["switches"]["count"]) >= SWITCHES);
    assert_eq!((number(&found["colorless"]), number(&found["gaps"])), (0, 0), "{found:#}");
    assert!(number(&found["requests"]) >= LEAST, "{found:#}");
    let kinds = found["kinds"].as_array().unwrap();
    let of_kind = |name: &str| kinds.iter().find(|kind| kind["kind"] == name);
    for name in ["kept alive", "new connection", "HTTP/2", "long", "upload"] {
        let kind = of_kind(name).unwrap_or_else(|| panic!("no {name}: {found:#}"));
        assert!(number(&kind["requests"]) > 0, "{kind}");
    }
    for name in ["WebSocket", "event stream"] {
        let kind = of_kind(name).unwrap_or_else(|| panic!("no {name}: {found:#}"));
        assert!(number(&kind["messages"]) > 10, "{kind}");
    }
    assert_eq!(sandbox.live().as_deref(), Some("blue"));
}
