//! Hosts, redirects, limits and health of routes.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;

use super::{
    backend::Backend,
    stage::{self, Http, PATIENCE, Stage, WEB, eventually, get, raw, route},
};
use crate::model::{
    Color::{Blue, Green},
    PathRule, Probe, Route, RouteLimits,
    control::{Answer, Request as Ask},
};

async fn routed(routes: Vec<Route>) -> Stage {
    let stage = Stage::start();
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    stage.switch(Blue).await;
    stage
}

async fn limited(limits: RouteLimits) -> (Stage, Backend) {
    let blue = Backend::start("blue").await;
    let routes = vec![Route { limits, ..route(WEB, &[("/", blue.address)]) }];
    (routed(routes).await, blue)
}

#[tokio::test]
async fn several_hosts_share_a_port_and_each_has_its_paths() {
    let mut backends = vec![];
    for name in ["shop", "cdn", "one", "other"] {
        backends.push(Backend::start(name).await);
    }
    let to = |n: usize, hosts: &[&str], prefix: &str| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Route { hosts, ..route(WEB, &[(prefix, backends[n].address)]) }
    };
    let routes = vec![
        to(3, &[], "/"),
        to(1, &["*.shop.example"], "/"),
        to(2, &["one.shop.example"], "/"),
        to(0, &["shop.example", "localhost"], "/shop"),
    ];
    let stage = routed(routes.clone()).await;
    let mut client = Http::connect(stage.live()).await;
    for (host, path, expected) in [
        ("shop.example", "/shop", "shop"),
        ("SHOP.example:3000", "/shop/x", "shop"),
        ("localhost", "/shop", "shop"),
        ("a.b.shop.example", "/", "cdn"),
        ("one.shop.example", "/", "one"),
        ("elsewhere.example", "/", "other"),
        ("shop.example", "/", "404: blue has no route for this path\n"),
    ] {
        let request = Request::get(path).header("host", host);
        assert_eq!(client.request(request, "").await.text, expected, "{host}{path}");
    }
    let stage = routed(routes[1..].to_vec()).await;
    let got = get(stage.live(), "/").await;
    assert_eq!(
        (got.status.as_u16(), got.text.as_str()),
        (404, "404: blue has no route for this host\n")
    );
}

#[tokio::test]
async fn a_redirect_keeps_host_path_query_and_method() {
    let routes = |port| vec![Route { listen: WEB, redirect: Some(port), ..Route::default() }];
    for (port, location) in
        [(443, "https://shop.example/a?b=c"), (3443, "https://shop.example:3443/a?b=c")]
    {
        let stage = routed(routes(port)).await;
        let request = Request::post("/a?b=c").header("host", "shop.example:3000");
        let got = Http::connect(stage.live()).await.request(request, "").await;
        assert_eq!(got.status, 308);
        assert_eq!(got.headers["location"], location);
    }
    let stage = routed(routes(443)).await;
    let answer = raw(stage.live(), b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 308") && !answer.contains("location"), "{answer}");
}

#[tokio::test]
async fn a_body_beyond_the_routes_limit_is_refused_however_it_comes() {
    let (stage, blue) = limited(RouteLimits { body: Some(1000), ..RouteLimits::default() }).await;
    let mut client = Http::connect(stage.live()).await;
    let most = client.request(Request::post("/upload"), Bytes::from(vec![1; 1000])).await;
    assert_eq!(most.text, "blue 1000 1000");
    let got =
        Http::connect(stage.live()).await.request(Request::post("/upload"), vec![1; 1001]).await;
    assert_eq!(got.status, 413);
    assert_eq!(blue.requests.load(SeqCst), 1, "its length alone was enough");

    let chunked = format!(
        "POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n",
        "x".repeat(1001)
    );
    let answer = raw(stage.live(), chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let expecting = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\
        expect: 100-continue\r\n\r\n";
    let answer = raw(stage.live(), expecting.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "the body is not asked for: {answer}");
}

#[tokio::test]
async fn a_route_has_times_of_its_own() {
    let limits =
        RouteLimits { response_ms: Some(300), idle_ms: Some(300), ..RouteLimits::default() };
    let (stage, blue) = limited(limits).await;
    let got = get(stage.live(), "/slow?60000").await;
    assert_eq!(got.status, 504);
    assert!(got.text.contains(&format!("{} did not answer in time", blue.address)), "{}", got.text);
    let mut client = Http::connect(stage.live()).await;
    // Its events come each 50 ms.
    let mut events = client.open(Request::get("/events"), "").await.into_body();
    for _ in 0..20 {
        assert!(events.frame().await.unwrap().is_ok());
    }
    let mut client = Http::connect(stage.live()).await;
    let mut silent = client.open(Request::get("/stuck"), "").await.into_body();
    assert!(silent.frame().await.unwrap().is_ok());
    let end = tokio::time::timeout(PATIENCE, silent.frame()).await.expect("it is cut");
    assert!(end.is_none_or(|frame| frame.is_err()));
}

#[tokio::test]
async fn a_sick_replica_gets_no_requests_until_it_is_well() {
    let ips = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)].map(IpAddr::V4);
    let stage = Stage::with(stage::listeners(), |_| {}, &[("blue-api", &ips)]);
    let first = Backend::start_at("one", ips[0], 0).await;
    let port = first.address.port();
    let second = Backend::start_at("two", ips[1], port).await;
    let rule =
        PathRule { prefix: "/".into(), host: "blue-api".into(), port, ..PathRule::default() };
    let health = Probe { path: Some("/health".into()), interval_ms: 100, threshold: 2 };
    let routes = vec![Route { health: Some(health), paths: vec![rule], ..route(WEB, &[]) }];
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    stage.switch(Blue).await;
    let live = stage.live();
    let names = async || {
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..6 {
            names.insert(get(live, "/").await.text);
        }
        names.into_iter().collect::<Vec<_>>().join(" ")
    };
    eventually(async || names().await == "one two").await;
    second.sick.store(true, SeqCst);
    eventually(async || names().await == "one").await;
    second.sick.store(false, SeqCst);
    eventually(async || names().await == "one two").await;
}

#[tokio::test]
async fn a_color_whose_health_path_says_no_does_not_become_live() {
    let stage = Stage::start();
    let green = Backend::start("green").await;
    green.sick.store(true, SeqCst);
    let health = Probe { path: Some("/health".into()), interval_ms: 60_000, threshold: 1 };
    let routes = vec![Route { health: Some(health), ..route(WEB, &[("/", green.address)]) }];
    stage.put_stack(Green, stage::stack(routes), Duration::from_secs(1)).await;
    match stage.ask(Ask::Switch { to: Green, health: true }).await {
        Answer::NotHealthy { reason, .. } => {
            assert!(reason.contains("/health is answered with 503"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    green.sick.store(false, SeqCst);
    stage.switch(Green).await;
}
