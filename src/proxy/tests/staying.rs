//! Connections that stay open: web sockets, event streams, TCP routes, and their end.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use super::{
    backend::{Backend, counting},
    stage::{self, Http, PATIENCE, Stage, WEB, get, route},
};
use crate::model::{
    Color::{Blue, Green},
    Listener,
    control::{Answer, Request as Ask},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn two(drain: Duration) -> (Stage, Backend, Backend) {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    stage.put_for(Blue, blue.address, drain).await;
    stage.put_for(Green, green.address, drain).await;
    stage.switch(Blue).await;
    (stage, blue, green)
}

async fn socket(stage: &Stage) -> Socket {
    let address = format!("ws://{}/ws", stage.live());
    tokio_tungstenite::connect_async(address).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Option<String> {
    match tokio::time::timeout(PATIENCE, socket.next()).await.expect("it comes in time") {
        Some(Ok(message)) => Some(message.to_text().unwrap().to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn a_websocket_stays_on_its_color_until_the_drain_ends() {
    let (stage, _blue, _green) = two(Duration::from_millis(1500)).await;
    let mut old = socket(&stage).await;
    assert_eq!(next(&mut old).await.as_deref(), Some("blue"));
    let began = Instant::now();
    assert_eq!(stage.switch(Green).await.websockets, 1);
    let mut new = socket(&stage).await;
    assert_eq!(next(&mut new).await.as_deref(), Some("green"));
    old.send(Message::text("still there?")).await.unwrap();
    assert_eq!(next(&mut old).await.as_deref(), Some("still there?"));
    assert_eq!(stage.status().await.draining[&Blue].websockets, 1);

    assert_eq!(next(&mut old).await, None);
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    stage.until_left(Blue, |left| left.is_empty()).await;
    new.send(Message::text("and you?")).await.unwrap();
    assert_eq!(next(&mut new).await.as_deref(), Some("and you?"));
    assert_eq!(stage.status().await.open[&Green].websockets, 1);
}

#[tokio::test]
async fn a_switch_back_ends_the_drain() {
    let (stage, _blue, _green) = two(Duration::from_secs(1)).await;
    let mut socket = socket(&stage).await;
    assert_eq!(next(&mut socket).await.as_deref(), Some("blue"));
    stage.switch(Green).await;
    stage.switch(Blue).await;
    let over = tokio::time::timeout(Duration::from_secs(2), socket.next()).await;
    assert!(over.is_err(), "{over:?}");
    socket.send(Message::text("back")).await.unwrap();
    assert_eq!(next(&mut socket).await.as_deref(), Some("back"));
}

#[tokio::test]
async fn events_come_one_by_one_and_end_cleanly_with_the_drain() {
    let (stage, _blue, _green) = two(Duration::from_secs(1)).await;
    let mut client = Http::connect(stage.live()).await;
    let mut events = client.open(Request::get("/events"), "").await.into_body();
    let first = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "id: 0\ndata: blue\n\n");
    assert_eq!(stage.switch(Green).await.streams, 1);
    let (mut text, mut frames) = (String::new(), 0);
    while let Some(frame) = tokio::time::timeout(PATIENCE, events.frame()).await.unwrap() {
        text.push_str(str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        frames += 1;
    }
    assert!(frames > 5, "{frames} frames");
    let whole: String = (1..)
        .map(|n| format!("id: {n}\ndata: blue\n\n"))
        .take(text.matches("id").count())
        .collect();
    assert_eq!(text, whole);
    stage.until_left(Blue, |left| left.is_empty()).await;
    // The client's connection itself lives on.
    assert_eq!(client.get("/").await.text, "green");
}

#[tokio::test]
async fn a_durable_services_events_outlive_switch_drain_and_color() {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    let hub = Backend::start("hub").await;
    // Nothing answers there: what no color is responsible for stops no switch.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (color, own) in [(Blue, blue.address), (Green, green.address)] {
        let mut routes =
            vec![route(WEB, &[("/", own), ("/events", hub.address), ("/nobody", nobody)])];
        for path in &mut routes[0].paths[1..] {
            path.durable = true;
        }
        stage.put_stack(color, stage::stack(routes), Duration::from_millis(300)).await;
    }
    stage.switch(Blue).await;
    let mut client = Http::connect(stage.live()).await;
    let mut events = client.open(Request::get("/events"), "").await.into_body();
    let left = stage.switch(Green).await;
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(stage.ask(Ask::Forget { color: Blue }).await, Answer::Done);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let event = tokio::time::timeout(PATIENCE, events.frame()).await.unwrap().unwrap();
        let text = event.unwrap().into_data().unwrap();
        assert!(str::from_utf8(&text).unwrap().contains("hub"), "{text:?}");
    }
    assert_eq!(get(stage.live(), "/").await.text, "green");
}

#[tokio::test]
async fn many_are_closed_one_by_one() {
    let (stage, _blue, _green) = two(Duration::from_secs(3)).await;
    let mut sockets = vec![];
    for _ in 0..10 {
        let mut socket = socket(&stage).await;
        next(&mut socket).await;
        sockets.push(socket);
    }
    assert_eq!(stage.switch(Green).await.websockets, 10);
    let mut closing = tokio::task::JoinSet::new();
    for mut socket in sockets {
        closing.spawn(async move {
            while next(&mut socket).await.is_some() {}
            Instant::now()
        });
    }
    let mut times = closing.join_all().await;
    times.sort();
    let spread = times[9] - times[0];
    assert!(spread > Duration::from_millis(200), "{spread:?}");
}

#[tokio::test]
async fn a_service_that_does_not_upgrade_is_heard() {
    let (stage, _blue, _green) = two(Duration::from_secs(2)).await;
    let request = Request::get("/")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "x");
    let got = Http::connect(stage.live()).await.request(request, "").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, "blue"));
}

