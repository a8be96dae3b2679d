//! A switch, and what was going on meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    backend::Backend,
    stage::{Http, Stage, get},
};
use crate::model::{
    Color::{self, Blue, Green},
    control::{Answer, Request as Ask},
};

async fn two() -> (Stage, Backend, Backend) {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    stage.put(Blue, blue.address).await;
    stage.put(Green, green.address).await;
    (stage, blue, green)
}

#[tokio::test]
async fn nothing_is_served_before_the_first_switch_but_previews_are() {
    let stage = Stage::start();
    let got = get(stage.live(), "/").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (503, "503: no color is live yet\n"));
    let got = get(stage.preview(Green), "/").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (503, "503: green has no release yet\n"));

    let green = Backend::start("green").await;
    stage.put(Green, green.address).await;
    let got = get(stage.preview(Green), "/").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, "green"));
    assert_eq!(get(stage.live(), "/").await.status, 503);
}

#[tokio::test]
async fn a_connection_that_stays_open_moves_with_its_next_request() {
    let (stage, _blue, _green) = two().await;
    stage.switch(Blue).await;
    let mut client = Http::connect(stage.live()).await;
    for color in [Blue, Green, Blue] {
        stage.switch(color).await;
        let got = client.get("/").await;
        assert_eq!(got.text, color.as_str());
        assert_eq!(got.headers["x-envctl-color"], color.as_str());
        for preview in Color::ALL {
            assert_eq!(get(stage.preview(preview), "/").await.text, preview.as_str());
        }
    }
}

#[tokio::test]
async fn a_slow_answer_comes_from_the_color_it_was_asked_of_and_is_counted() {
    let (stage, _blue, _green) = two().await;
    stage.switch(Blue).await;
    let mut client = Http::connect(stage.live()).await;
    let slow = tokio::spawn(async move { client.get("/slow?1500").await });
    stage.until_left(Blue, |left| left.requests == 1).await;
    let draining = stage.switch(Green).await;
    assert_eq!(draining.requests, 1);
    assert_eq!(stage.status().await.draining[&Blue].requests, 1);
    assert_eq!(get(stage.live(), "/").await.text, "green");
    assert_eq!(slow.await.unwrap().text, "blue");
    match stage.ask(Ask::Drained { color: Blue, wait_ms: 20_000 }).await {
        Answer::Drained { left } => assert!(left.is_empty(), "{left:?}"),
        other => panic!("{other:?}"),
    }
    assert!(stage.status().await.draining.is_empty());
}

#[tokio::test]
async fn an_upload_goes_on_to_the_color_it_began_with() {
    let (stage, _blue, _green) = two().await;
    stage.switch(Blue).await;
    let mut stream = tokio::net::TcpStream::connect(stage.live()).await.unwrap();
    let head = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\
                connection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![1; 1_000_000]).await.unwrap();
    stage.until_left(Blue, |left| left.requests == 1).await;
    stage.switch(Green).await;
    stream.write_all(&vec![2; 2_000_000]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("blue 3000000 5000000"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_switches_under_load_lose_nothing() {
    let (stage, _blue, _green) = two().await;
    stage.switch(Blue).await;
    let (live, stop) = (stage.live(), Arc::new(AtomicBool::new(false)));
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..8 {
        let stop = Arc::clone(&stop);
        clients.spawn(async move {
            let mut kept = Http::connect(live).await;
            let mut done = 0_u32;
            while !stop.load(SeqCst) {
                let got = match n {
                    0 => get(live, "/").await,
                    1 => kept.request(Request::post("/upload"), Bytes::from(vec![1; 70_000])).await,
                    2 => kept.get("/slow?20").await,
                    _ => kept.get("/").await,
                };
                assert_eq!(got.status, 200, "{}", got.text);
                let color = got.headers["x-envctl-color"].to_str().unwrap();
                assert!(got.text.starts_with(color), "{} {color}", got.text);
                done += 1;
            }
            done
        });
    }
    let mut client = Http::connect(live).await;
    for n in 0..100 {
        let to = [Green, Blue][n % 2];
        stage.switch(to).await;
        // Whatever is sent after the answer is served by the new color.
        assert_eq!(client.get("/").await.text, to.as_str());
        tokio::task::yield_now().await;
    }
    stop.store(true, SeqCst);
    let done: u32 = clients.join_all().await.into_iter().sum();
    assert!(done > 100, "{done} requests");
    stage.until_left(Blue, |left| left.is_empty()).await;
    stage.until_left(Green, |left| left.is_empty()).await;
}

#[tokio::test]
async fn a_color_whose_target_refuses_does_not_become_live() {
    let (stage, blue, green) = two().await;
    stage.switch(Blue).await;
    let address = green.address;
    drop(green);
    super::stage::eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    match stage.ask(Ask::Switch { to: Green, health: true }).await {
        Answer::NotHealthy { target, reason } => {
            assert_eq!(target, address.to_string());
            assert!(reason.contains("refused"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(get(stage.live(), "/").await.text, "blue");
    let answer = stage.ask(Ask::Switch { to: Green, health: false }).await;
    assert!(matches!(answer, Answer::Switched { from: Some(Blue), to: Green, .. }), "{answer:?}");
    let got = get(stage.live(), "/").await;
    assert_eq!(got.status, 502);
    assert!(got.text.contains(&address.to_string()), "{}", got.text);
    drop(blue);
}

#[tokio::test]
async fn a_switch_to_the_live_color_changes_nothing() {
    let (stage, _blue, _green) = two().await;
    stage.switch(Blue).await;
    let since = stage.status().await.routing.switched;
    let answer = stage.ask(Ask::Switch { to: Blue, health: true }).await;
    assert!(matches!(answer, Answer::Switched { from: Some(Blue), to: Blue, .. }), "{answer:?}");
    assert_eq!(stage.status().await.routing.switched, since);
}

#[tokio::test]
async fn a_new_stack_under_the_live_color_serves_at_once() {
    let (stage, _blue, green) = two().await;
    stage.switch(Blue).await;
    let mut client = Http::connect(stage.live()).await;
    assert_eq!(client.get("/").await.text, "blue");
    stage.put_for(Blue, green.address, Duration::from_secs(1)).await;
    assert_eq!(client.get("/").await.text, "green");
}
