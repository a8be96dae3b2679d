//! The demo from nothing to its second release: what the README promises, in its order.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    Sandbox, compose,
    customer::Customer,
    engine::{self, Kind},
    http::{self, Connection},
    wait,
};

const FRONTEND: u16 = 0;
const FRONTEND_TLS: u16 = 1;
const API_TLS: u16 = 2;
const MARIADB: u16 = 3;
const BLUE: u16 = 10;
const GREEN: u16 = 20;

#[test]
fn the_demo_goes_from_nothing_to_its_second_release_and_keeps_its_data() {
    let sandbox = Sandbox::demo();
    let port = |number: u16| sandbox.ports.get(number);

    // Everything comes up by one command, and running it again changes nothing.
    let first = sandbox.ok("up");
    println!("first `up`: {:.1} s", first.took.as_secs_f64());
    let first = first.says("blue is live");
    assert!(first.stderr.contains(&format!("http://127.0.0.1:{}", port(FRONTEND))), "{first}");
    let ids = || {
        engine::lines(&format!(
            "ps --quiet --no-trunc --filter label={}={}",
            "dev.envctl.project", sandbox.name
        ))
    };
    let before = ids();
    let again = sandbox.ok("up").says("up to date");
    println!("`up` again: {} ms", again.took.as_millis());
    let _ =
        sandbox.ok("graph --format svg").shows("<svg").shows("order-processor").shows("mariadb");
    assert_eq!(ids(), before);

    // The page and the API, over HTTP and over TLS with the certificate verified.
    let page = http::get(port(FRONTEND), "/").status(200);
    assert_eq!(page.color(), "blue");
    assert!(page.text().contains("blue"), "{page}");
    assert_eq!(http::get(port(FRONTEND), "/health").status(200).json()["status"], "ok");
    let authority = sandbox.authority();
    for (number, path) in [(FRONTEND_TLS, "/"), (API_TLS, "/health")] {
        let mut connection = Connection::open_tls(port(number), &authority).unwrap();
        assert_eq!(connection.get(path).unwrap().status(200).color(), "blue");
    }
    let _ = http::get(port(FRONTEND), "/nothing").status(404);

    // A customer of blue.
    let customer = Customer::register(port(FRONTEND), "ada");
    customer.order(port(FRONTEND), "tea");
    customer.until_orders(port(FRONTEND), &[("tea", "blue")]);

    // Green comes up beside it: only its preview shows it.
    let _ = sandbox.ok("plan deploy").shows("green");
    let _ = sandbox.envctl("plan deploy --exit-code").run().code(4);
    let _ = sandbox.envctl("deploy blue").run().code(1).says("blue is live");
    let _ = sandbox.envctl("switch green").run().code(1).says("green has no release");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.envctl("switch green").run().code(1).says("green was not tested");
    let _ = sandbox.ok("test green").says("3 of 3 checks passed");
    for (number, color) in
        [(FRONTEND, "blue"), (FRONTEND + BLUE, "blue"), (FRONTEND + GREEN, "green")]
    {
        assert_eq!(http::get(port(number), "/").status(200).color(), color);
        assert_eq!(http::get(port(number), "/health").status(200).color(), color);
    }

    // The traffic moves, and takes the customer along.
    let switched = sandbox.ok("switch green").says("green is live");
    println!("`switch`: {} ms", switched.took.as_millis());
    assert_eq!(http::get(port(FRONTEND), "/").status(200).color(), "green");
    assert_eq!(customer.orders(port(FRONTEND)), [("tea", "blue")]);
    customer.order(port(FRONTEND), "milk");
    let both = [("tea", "blue"), ("milk", "green")];
    customer.until_orders(port(FRONTEND), &both);
    let _ = sandbox.ok("switch green").says("green is live already");

    // What the reading commands say of it.
    readers(&sandbox);

    // Back and forth, then blue goes, and comes back from what was kept of it.
    let _ = sandbox.ok("rollback").says("blue is live");
    assert_eq!(http::get(port(FRONTEND), "/health").color(), "blue");
    let _ = sandbox.ok("rollback").says("green is live");
    let _ = sandbox.envctl("cleanup green").run().code(1).says("green is live");
    let _ = sandbox.ok("cleanup").says("blue is cleaned up");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("blue-")), [""; 0]);
    assert_eq!(engine::named(Kind::Network, &sandbox.thing("blue-")), [""; 0]);
    let _ = sandbox.ok("cleanup").says("nothing to clean up");
    assert_eq!(customer.orders(port(FRONTEND)), both);
    let _ = sandbox.ok("rollback").says("blue is live");
    assert_eq!(http::get(port(FRONTEND), "/health").color(), "blue");
    assert_eq!(customer.orders(port(FRONTEND)), both);
    let _ = sandbox.ok("rollback").says("green is live");
    let _ = sandbox.ok("cleanup").says("blue is cleaned up");
    let _ = http::get(port(FRONTEND + BLUE), "/").status(503);

    // The durable layer goes down and comes up, and has everything still.
    let _ = sandbox.ok("durable down --confirm devlocal").says("its data stays");
    assert_eq!(engine::container(&sandbox.thing("durable-mariadb")), None);
    let _ = http::get(port(FRONTEND), "/health").status(503);
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    wait::until_true(Duration::from_secs(60), "the API finds its database again", || {
        http::get(port(FRONTEND), "/health").status == 200
    });
    assert_eq!(customer.orders(port(FRONTEND)), both);
    let returned = Customer::log_in(port(FRONTEND), &customer.email);
    assert_eq!(returned.orders(port(FRONTEND)), both);

    // All of it goes as the README says.
    let _ = sandbox.ok("down --confirm devlocal").says("the app is down");
    let _ = sandbox.ok("durable down --volumes --confirm devlocal").says("its data deleted");
    let stays = ["ca", "proxy-state"].map(|rest| sandbox.thing(rest)).to_vec();
    assert_eq!(Kind::ALL.map(|kind| sandbox.things(kind)), [vec![], vec![], stays]);
}

