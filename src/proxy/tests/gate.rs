//! A pause, and maintenance.

use std::time::Duration;

use http::Request;

use super::{
    backend::Backend,
    stage::{Http, PATIENCE, Stage, eventually, get},
};
use crate::model::{
    Color::Blue,
    Maintenance,
    control::{Answer, Request as Ask},
};

async fn one() -> (Stage, Backend) {
    let stage = Stage::start();
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    (stage, blue)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

async fn pause(stage: &Stage, limit: Duration, hold: Duration, most: u64) {
    let ask = Ask::Pause { limit_ms: ms(limit), hold_ms: ms(hold), most };
    assert_eq!(stage.ask(ask).await, Answer::Done);
}

async fn until_held(stage: &Stage, number: u64) {
    eventually(async || stage.status().await.paused.is_some_and(|p| p.held == number)).await;
}

#[tokio::test]
async fn a_pause_holds_requests_and_resume_lets_them_all_through() {
    let (stage, blue) = one().await;
    pause(&stage, PATIENCE, PATIENCE, 10).await;
    let at = stage.live();
    let held: Vec<_> = (0..3).map(|_| tokio::spawn(async move { get(at, "/").await })).collect();
    until_held(&stage, 3).await;
    assert_eq!(blue.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(get(stage.preview(Blue), "/").await.text, "blue", "previews go on");
    assert_eq!(stage.ask(Ask::Resume).await, Answer::Resumed { held: 3 });
    for request in held {
        assert_eq!(request.await.unwrap().text, "blue");
    }
    assert_eq!(stage.status().await.paused, None);
    assert_eq!(get(stage.live(), "/").await.text, "blue");
}

#[tokio::test]
async fn what_a_pause_cannot_hold_is_told_to_come_again() {
    let (stage, _blue) = one().await;
    pause(&stage, PATIENCE, PATIENCE, 1).await;
    let at = stage.live();
    let held = tokio::spawn(async move { get(at, "/").await });
    until_held(&stage, 1).await;
    let got = get(stage.live(), "/").await;
    assert_eq!((got.status.as_u16(), &got.headers["retry-after"]), (503, &"5".parse().unwrap()));
    stage.ask(Ask::Resume).await;
    assert_eq!(held.await.unwrap().text, "blue");

    pause(&stage, PATIENCE, Duration::from_millis(20), 10).await;
    assert_eq!(get(stage.live(), "/").await.status, 503, "it was held for long enough");
}

#[tokio::test]
async fn a_pause_ends_by_itself() {
    let (stage, _blue) = one().await;
    pause(&stage, Duration::from_millis(50), PATIENCE, 10).await;
    assert_eq!(get(stage.live(), "/").await.text, "blue");
    assert_eq!(stage.status().await.paused, None);
}

#[tokio::test]
async fn maintenance_shows_the_users_page_survives_a_restart_and_leaves_previews_alone() {
    let (stage, blue) = one().await;
    let page = Some("<h1>soon</h1>".to_owned());
    let maintenance = Some(Maintenance { since: "2026-11-21T08:00:00Z".to_owned(), page });
    assert_eq!(stage.ask(Ask::Maintain { maintenance }).await, Answer::Done);
    let stage = stage.restart();
    let browser = || Request::get("/").header("accept", "text/html");
    let got = Http::connect(stage.live()).await.request(browser(), "").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (503, "<h1>soon</h1>"));
    assert_eq!(got.headers["content-type"], "text/html; charset=utf-8");
    assert!(got.headers.contains_key("retry-after"));
    let got = get(stage.live(), "/").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (503, "503: this is under maintenance\n"));
    assert_eq!(get(stage.preview(Blue), "/").await.text, "blue");
    assert_eq!(stage.ask(Ask::Maintain { maintenance: None }).await, Answer::Done);
    assert_eq!(get(stage.live(), "/").await.text, "blue");
    drop(blue);
}
