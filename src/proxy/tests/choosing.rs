//! A color asked for by name on a live port, and assets that only the other color has.

use http::Request;

use super::{
    backend::Backend,
    stage::{self, Got, Http, PATIENCE, Stage, WEB, eventually, get, listeners, route},
};
use crate::model::{
    AccessFormat, Chooser,
    Color::{self, Blue, Green},
    Route,
    control::{Answer, Request as Ask},
};

/// Blue live, green beside it, with routes like this.
async fn two(edit: impl Fn(&mut Route)) -> (Stage, Backend, Backend) {
    let log = |options: &mut crate::proxy::Options| options.access_log = Some(AccessFormat::Json);
    let stage = Stage::with(listeners(), log, &[]);
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    for (color, backend) in [(Blue, &blue), (Green, &green)] {
        let mut routes = vec![route(WEB, &[("/", backend.address)])];
        edit(&mut routes[0]);
        stage.put_stack(color, stage::stack(routes), PATIENCE).await;
    }
    stage.switch(Blue).await;
    (stage, blue, green)
}

fn chooser(route: &mut Route) {
    let (header, cookie) = (Some("X-Envctl-Color".to_owned()), Some("preview".to_owned()));
    route.chooser = Some(Chooser { header, cookie });
}

async fn with(stage: &Stage, path: &str, header: &str, value: &str) -> Got {
    let head = Request::get(path).header(header, value);
    Http::connect(stage.live()).await.request(head, "").await
}

#[tokio::test]
async fn who_names_a_color_gets_it_and_the_others_the_live_one() {
    let (stage, _blue, _green) = two(chooser).await;
    for (header, value, color) in [
        ("x-envctl-color", "green", "green"),
        ("x-envctl-color", "blue", "blue"),
        ("x-envctl-color", "red", "blue"),
        ("cookie", "a=b; preview=green", "green"),
        ("cookie", "preview=", "blue"),
    ] {
        let got = with(&stage, "/", header, value).await;
        assert_eq!(got.text, color, "{header}: {value}");
        assert_eq!(got.headers["x-envctl-color"], color);
        assert_eq!(got.headers["vary"], "x-envctl-color", "a cache tells them apart");
        let kept = got.headers.get("cache-control").is_none_or(|value| value != "no-store");
        assert_eq!(kept, !["green", "blue"].iter().any(|color| value.ends_with(color)));
    }
    let seen = with(&stage, "/headers", "x-envctl-color", "green").await.text;
    assert!(!seen.contains("x-envctl-color"), "no service sees it: {seen}");
    assert_eq!(with(&stage, "/", "x-envctl-color", "green").await.text, "green");
    let preview = Request::get("/").header("x-envctl-color", "green");
    let preview = Http::connect(stage.preview(Blue)).await.request(preview, "").await;
    assert_eq!(preview.text, "blue", "a preview is of one color");
}

#[tokio::test]
async fn a_tester_is_no_part_of_a_share_and_keeps_no_color_from_going() {
    let (stage, _blue, _green) = two(chooser).await;
    stage.ask(Ask::Weigh { to: Green, weight: 99, health: true }).await;
    let got = with(&stage, "/", "x-envctl-color", "blue").await;
    assert_eq!(got.text, "blue");
    assert!(!got.headers.contains_key("set-cookie"));
    stage.ask(Ask::Weigh { to: Green, weight: 0, health: true }).await;
    let head = Request::get("/stuck").header("x-envctl-color", "green");
    let _held = Http::connect(stage.live()).await.open(head, "").await;
    assert_eq!(stage.status().await.open[&Green].requests, 1);
    match stage.ask(Ask::Drained { color: Green, wait_ms: 0 }).await {
        Answer::Drained { left } => assert!(left.is_empty(), "{left:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.ask(Ask::Forget { color: Green }).await, Answer::Done);
    let got = with(&stage, "/", "x-envctl-color", "green").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (503, "503: green has no release yet\n"));
}

#[tokio::test]
async fn without_the_option_a_header_chooses_nothing_and_reaches_the_service() {
    let (stage, _blue, _green) = two(|_| {}).await;
    let got = with(&stage, "/headers", "x-envctl-color", "green").await;
    assert!(got.text.contains("x-envctl-color: green"), "{}", got.text);
    assert_eq!(got.headers["x-envctl-color"], "blue");
    assert!(!got.headers.contains_key("vary"));
}

const BLUES: &str = "/only/blue/app-3f2c1d9e.js";
const GREENS: &str = "/only/green/app-77ff00aa.js";

async fn line(stage: &Stage, path: &str, status: u16) -> serde_json::Value {
    let mut found = None;
    eventually(async || {
        let Answer::Access { lines, .. } = stage.ask(Ask::Access { tail: 50, after: None }).await
        else {
            panic!("no log")
        };
        let mut lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        found = lines
            .rfind(|line: &serde_json::Value| line["path"] == path && line["status"] == status);
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test]
async fn an_asset_that_one_color_lacks_comes_from_the_other_in_both_directions() {
    let (stage, blue, green) = two(|route| route.shared_assets = true).await;
    // A page of blue's, whose asset is asked for after the switch.
    stage.switch(Green).await;
    let got = get(stage.live(), BLUES).await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, "blue"));
    assert_eq!(got.headers["x-envctl-color"], "blue");
    let logged = line(&stage, BLUES, 200).await;
    assert_eq!((&logged["color"], &logged["instead_of"]), (&"blue".into(), &"green".into()));
    assert_eq!(logged["upstream"], blue.address.to_string());
    // A page of green's share, whose asset is asked of blue.
    stage.switch(Blue).await;
    stage.ask(Ask::Weigh { to: Green, weight: 1, health: true }).await;
    get(stage.live(), "/").await;
    let head = Request::head(GREENS);
    let got = Http::connect(stage.live()).await.request(head, "").await;
    assert_eq!(
        (got.status.as_u16(), &got.headers["x-envctl-color"]),
        (200, &"green".parse().unwrap())
    );

    // What both lack, what is no such asset, and what does not read, is not asked twice.
    for color in Color::ALL {
        stage.until_left(color, |left| left.is_empty()).await;
    }
    for (head, asked) in [
        (Request::get("/only/none/app-3f2c1d9e.js"), 1),
        (Request::get("/only/green/app.js"), 0),
        (Request::get("/only/green/page-77ff00aa"), 0),
        (Request::post(GREENS), 0),
    ] {
        let before = green.requests.load(std::sync::atomic::Ordering::SeqCst);
        let got = Http::connect(stage.live()).await.request(head, "").await;
        assert_eq!(
            (got.status.as_u16(), &got.headers["x-envctl-color"]),
            (404, &"blue".parse().unwrap())
        );
        let after = green.requests.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(after - before, asked);
    }
    assert_eq!(get(stage.preview(Blue), GREENS).await.status, 404, "a preview is of one color");
    drop((blue, green));
}

#[tokio::test]
async fn an_asset_is_not_asked_of_a_color_that_is_gone_or_where_that_was_not_wished() {
    let (stage, _blue, green) = two(|route| route.shared_assets = true).await;
    let address = green.address;
    drop(green);
    eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert_eq!(get(stage.live(), GREENS).await.status, 404);
    assert_eq!(stage.ask(Ask::Forget { color: Green }).await, Answer::Done);
    assert_eq!(get(stage.live(), GREENS).await.status, 404);
    let (stage, _blue, _green) = two(|_| {}).await;
    assert_eq!(get(stage.live(), GREENS).await.status, 404);
}
