//! A share of the live traffic for the idle color.

use http::{HeaderValue, Request};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::{
    backend::Backend,
    stage::{self, Got, Http, Stage, get, listener, route},
};
use crate::model::{
    Color::{self, Blue, Green},
    Listener,
    control::{Answer, Request as Ask},
};

async fn two() -> (Stage, Backend, Backend) {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    stage.put(Blue, blue.address).await;
    stage.put(Green, green.address).await;
    stage.switch(Blue).await;
    (stage, blue, green)
}

async fn weigh(stage: &Stage, to: Color, weight: u8) -> Answer {
    stage.ask(Ask::Weigh { to, weight, health: true }).await
}

/// `name=value`, as the client sends it back.
fn cookie(got: &Got) -> Option<String> {
    let set = got.headers.get("set-cookie")?.to_str().unwrap();
    Some(set.split(';').next().unwrap().to_owned())
}

async fn again(stage: &Stage, path: &str, cookie: &str) -> Got {
    let head = Request::get(path).header("cookie", cookie);
    Http::connect(stage.live()).await.request(head, "").await
}

/// A cookie of a client that this color serves.
async fn of(stage: &Stage, color: Color) -> String {
    loop {
        let got = get(stage.live(), "/").await;
        if got.text == color.as_str() {
            return cookie(&got).unwrap();
        }
    }
}

#[tokio::test]
async fn a_share_of_new_clients_goes_over_and_each_stays_also_after_a_restart() {
    let (stage, _blue, _green) = two().await;
    assert_eq!(weigh(&stage, Green, 10).await, Answer::Done);
    let mut clients = vec![];
    for _ in 0..100 {
        let got = get(stage.live(), "/").await;
        let headers = &got.headers;
        assert_eq!(headers["x-envctl-color"], got.text);
        assert_eq!(headers["cache-control"], "private", "no cache may keep the cookie");
        clients.push((cookie(&got).unwrap(), got.text));
    }
    assert_eq!(clients.iter().filter(|(_, color)| color == "green").count(), 10);
    let stage = stage.restart();
    for (cookie, color) in &clients {
        let got = again(&stage, "/", &format!("other=1; {cookie}")).await;
        assert_eq!(got.text, *color);
        assert!(!got.headers.contains_key("set-cookie"), "it has one");
    }
    for color in Color::ALL {
        let got = get(stage.preview(color), "/").await;
        assert_eq!(got.text, color.as_str());
        assert!(!got.headers.contains_key("set-cookie"), "a preview is of one color");
    }
}

