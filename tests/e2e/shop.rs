//! The demo as its clients see it: sessions and limits over a switch, what answers carry, and the hub.

use std::{
    io,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde_json::json;

use crate::support::{
    Sandbox,
    customer::Customer,
    http::{self, Connection},
    hub::{Event, PATH, Subscriber, publish, token},
    wait,
};

const SUBSCRIBERS: usize = 200;
const UPDATES: usize = 300;
/// Every so many-th subscriber goes away in the middle and comes back.
const RETURNS: usize = 4;
const TLS: u16 = 1;

#[test]
fn sessions_limits_and_subscribers_outlive_a_switch() {
    let sandbox = Sandbox::demo();
    sandbox.edit("envctl.yaml", "drain: 30s", "drain: 1s");
    // The limits' window shall not end within the test.
    sandbox.edit("compose/docker-compose.yml", "RATE_LIMIT_WINDOW:-60", "RATE_LIMIT_WINDOW:-600");
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("test green");
    let port = sandbox.ports.get(0);
    answers_carry_what_browsers_heed(&sandbox);
    the_hub_keeps_to_its_protocol(&sandbox);

    two_hundred_subscribers_miss_nothing(&sandbox);

    // A login and a half-used limit of green. Blue knows the login and counts on, and a logout holds in both.
    let customer = Customer::register(port, "ada");
    let wrong = json!({ "email": "bob@example.org", "password": "not at all" });
    let try_wrong = || http::post(port, "/api/auth/login", None, &wrong);
    for _ in 0..5 {
        assert_eq!(try_wrong().status(401).color(), "green");
    }
    let _ = sandbox.ok("switch blue").says("blue is live");
    let me = customer.get(port, "/api/auth/me").status(200);
    assert_eq!((me.color(), &me.json()["user"]["email"]), ("blue", &json!(customer.email)));
    for _ in 0..5 {
        assert_eq!(try_wrong().status(401).color(), "blue");
    }
    let refused = try_wrong().status(429);
    let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=600).contains(&seconds), "{refused}");
    let _ = customer.send(port, "POST", "/api/auth/logout").status(204);
    let _ = sandbox.ok("switch green").says("green is live");
    let _ = customer.get(port, "/api/auth/me").status(401);
    let _ = try_wrong().status(429);
}

