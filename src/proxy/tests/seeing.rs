//! What the proxy tells of its traffic.

use http::Request;

use super::{
    backend::Backend,
    stage::{Http, Stage, WEB, get, listeners, route, stack},
};
use crate::model::{
    AccessFormat,
    Color::{Blue, Green},
    Figures,
    control::{AccessMark, Answer, Request as Ask},
};

async fn metrics(stage: &Stage) -> String {
    get(stage.running.metrics.unwrap(), "/metrics").await.text
}

fn value(metrics: &str, series: &str) -> Option<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|number| number.parse().unwrap())
}

#[tokio::test]
async fn metrics_count_requests_by_route_color_and_class() {
    let stage = Stage::with(listeners(), |options| options.metrics = Some(0), &[]);
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    get(stage.live(), "/").await;
    stage.put(Blue, blue.address).await;
    stage.put(Green, green.address).await;
    stage.switch(Blue).await;
    for path in ["/", "/empty", "/early"] {
        get(stage.live(), path).await;
    }
    stage.switch(Green).await;
    get(stage.live(), "/").await;
    get(stage.preview(Blue), "/").await;
    let mut follower = Http::connect(stage.live()).await;
    let _events = follower.open(Request::get("/events"), "").await;
    let all = metrics(&stage).await;
    let count = |preview: bool, color: &str, code: &str| {
        let labels = format!("route=\"{WEB}\",preview=\"{preview}\",color=\"{color}\"");
        value(&all, &format!("envctl_requests_total{{{labels},code=\"{code}\"}}"))
    };
    assert_eq!(count(false, "", "5xx"), Some(1), "nothing was live:\n{all}");
    assert_eq!(count(false, "blue", "2xx"), Some(2));
    assert_eq!(count(false, "blue", "4xx"), Some(1));
    assert_eq!(count(false, "green", "2xx"), Some(2));
    assert_eq!(count(true, "blue", "2xx"), Some(1));
    assert_eq!(value(&all, "envctl_switches_total"), Some(2));
    assert_eq!(value(&all, "envctl_open{color=\"green\",kind=\"stream\"}"), Some(1), "{all}");
    assert_eq!(value(&all, "envctl_live{color=\"green\"}"), Some(1));
    let labels = format!("route=\"{WEB}\",preview=\"false\",color=\"blue\"");
    assert_eq!(value(&all, &format!("envctl_response_seconds_count{{{labels}}}")), Some(3));
    let bucket = format!("envctl_response_seconds_bucket{{{labels},le=\"+Inf\"}}");
    assert_eq!(value(&all, &bucket), Some(3));
    let healthy =
        format!("envctl_upstream_healthy{{service=\"{0}\",address=\"{0}\"}}", green.address);
    assert_eq!(value(&all, &healthy), Some(1));
    assert_eq!(get(stage.running.metrics.unwrap(), "/").await.status, 404);
}