#[tokio::test]
async fn web_sockets_and_event_streams_go_where_the_cookie_says() {
    let (stage, _blue, _green) = two().await;
    weigh(&stage, Green, 50).await;
    for color in Color::ALL {
        let cookie = of(&stage, color).await;
        let mut request = format!("ws://{}/ws", stage.live()).into_client_request().unwrap();
        request.headers_mut().insert("cookie", HeaderValue::from_str(&cookie).unwrap());
        let (_socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(answer.headers()["x-envctl-color"], color.as_str());
        let head = Request::get("/events").header("cookie", &cookie);
        let events = Http::connect(stage.live()).await.open(head, "").await;
        assert_eq!(events.headers()["x-envctl-color"], color.as_str());
    }
}

#[tokio::test]
async fn connections_of_a_tcp_route_are_shared_out() {
    let tcp = Listener { tcp: true, ..listener(5432, None) };
    let stage = Stage::with(vec![tcp], |_| {}, &[]);
    for (color, hello) in [(Blue, &b"b"[..]), (Green, b"g")] {
        let service = super::backend::greeting(hello).await;
        let mut routes = vec![route(5432, &[("/", service)])];
        routes[0].tcp = true;
        stage.put_stack(color, stage::stack(routes), stage::PATIENCE).await;
    }
    stage.switch(Blue).await;
    weigh(&stage, Green, 20).await;
    let mut green = 0;
    for _ in 0..100 {
        let mut first = [0];
        let mut stream = TcpStream::connect(stage.live()).await.unwrap();
        stream.read_exact(&mut first).await.unwrap();
        green += u32::from(first == *b"g");
    }
    assert_eq!(green, 20);
}

#[tokio::test]
async fn a_share_ends_with_weight_zero_with_a_switch_back_and_with_the_whole_switch() {
    let (stage, _blue, _green) = two().await;
    for (end, all) in [
        (Ask::Weigh { to: Green, weight: 0, health: true }, Blue),
        (Ask::Switch { to: Blue, health: false }, Blue),
        (Ask::Switch { to: Green, health: true }, Green),
    ] {
        stage.switch(Blue).await;
        weigh(&stage, Green, 99).await;
        assert_eq!(stage.status().await.routing.share(Green), Some(99));
        let cookies = [of(&stage, Green).await, of(&stage, Blue).await];
        let other = if all == Blue { Green } else { Blue };
        let slow_cookie = &cookies[usize::from(other == Blue)];
        let head = Request::get("/slow?800").header("cookie", slow_cookie);
        let mut client = Http::connect(stage.live()).await;
        let slow = tokio::spawn(async move { client.request(head, "").await });
        stage.until_left(other, |left| left.requests == 1).await;
        let switched = stage.status().await.routing.switched;
        stage.ask(end).await;
        let status = stage.status().await;
        assert_eq!((status.routing.canary, status.routing.live), (None, Some(all)));
        assert_eq!(status.draining[&other].requests, 1);
        assert_eq!(status.routing.switched == switched, all == Blue);
        for cookie in &cookies {
            let got = again(&stage, "/", cookie).await;
            assert_eq!(got.text, all.as_str());
            assert!(!got.headers.contains_key("set-cookie"));
        }
        assert_eq!(slow.await.unwrap().text, other.as_str(), "it ended where it began");
    }
}

#[tokio::test]
async fn what_takes_a_share_is_neither_forgotten_nor_replaced() {
    let (stage, blue, green) = two().await;
    weigh(&stage, Green, 5).await;
    let says = |answer: Answer| match answer {
        Answer::Refused { reason } => reason,
        other => panic!("{other:?}"),
    };
    let forget = says(stage.ask(Ask::Forget { color: Green }).await);
    assert_eq!(forget, "green takes 5 % of new clients");
    let mut stack = stage.status().await.routing.stacks[&Green].clone();
    // The same release with other replicas is no other one.
    stage.put_stack(Green, stack.clone(), stage::PATIENCE).await;
    stack.release = "r2".to_owned();
    let put = Ask::Put { color: Green, stack, drain_ms: 1 };
    assert_eq!(says(stage.ask(put).await), "green takes 5 % of new clients");
    for (to, weight, words) in [(Blue, 5, "live"), (Green, 100, "100 %")] {
        let refused = says(weigh(&stage, to, weight).await);
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(stage.status().await.routing.share(Green), Some(5));
    drop((blue, green));
}

#[tokio::test]
async fn who_meets_a_color_that_is_not_there_may_draw_again() {
    let (stage, _blue, green) = two().await;
    let address = green.address;
    drop(green);
    stage::eventually(async || TcpStream::connect(address).await.is_err()).await;
    assert!(matches!(weigh(&stage, Green, 1).await, Answer::NotHealthy { .. }));
    assert_eq!(stage.status().await.routing.canary, None);
    stage.ask(Ask::Weigh { to: Green, weight: 50, health: false }).await;
    let (mut good, mut bad) = (0, 0);
    for _ in 0..100 {
        let got = get(stage.live(), "/").await;
        match got.status.as_u16() {
            200 => good += 1,
            502 => {
                bad += 1;
                assert_eq!(cookie(&got), None);
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((good, bad), (50, 50));
}
