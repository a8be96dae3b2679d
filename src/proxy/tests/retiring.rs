//! The end of one replica of a service that goes on.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use super::{
    backend::Backend,
    stage::{self, PATIENCE, Stage, WEB, get},
};
use crate::model::{
    Color::Blue,
    PathRule, Route,
    control::{Answer, Draining, Request as Ask},
};

/// Two replicas of one service, each with a name of its own too.
async fn two(drain: Duration) -> (Stage, Backend, Backend) {
    let ips = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)].map(IpAddr::V4);
    let names = [("blue-api", &ips[..]), ("api-2", &ips[1..])];
    let stage = Stage::with(stage::listeners(), |_| {}, &names);
    let first = Backend::start_at("one", ips[0], 0).await;
    let second = Backend::start_at("two", ips[1], first.address.port()).await;
    let port = first.address.port();
    let rule =
        PathRule { prefix: "/".into(), host: "blue-api".into(), port, ..PathRule::default() };
    let routes = vec![Route { listen: WEB, paths: vec![rule], ..Route::default() }];
    stage.put_stack(Blue, stage::stack(routes), drain).await;
    stage.switch(Blue).await;
    (stage, first, second)
}

fn retire(wait: Duration) -> Ask {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap();
    Ask::Retire { host: "blue-api".into(), replica: "api-2".into(), wait_ms }
}

#[tokio::test]
async fn a_replica_that_goes_gets_nothing_new_and_ends_what_it_has() {
    let (stage, first, second) = two(PATIENCE).await;
    let live = stage.live();
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..6 {
        slow.spawn(async move { get(live, "/slow?700").await });
    }
    let all = || first.requests.load(SeqCst) + second.requests.load(SeqCst);
    stage::eventually(async || all() == 6).await;
    let retired = tokio::join!(stage.ask(retire(PATIENCE)), async {
        let begun = second.requests.load(SeqCst);
        for _ in 0..10 {
            assert_eq!(get(live, "/").await.text, "one");
        }
        begun
    });
    assert_eq!(retired.0, Answer::Drained { left: Draining::default() });
    assert_eq!(second.requests.load(SeqCst), retired.1);
    // Cuts whatever it still had.
    drop(second);
    let texts: Vec<String> = slow.join_all().await.into_iter().map(|got| got.text).collect();
    assert!(texts.iter().any(|text| text == "two"), "{texts:?}");
    assert!(texts.iter().all(|text| text == "one" || text == "two"), "{texts:?}");
}

#[tokio::test]
async fn requests_that_do_not_end_in_time_are_told() {
    let (stage, _first, second) = two(Duration::ZERO).await;
    let live = stage.live();
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..6 {
        slow.spawn(async move { get(live, "/slow?20000").await });
    }
    stage::eventually(async || second.requests.load(SeqCst) > 0).await;
    let Answer::Drained { left } = stage.ask(retire(Duration::from_millis(20))).await else {
        panic!("it waits for them");
    };
    assert!(left.requests > 0);
}

#[tokio::test]
async fn what_stays_open_is_waited_for_no_longer_than_the_drain() {
    let (stage, _first, second) = two(Duration::from_millis(300)).await;
    let mut sockets = vec![];
    for _ in 0..4 {
        let address = format!("ws://{}/ws", stage.live());
        sockets.push(tokio_tungstenite::connect_async(address).await.unwrap().0);
    }
    stage::eventually(async || second.requests.load(SeqCst) > 0).await;
    let answer = stage.ask(retire(PATIENCE)).await;
    assert_eq!(answer, Answer::Drained { left: Draining::default() });
    assert_eq!(stage.status().await.open[&Blue].websockets, 4);
}

#[tokio::test]
async fn the_last_replica_serves_on_though_it_is_to_go() {
    let (stage, first, second) = two(Duration::ZERO).await;
    stage.ask(retire(Duration::ZERO)).await;
    let address = first.address;
    drop(first);
    stage::eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert_eq!(get(stage.live(), "/").await.text, "two");
    drop(second);
}
