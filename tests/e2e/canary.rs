//! A share of new clients for the idle color, on a real engine.

use crate::support::{Sandbox, http};

/// The cookie that an answer sets, and the color that gave it.
fn new_client(port: u16) -> (String, String) {
    let answer = http::get(port, "/").status(200);
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer}"));
    (set.split(';').next().unwrap().to_owned(), answer.color().to_owned())
}

fn known(port: u16, cookie: &str) -> http::Answer {
    http::send(port, "GET", "/", &[("cookie", cookie)], b"").status(200)
}

#[test]
fn a_share_of_new_clients_stays_on_the_idle_color_until_it_gets_all_or_nothing() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    let _ =
        sandbox.ok("switch green --weight 10 --dry-run").shows("give green 10 % of new clients");
    let _ = sandbox
        .ok("switch green --weight 10")
        .says("green gets 10 % of new clients, blue the rest");
    let port = sandbox.ports.get(0);
    let clients: Vec<_> = (0..100).map(|_| new_client(port)).collect();
    assert_eq!(clients.iter().filter(|(_, color)| color == "green").count(), 10);

    let _ = sandbox.ok("status").shows("green takes 10 % of new clients").shows("green (10 %)");
    let status = sandbox.ok("status --json").json();
    assert_eq!((&status["live"], &status["canary"]["weight"]), (&"blue".into(), &10.into()));
    for refused in ["deploy", "cleanup"] {
        let _ = sandbox.envctl(refused).run().code(1).says("green takes 10 % of new clients");
    }
    let _ = crate::support::engine::docker(&format!("restart {}", sandbox.thing("proxy")));
    let _ = http::wait_for(port, "/", std::time::Duration::from_secs(30)).status(200);
    for (cookie, color) in &clients {
        let answer = known(port, cookie);
        assert_eq!(answer.color(), color);
        assert_eq!(answer.header("set-cookie"), None);
    }

    let _ = sandbox.ok("switch --weight 50");
    let over = clients.iter().filter(|(cookie, _)| known(port, cookie).color() == "green");
    assert_eq!(over.count(), 50, "those of before, and more");
    let _ = sandbox.ok("rollback").says("blue gets all of the traffic again");
    assert!(clients.iter().all(|(cookie, _)| known(port, cookie).color() == "blue"));

    let _ = sandbox.ok("switch green --weight 10");
    let _ = sandbox.ok("switch green").says("green is live");
    assert!(clients.iter().all(|(cookie, _)| known(port, cookie).color() == "green"));
    assert_eq!(http::get(port, "/").header("set-cookie"), None);
    let _ = sandbox.ok("history").shows("switch --weight 10").shows("switch --weight 50");
    let _ = sandbox.envctl("switch --weight 100").run().code(2);
}