fn readers(sandbox: &Sandbox) {
    // The engine's own word on health comes with the interval of its check.
    let status =
        wait::until(Duration::from_secs(60), "the engine calls the durable layer healthy", || {
            let status = sandbox.ok("status --json").json();
            let durable = status["durable"].as_array().unwrap();
            durable.iter().all(|service| service["state"] == "healthy").then_some(status)
        });
    assert_eq!(status["project"], sandbox.name.as_str());
    assert_eq!(status["environment"], "devlocal");
    assert_eq!(status["live"], "green");
    assert_eq!(status["proxy"]["state"], "running");
    assert_eq!(status["colors"]["green"]["tested"], true);
    assert_eq!(status["colors"]["blue"]["services"].as_array().unwrap().len(), 5);
    assert!(status["lock"].is_null(), "{status}");
    let _ = sandbox.ok("status").shows("green is live").shows("green (live)").shows("blue (idle)");

    let history = sandbox.ok("history --json").json();
    let commands: Vec<&str> =
        history.as_array().unwrap().iter().map(|c| c["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["durable up", "deploy", "switch", "deploy", "switch"], "{history}");
    assert!(history[0]["who"].as_str().unwrap().starts_with("tester@"), "{history}");
    let _ = sandbox.ok("history").shows("durable up").shows("switch");

    let durable = sandbox.ok("durable status --json").json();
    let services: Vec<_> =
        durable["services"].as_array().unwrap().iter().map(|s| &s["service"]).collect();
    assert_eq!(services, ["localstack", "mariadb", "mercure", "sessions"]);
    assert_eq!(durable["differences"], json!([]));
    let mariadb = sandbox.ports.get(MARIADB).to_string();
    let _ = sandbox.ok("durable status").shows("healthy").shows(&mariadb);
    let _ = sandbox.ok("durable logs --tail 500").shows("ready for connections");
    let _ = sandbox.ok("logs green redis").shows("green/redis");
    wait::until_true(Duration::from_secs(30), "the log of green's API has lines", || {
        sandbox.ok("logs").stdout.contains("green/api")
    });
    let plan = sandbox.ok("plan deploy --json").json();
    assert!(plan.to_string().contains("blue"), "{plan}");
    let _ = sandbox.ok("doctor").shows("engine");
    assert_eq!(sandbox.ok("doctor --json").json()["good"], true);

    // No secret on any screen, in any label.
    let secrets = sandbox.read(".envctl/devlocal.credentials");
    let shown = ["status --json", "history --json", "durable status --json", "plan deploy --json"]
        .map(|words| sandbox.ok(words).stdout)
        .join("\n");
    let format = "{{json .Config.Labels}}";
    let labels = sandbox
        .things(Kind::Container)
        .iter()
        .map(|name| engine::ask(&["inspect", "--format", format, name]))
        .collect::<String>();
    for secret in secrets.lines().filter_map(|line| line.split_once('=')).map(|(_, value)| value) {
        assert!(!shown.contains(secret) && !labels.contains(secret), "a secret is shown");
    }

    // Others' tools see the stacks too.
    for (layer, service) in [("green", "api"), ("durable", "mariadb"), ("proxy", "proxy")] {
        let project = sandbox.thing(layer);
        compose::shows(&project, &["ps"], &[service]);
        compose::shows(&project, &["top"], &[service]);
        let said: &[&str] = if layer == "proxy" { &[] } else { &[service] };
        compose::shows(&project, &["logs", "--tail", "5", service], said);
    }
}