#[tokio::test]
async fn metrics_name_a_service_that_accepts_nothing() {
    let stage = Stage::with(listeners(), |options| options.metrics = Some(0), &[]);
    let gone = Backend::start("gone").await.address;
    stage.put_stack(Blue, stack(vec![route(WEB, &[("/", gone)])]), std::time::Duration::ZERO).await;
    assert_eq!(get(stage.preview(Blue), "/").await.status, 502);
    let all = metrics(&stage).await;
    let failures = format!("envctl_upstream_failures_total{{service=\"{gone}\"}}");
    assert!(value(&all, &failures) > Some(0), "{all}");
    let healthy = format!("envctl_upstream_healthy{{service=\"{gone}\",address=\"{gone}\"}}");
    assert_eq!(value(&all, &healthy), Some(0));
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_counted_as_such() {
    use tokio::io::AsyncWriteExt as _;
    let stage = Stage::with(listeners(), |options| options.metrics = Some(0), &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let mut client = tokio::net::TcpStream::connect(stage.live()).await.unwrap();
    client.write_all(b"GET /slow?60000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let requests = std::sync::Arc::clone(&blue.requests);
    super::stage::eventually(async || requests.load(std::sync::atomic::Ordering::SeqCst) == 1)
        .await;
    drop(client);
    let series = format!(
        "envctl_requests_total{{route=\"{WEB}\",preview=\"false\",color=\"blue\",code=\"499\"}}"
    );
    super::stage::eventually(async || value(&metrics(&stage).await, &series) == Some(1)).await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_counted_as_such_over_http2_too() {
    let edit = |options: &mut crate::proxy::Options| {
        options.metrics = Some(0);
        options.limits.answer_time = std::time::Duration::from_millis(300);
    };
    let stage = Stage::with(listeners(), edit, &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let stream = tokio::net::TcpStream::connect(stage.live()).await.unwrap();
    let (mut send, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://shop.example/slow?60000");
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.headers()["x-envctl-color"], "blue");
    let all = metrics(&stage).await;
    let count = |code: &str| {
        let labels = format!("route=\"{WEB}\",preview=\"false\",color=\"blue\",code=\"{code}\"");
        value(&all, &format!("envctl_requests_total{{{labels}}}"))
    };
    assert_eq!((count("5xx"), count("499").unwrap_or(0)), (Some(1), 0), "{all}");
}

async fn access(stage: &Stage, after: Option<AccessMark>) -> (Vec<serde_json::Value>, AccessMark) {
    match stage.ask(Ask::Access { tail: 100, after }).await {
        Answer::Access { lines, mark } => {
            (lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect(), mark)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_request_leaves_a_line_in_the_access_log() {
    let stage =
        Stage::with(listeners(), |options| options.access_log = Some(AccessFormat::Json), &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let head = Request::get("/uri?secret=1").header("x-request-id", "mine");
    let mut client = Http::connect(stage.live()).await;
    client.request(head, "").await;
    super::stage::eventually(async || access(&stage, None).await.0.len() == 1).await;
    let (lines, mark) = access(&stage, None).await;
    let line = &lines[0];
    assert_eq!(line["path"], "/uri");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["id"], "mine");
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes"], "/uri?secret=1".len());
    assert_eq!((&line["color"], &line["release"]), (&"blue".into(), &"r1".into()));
    assert_eq!(line["upstream"], blue.address.to_string());
    assert!(line["ms"].as_f64().unwrap() > 0.0, "{line}");

    get(stage.preview(Green), "/none").await;
    super::stage::eventually(async || access(&stage, Some(mark)).await.0.len() == 1).await;
    let (lines, _) = access(&stage, Some(mark)).await;
    assert_eq!((&lines[0]["status"], &lines[0]["upstream"]), (&503.into(), &().into()));
}

#[tokio::test]
async fn without_an_access_log_there_is_none_to_read() {
    let stage = Stage::start();
    let answer = stage.ask(Ask::Access { tail: 1, after: None }).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    assert!(!stage.folder.path().join("state/access").exists());
}

async fn watched(stage: &Stage) -> Option<Figures> {
    match stage.ask(Ask::Watched).await {
        Answer::Watched(figures) => Some(figures),
        Answer::Refused { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watch_counts_what_came_to_its_color_on_live_routes_since_it_began() {
    let stage = Stage::start();
    let (blue, green) = (Backend::start("blue").await, Backend::start("green").await);
    stage.put(Blue, blue.address).await;
    stage.put(Green, green.address).await;
    stage.switch(Green).await;
    get(stage.live(), "/").await;
    assert_eq!(watched(&stage).await, None);
    for round in 1..3_u64 {
        assert_eq!(stage.ask(Ask::Watch { color: Some(Green) }).await, Answer::Done);
        stage.switch(Blue).await;
        get(stage.live(), "/").await;
        get(stage.preview(Green), "/").await;
        stage.switch(Green).await;
        for _ in 0..3 {
            get(stage.live(), "/").await;
        }
        get(stage.live(), "/slow?120").await;
        let figures = watched(&stage).await.unwrap();
        assert_eq!((figures.requests, figures.failed), (4, 0), "round {round}");
        assert!(figures.p99().unwrap() > std::time::Duration::from_millis(100), "{figures}");
    }
    let address = green.address;
    drop(green);
    super::stage::eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    assert_eq!(get(stage.live(), "/").await.status, 502);
    assert_eq!(watched(&stage).await.map(|figures| figures.failed), Some(1));
    stage.ask(Ask::Watch { color: None }).await;
    assert_eq!(watched(&stage).await, None);
}