/// Security headers, CORS, and no HSTS: on localhost it would lock other projects' pages out of plain HTTP.
fn answers_carry_what_browsers_heed(sandbox: &Sandbox) {
    let port = sandbox.ports.get(0);
    let page = http::get(port, "/").status(200);
    let policy = page.header("Content-Security-Policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(page.header("Referrer-Policy"), Some("no-referrer"));
    let mut secure = Connection::open_tls(sandbox.ports.get(TLS), &sandbox.authority()).unwrap();
    for path in ["/", "/api/version", PATH] {
        let answer = secure.get(path).unwrap();
        assert_eq!(answer.header("Strict-Transport-Security"), None, "{answer}");
    }
    // A new certificate, of the same authority, cuts no connection.
    let shown = sandbox.ok("tls show --json").json();
    assert!(shown["shown"][0]["names"].to_string().contains("localhost"), "{shown}");
    let _ = sandbox.ok("tls renew").shows("local authority\n  until ");
    let _ = secure.get("/").unwrap().status(200);
    let shown = sandbox.ok("tls show --ca").stdout;
    assert_eq!(shown.trim(), sandbox.authority().trim());
    let _ = Connection::open_tls(sandbox.ports.get(TLS), &shown).unwrap().get("/").unwrap();
    let api = http::get(port, "/api/version").status(200);
    assert_eq!(api.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(api.header("Cache-Control"), Some("no-store"));

    let own = format!("http://localhost:{port}");
    let ask = |method: &str, path: &str, origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        http::send(port, method, path, &headers, b"")
    };
    for path in ["/api/orders", PATH] {
        let allowed = ask("OPTIONS", path, &own).status(204);
        assert_eq!(allowed.header("Access-Control-Allow-Origin"), Some(own.as_str()));
        assert!(allowed.header("Access-Control-Allow-Headers").unwrap().contains("Authorization"));
        let other = ask("OPTIONS", path, "https://evil.example");
        assert_eq!(other.header("Access-Control-Allow-Origin"), None, "{other}");
    }
    let simple = ask("GET", "/api/version", "https://evil.example").status(200);
    assert_eq!(simple.header("Access-Control-Allow-Origin"), None);
}

fn the_hub_keeps_to_its_protocol(sandbox: &Sandbox) {
    let port = sandbox.ports.get(0);
    let publisher = sandbox.credential("devlocal", "MERCURE_PUBLISHER_SECRET");
    let subscriber = sandbox.credential("devlocal", "MERCURE_SUBSCRIBER_SECRET");
    let may_publish = token(&publisher, &json!({ "publish": ["*"] }), 60);
    let may_see = |topics: &[&str]| token(&subscriber, &json!({ "subscribe": topics }), 60);

    // Who may not.
    assert_eq!(http::get(port, &format!("{PATH}?topic=a")).status, 401);
    let expired = token(&publisher, &json!({ "publish": ["*"] }), -60);
    for (bearer, form, status) in [
        (&expired, "topic=a", 401),
        (&may_see(&["*"]), "topic=a", 401),
        (&token(&publisher, &json!({ "subscribe": ["*"] }), 60), "topic=a", 401),
        (&token(&publisher, &json!({ "publish": ["b"] }), 60), "topic=a&private=on", 401),
        (&may_publish, "data=x", 400),
        (&may_publish, "topic=a&retry=soon", 400),
    ] {
        assert_eq!(publish(port, bearer, form).status, status, "{form}");
    }
    assert_eq!(http::send(port, "PUT", PATH, &[], b"").status, 405);
    let open = |query: &str, bearer: &str, more: &[(&str, &str)]| {
        let bearer = format!("Bearer {bearer}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        headers.extend(more);
        Subscriber::open(port, query, &headers)
    };
    assert!(open("other=a", &may_see(&["*"]), &[]).is_err());

    // By equal topic, by template and all; by header, cookie and query; private ones to whom they are for.
    let cookie = format!("mercureAuthorization={}", may_see(&["/books/{id}"]));
    let query = format!("topic=*&authorization={}", may_see(&[]));
    let template = "topic=%2Fbooks%2F%7Bid%7D";
    let mut by_template = Subscriber::open(port, template, &[("Cookie", &cookie)]).unwrap();
    let mut by_star = Subscriber::open(port, &query, &[]).unwrap();
    let mut by_name = open("topic=/books/2&topic=/other", &may_see(&["*"]), &[]).unwrap();
    let head = &by_name.head;
    assert_eq!(head.header("Content-Type"), Some("text/event-stream"));
    assert_eq!(head.header("X-Accel-Buffering"), Some("no"));
    let sent = |form: &str| publish(port, &may_publish, form).status(200).text();
    let first = sent("topic=/books/1&data=one");
    assert!(first.starts_with("urn:uuid:"), "{first}");
    sent("topic=/books/2&data=two&private=on&id=second&type=changed");
    sent("topic=/other&topic=/books/3&data=a%0Ab%0D%0Ac&id=third");
    sent("topic=/books/3/pages&data=no&id=fourth");
    let read = |subscriber: &mut Subscriber, count: usize| -> Vec<String> {
        (0..count).map(|_| subscriber.next().unwrap().data).collect()
    };
    assert_eq!(read(&mut by_template, 3), ["one", "two", "a\nb\nc"]);
    assert_eq!(read(&mut by_star, 3), ["one", "a\nb\nc", "no"]);
    let changed = by_name.next().unwrap();
    assert_eq!((changed.id.as_str(), changed.kind.as_str()), ("second", "changed"));
    assert_eq!(by_name.next().unwrap().id, "third");

    // What was missed, from an id on or all of it; an id that nobody knows is said to be so.
    let all = may_see(&["*"]);
    let mut again = open("topic=*", &all, &[("Last-Event-ID", "second")]).unwrap();
    assert_eq!(again.head.header("Last-Event-ID"), Some("second"));
    assert_eq!(read(&mut again, 2), ["a\nb\nc", "no"]);
    let mut earliest = open("topic=*&lastEventID=earliest", &all, &[]).unwrap();
    assert_eq!(read(&mut earliest, 4), ["one", "two", "a\nb\nc", "no"]);
    let unknown = open("topic=*", &all, &[("Last-Event-ID", "nobody-knows")]).unwrap();
    assert_eq!(unknown.head.header("Last-Event-ID"), Some("earliest"));
}

/// The hub is of no color: a switch and its drain cut nobody off, and who comes back gets what was missed.
fn two_hundred_subscribers_miss_nothing(sandbox: &Sandbox) {
    let port = sandbox.ports.get(0);
    let publisher = sandbox.credential("devlocal", "MERCURE_PUBLISHER_SECRET");
    let subscriber = sandbox.credential("devlocal", "MERCURE_SUBSCRIBER_SECRET");
    let may_publish = token(&publisher, &json!({ "publish": ["/news"] }), 300);
    let may_see = format!("Bearer {}", token(&subscriber, &json!({ "subscribe": ["/news"] }), 300));
    let (listening, seen) = (Barrier::new(SUBSCRIBERS + 1), AtomicUsize::new(0));
    thread::scope(|scope| {
        let all: Vec<_> = (0..SUBSCRIBERS)
            .map(|number| {
                let (listening, seen, may_see) = (&listening, &seen, may_see.as_str());
                scope.spawn(move || {
                    let opened =
                        Subscriber::open(port, "topic=/news", &[("Authorization", may_see)]);
                    listening.wait();
                    follow(opened, port, may_see, number % RETURNS == 0, seen)
                })
            })
            .collect();
        listening.wait();
        let turns = ["green", "blue", "green"];
        for number in 0..UPDATES {
            if number % (UPDATES / turns.len()) == UPDATES / turns.len() / 2 {
                let to = turns[number * turns.len() / UPDATES];
                let _ = sandbox.ok(&format!("switch {to}")).says(&format!("{to} is live"));
            }
            let form = format!("topic=/news&private=on&id=news-{number}&data={number}");
            let _ = publish(port, &may_publish, &form).status(200);
        }
        let expected: Vec<String> = (0..UPDATES).map(|number| number.to_string()).collect();
        for one in all {
            let found: io::Result<Vec<Event>> = one.join().unwrap();
            let found: Vec<String> = found.unwrap().into_iter().map(|event| event.data).collect();
            assert_eq!(found, expected);
        }
    });
    assert_eq!(seen.load(Relaxed), SUBSCRIBERS * UPDATES);
    // Past the drain the old color has nothing open, though the hub's clients came by it.
    wait::until_true(Duration::from_secs(30), "nothing drains", || {
        !sandbox.ok("status").stdout.contains("draining")
    });
}

/// Reads all updates; one that `returns` goes away half-way and comes back with the id of what it saw last.
fn follow(
    opened: io::Result<Subscriber>,
    port: u16,
    may_see: &str,
    returns: bool,
    seen: &AtomicUsize,
) -> io::Result<Vec<Event>> {
    let mut subscriber = opened?;
    let mut events: Vec<Event> = vec![];
    while events.len() < UPDATES {
        if returns && events.len() == UPDATES / 2 {
            let last = events[events.len() - 1].id.clone();
            drop(subscriber);
            let headers = [("Authorization", may_see), ("Last-Event-ID", last.as_str())];
            subscriber = Subscriber::open(port, "topic=/news", &headers)?;
            assert_eq!(subscriber.head.header("Last-Event-ID"), Some(last.as_str()));
        }
        events.push(subscriber.next()?);
        seen.fetch_add(1, Relaxed);
    }
    Ok(events)
}