fn tcp(route: u16, color: Option<crate::model::Color>) -> Listener {
    Listener { port: 0, tls: false, tcp: true, route, color }
}

#[tokio::test]
async fn a_tcp_route_passes_bytes_and_each_end_closes_for_itself() {
    let stage = Stage::with(vec![tcp(5432, None), tcp(5432, Some(Green))], |_| {}, &[]);
    for (color, name, drain) in [(Blue, "blue", 1), (Green, "green", 1)] {
        let mut routes = vec![route(5432, &[("/", counting(name).await)])];
        routes[0].tcp = true;
        stage.put_stack(color, stage::stack(routes), Duration::from_secs(drain)).await;
    }
    stage.switch(Blue).await;
    for (address, name) in [(stage.live(), "blue"), (stage.preview(Green), "green")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut hello = [0; 6];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello\n");
        stream.write_all(&vec![7; 100_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, format!("{name} 100000"));
    }

    let mut open = TcpStream::connect(stage.live()).await.unwrap();
    let mut hello = [0; 6];
    open.read_exact(&mut hello).await.unwrap();
    assert_eq!(stage.switch(Green).await.tcp, 1);
    let mut rest = vec![];
    let end = tokio::time::timeout(PATIENCE, open.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the drain closes it");
    match stage.ask(Ask::Drained { color: Blue, wait_ms: 10_000 }).await {
        Answer::Drained { left } => assert!(left.is_empty(), "{left:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_end_of_the_proxy_waits_for_requests_and_closes_what_stays() {
    let (stage, _blue, _green) = two(Duration::from_mins(1)).await;
    let mut socket = socket(&stage).await;
    assert_eq!(next(&mut socket).await.as_deref(), Some("blue"));
    let mut idle = Http::connect(stage.live()).await;
    assert_eq!(idle.get("/").await.text, "blue");
    let live = stage.live();
    let slow = tokio::spawn(async move { get(live, "/slow?1000").await.text });
    stage.until_left(Blue, |left| left.requests == 1).await;
    let Stage { running, folder, .. } = stage;
    let began = Instant::now();
    tokio::task::spawn_blocking(move || running.stop()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert_eq!(slow.await.unwrap(), "blue");
    assert_eq!(next(&mut socket).await, None);
    assert!(TcpStream::connect(live).await.is_err());
    assert_eq!(WEB, 3000);
    drop(folder);
}

#[tokio::test]
async fn a_tcp_service_is_told_whose_connection_it_gets() {
    let stage = Stage::with(vec![tcp(5432, None)], |_| {}, &[]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut routes = vec![route(5432, &[("/", listener.local_addr().unwrap())])];
    (routes[0].tcp, routes[0].proxy_protocol) = (true, true);
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    let answer = stage.ask(Ask::Switch { to: Blue, health: false }).await;
    assert!(matches!(answer, Answer::Switched { .. }), "{answer:?}");
    let mut client = TcpStream::connect(stage.live()).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let (mut service, _) = listener.accept().await.unwrap();
    let mut got = [0; 33];
    service.read_exact(&mut got).await.unwrap();
    assert_eq!(&got[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    assert_eq!(&got[24..26], client.local_addr().unwrap().port().to_be_bytes());
    assert_eq!(&got[26..28], stage.live().port().to_be_bytes());
    assert_eq!(&got[28..], b"hello");
}
