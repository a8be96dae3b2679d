//! What becomes of heads, bodies and failures on their way.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt as _;

use super::{
    backend::{self, Backend},
    stage::{self, Http, PATIENCE, Stage, WEB, get, raw, route},
};
use crate::model::{
    Color::{Blue, Green},
    PathRule, Route,
};

async fn one() -> (Stage, Backend) {
    let stage = Stage::start();
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    (stage, blue)
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn the_service_learns_who_asked_and_how() {
    let (stage, _blue) = one().await;
    let mut client = Http::connect(stage.live()).await;
    let request = Request::get("/headers")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "for=6.6.6.6")
        .header("connection", "x-secret")
        .header("x-secret", "1")
        .header("te", "trailers, deflate")
        .header("keep-alive", "timeout=5")
        .header("x-request-id", "mine-1");
    let text = client.request(request, "").await.text;
    assert_eq!(header(&text, "host"), Some("app.example:3000"));
    assert_eq!(header(&text, "x-forwarded-host"), Some("app.example:3000"));
    assert_eq!(header(&text, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&text, "x-forwarded-proto"), Some("http"));
    assert!(header(&text, "x-forwarded-port").is_some());
    assert_eq!(header(&text, "x-request-id"), Some("mine-1"));
    assert_eq!(header(&text, "te"), Some("trailers"));
    assert_eq!(header(&text, "forwarded"), Some("for=127.0.0.1;proto=http"));
    for gone in ["x-secret", "connection", "keep-alive"] {
        assert_eq!(header(&text, gone), None, "{gone} in {text}");
    }
    let first = client.get("/headers").await.text;
    let second = client.get("/headers").await.text;
    let id = |text| header(text, "x-request-id").unwrap().to_owned();
    assert_eq!(id(&first).len(), 16);
    assert_ne!(id(&first), id(&second));
}

#[tokio::test]
async fn a_proxy_in_front_is_believed_when_told_so() {
    let stage = Stage::with(stage::listeners(), |options| options.trust_forwarded = true, &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let request = Request::get("/headers")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https");
    let text = Http::connect(stage.live()).await.request(request, "").await.text;
    assert_eq!(header(&text, "x-forwarded-for"), Some("6.6.6.6, 127.0.0.1"));
    assert_eq!(header(&text, "x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn what_concerns_one_connection_stays_there() {
    let (stage, _blue) = one().await;
    let got = get(stage.live(), "/hop").await;
    for gone in ["connection", "keep-alive", "x-private", "upgrade"] {
        assert!(!got.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(got.headers["x-public"], "1");
}

#[tokio::test]
async fn the_longest_prefix_decides_and_may_come_off() {
    let stage = Stage::start();
    let (web, api) = (Backend::start("web").await, Backend::start("api").await);
    let mut routes = vec![route(WEB, &[("/", web.address), ("/api", api.address)])];
    routes[0].paths[1].strip = true;
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    stage.switch(Blue).await;
    let mut client = Http::connect(stage.live()).await;
    assert_eq!(client.get("/").await.text, "web");
    assert_eq!(client.get("/apix").await.text, "web");
    assert_eq!(client.get("/api").await.text, "api");
    assert_eq!(client.get("/api/uri?x=1").await.text, "/uri?x=1");
    let text = client.get("/api/headers").await.text;
    assert_eq!(header(&text, "x-forwarded-prefix"), Some("/api"));
    let absolute = format!("http://other.example{}", "/api/headers");
    let text = client.request(Request::get(absolute), "").await.text;
    assert_eq!(header(&text, "host"), Some("other.example"));
}

#[tokio::test]
async fn a_path_without_a_rule_is_not_found() {
    let stage = Stage::start();
    let api = Backend::start("api").await;
    let routes = vec![route(WEB, &[("/api", api.address)])];
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    stage.switch(Blue).await;
    assert_eq!(get(stage.live(), "/api/x").await.status, 200);
    let got = get(stage.live(), "/").await;
    assert_eq!(
        (got.status.as_u16(), got.text.as_str()),
        (404, "404: blue has no route for this path\n")
    );
}

#[tokio::test]
async fn bodies_of_any_size_arrive_whole_in_both_directions() {
    let (stage, _blue) = one().await;
    let mut client = Http::connect(stage.live()).await;
    let big = Bytes::from(vec![3; 10_000_000]);
    let got = client.request(Request::post("/upload"), big.clone()).await;
    assert_eq!(got.text, "blue 10000000 30000000");
    let got = client.request(Request::post("/echo"), big.clone()).await;
    assert_eq!(got.text.len(), big.len());
    let got = client.open(Request::get("/download?1000"), "").await;
    let all = got.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all.len(), 1000 * 16384);
    assert!(
        all.chunks(16384).enumerate().all(|(n, part)| part[0] == u8::try_from(n % 251).unwrap())
    );
    // The same connection still serves what has no body.
    let head = client.request(Request::head("/"), "").await;
    assert_eq!(
        (head.status.as_u16(), head.headers["content-length"].to_str().unwrap()),
        (200, "4")
    );
    assert_eq!(client.get("/empty").await.status, 204);
    assert_eq!(client.get("/").await.text, "blue");
}

#[tokio::test]
async fn a_body_of_known_length_goes_on_in_few_pieces_and_a_chunked_one_as_it_comes() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (stage, _blue) = one().await;
    let pieces = async |framing: &str, piece: &[u8], end: &[u8]| -> u32 {
        let mut stream = tokio::net::TcpStream::connect(stage.live()).await.unwrap();
        let head =
            format!("POST /pieces HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut turn = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..20 {
            turn.tick().await;
            stream.write_all(piece).await.unwrap();
        }
        stream.write_all(end).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split_once("blue ").unwrap().1.parse().unwrap()
    };
    assert_eq!(pieces("content-length: 20", b"x", b"").await, 1);
    let many = pieces("content-length: 200000", &[1; 10_000], b"").await;
    assert!((10..=14).contains(&many), "{many}");
    let chunks = pieces("transfer-encoding: chunked", b"1\r\nx\r\n", b"0\r\n\r\n").await;
    assert!(chunks > 10, "{chunks}");
}

#[tokio::test]
async fn chunks_and_old_clients_and_expectations_are_served() {
    let (stage, _blue) = one().await;
    let chunked = "POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\
        connection: close\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n";
    let answer = raw(stage.live(), chunked.as_bytes()).await;
    assert!(answer.ends_with("blue 5 495"), "{answer}");

    let answer = raw(stage.live(), b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("blue"), "{answer}");

    let expecting = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\
        expect: 100-continue\r\nconnection: close\r\n\r\nab";
    let answer = raw(stage.live(), expecting.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), "{answer}");

    let two = "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /uri HTTP/1.1\r\nhost: a\r\n\
        connection: close\r\n\r\n";
    let answer = raw(stage.live(), two.as_bytes()).await;
    assert!(answer.contains("\r\n\r\nblueHTTP/1.1 200") && answer.ends_with("/uri"), "{answer}");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (stage, _blue) = one().await;
    let mut stream = tokio::net::TcpStream::connect(stage.live()).await.unwrap();
    let head = "POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 5000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // What is sent after the answer is still taken: a client that has to write it all before it reads is not cut off.
    for _ in 0..50 {
        stream.write_all(&vec![1; 100_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("blue"), "{rest}");
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let (stage, blue) = one().await;
    let cases: &[(&str, &str, &str)] = &[
        ("POST / HTTP/1.1", "host: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ncontent-length: 3, 4\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ncontent-length: +3\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ncontent-length: -1\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ncontent-length : 3\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ntransfer-encoding: gzip\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ntransfer-encoding: chunked, gzip\r\n", "400"),
        ("POST / HTTP/1.1", "host: a\r\ntransfer-encoding: xchunked\r\n", "400"),
        (
            "POST / HTTP/1.1",
            "host: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1",
            "host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "400",
        ),
        ("GET / HTTP/1.1", "host: a\nx: 1\r\n", "400"),
        ("POST / HTTP/1.0", "host: a\r\ntransfer-encoding: chunked\r\n", "400"),
        ("GET / HTTP/1.1", "host: a\r\n folded: 1\r\n", "400"),
        ("GET / HTTP/1.1", "host: a\r\nx: a\0b\r\n", "400"),
        ("GET / HTTP/1.1", "host: a\r\nhost: b\r\n", "400"),
        ("GET / HTTP/1.1", "host: a/b\r\n", "400"),
        ("GET / HTTP/1.1", "x: 1\r\n", "400"),
        ("GET  / HTTP/1.1", "host: a\r\n", "400"),
        ("GET /\tx HTTP/1.1", "host: a\r\n", "400"),
        ("CONNECT a:80 HTTP/1.1", "host: a:80\r\n", "405"),
        ("GET / HTTP/3.0", "host: a\r\n", "400"),
    ];
    for (first, headers, status) in cases {
        let request = format!("{first}\r\n{headers}\r\n");
        let answer = raw(stage.live(), request.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{request:?} was answered with {answer:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(40 << 10));
    let answer = raw(stage.live(), long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    assert_eq!(blue.requests.load(SeqCst), 0);

    for body in ["x\r\n", "3\r\nabcd\r\n", "ffffffffffffffff1\r\n", "3\nabc\n0\n\n"] {
        let request =
            format!("POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let answer = raw(stage.live(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?} was answered with {answer:?}");
    }
}

#[tokio::test]
async fn a_target_that_fails_is_named() {
    let stage = Stage::with(stage::listeners(), |_| {}, &[("green-nowhere", &[])]);
    let closed = Backend::start("closed").await.address;
    let garbage = backend::saying(b"what?\r\n\r\n").await;
    let silent = backend::saying(b"").await;
    let mut routes =
        vec![route(WEB, &[("/closed", closed), ("/garbage", garbage), ("/silent", silent)])];
    routes[0].paths.push(PathRule {
        prefix: "/nowhere".into(),
        host: "green-nowhere".into(),
        port: 80,
        ..PathRule::default()
    });
    stage.put_stack(Green, stage::stack(routes), PATIENCE).await;
    let mut client = Http::connect(stage.preview(Green)).await;
    for (path, words) in [
        ("/closed", format!("{closed} does not accept connections")),
        ("/garbage", format!("{garbage} sent an answer that is not HTTP")),
        ("/silent", format!("{silent} closed the connection before it answered")),
        ("/nowhere", "green-nowhere:80 has no running container".into()),
    ] {
        let got = client.get(path).await;
        assert_eq!(got.status, 502, "{path}: {}", got.text);
        assert!(got.text.contains(&words), "{path}: {}", got.text);
        assert_eq!(got.headers["x-envctl-color"], "green");
    }
    let html = Request::get("/silent").header("accept", "text/html,*/*");
    let got = client.request(html, "").await;
    assert!(got.text.starts_with("<!doctype html>"), "{}", got.text);
}

#[tokio::test]
async fn clients_and_services_that_take_too_long_are_given_up() {
    let edit = |options: &mut crate::proxy::Options| {
        let limits = &mut options.limits;
        limits.answer_time = Duration::from_millis(300);
        limits.idle_time = Duration::from_millis(300);
        limits.header_time = Duration::from_millis(300);
        limits.stall_time = Duration::from_millis(300);
    };
    let stage = Stage::with(stage::listeners(), edit, &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let got = get(stage.live(), "/slow?60000").await;
    assert_eq!(got.status, 504);
    assert!(got.text.contains(&format!("{} did not answer in time", blue.address)), "{}", got.text);
    for head in [
        "",
        "GET / HTTP/1.1\r\nhost",
        "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
    ] {
        let answer = raw(stage.live(), head.as_bytes()).await;
        assert!(!answer.contains("200"), "{head:?} was answered with {answer:?}");
    }
    let answer = raw(stage.live(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.ends_with("blue"), "{answer}");
}

#[tokio::test]
async fn connections_are_reused_only_for_what_can_be_repeated() {
    // One worker: connections are kept for each worker.
    let stage = Stage::with(stage::listeners(), |options| options.workers = 1, &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    let mut client = Http::connect(stage.preview(Blue)).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text, "blue");
    }
    assert_eq!(blue.connections.load(SeqCst), 1);
    // A DELETE may have been carried out where its answer got lost.
    let changes = [Request::post("/upload"), Request::delete("/upload"), Request::put("/upload")];
    for (n, change) in changes.into_iter().enumerate() {
        assert_eq!(blue.connections.load(SeqCst), 1 + n);
        client.request(change, "").await;
    }
    for n in 0..10 {
        // Closed by the service after each answer: never an error, and never used again.
        assert_eq!(client.get("/once").await.text, "blue", "{n}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_error() {
    let stage = Stage::with(stage::listeners(), |options| options.workers = 1, &[]);
    let blue = Backend::start("blue").await;
    let address = blue.address;
    stage.put(Blue, address).await;
    let mut client = Http::connect(stage.preview(Blue)).await;
    assert_eq!(client.get("/").await.text, "blue");
    drop(blue);
    stage::eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    let _again = Backend::start_at("again", address.ip(), address.port()).await;
    assert_eq!(client.get("/").await.text, "again");
}

#[tokio::test]
async fn replicas_share_the_load_and_a_dead_one_is_passed_over() {
    let ips = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)].map(IpAddr::V4);
    let stage = Stage::with(stage::listeners(), |_| {}, &[("blue-api", &ips)]);
    let first = Backend::start_at("one", ips[0], 0).await;
    let port = first.address.port();
    let second = Backend::start_at("two", ips[1], port).await;
    let rule =
        PathRule { prefix: "/".into(), host: "blue-api".into(), port, ..PathRule::default() };
    let routes = vec![Route { listen: WEB, paths: vec![rule], ..Route::default() }];
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    stage.switch(Blue).await;
    let mut all = tokio::task::JoinSet::new();
    let live = stage.live();
    for _ in 0..10 {
        all.spawn(async move { get(live, "/slow?200").await.text });
    }
    let texts = all.join_all().await;
    assert!(texts.iter().any(|text| text == "one") && texts.iter().any(|text| text == "two"));
    assert!(first.requests.load(SeqCst) >= 3 && second.requests.load(SeqCst) >= 3);

    let address = second.address;
    drop(second);
    stage::eventually(async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    let mut client = Http::connect(live).await;
    for n in 0..20 {
        let method = if n % 2 == 0 { Method::GET } else { Method::POST };
        let got = client.request(Request::builder().method(method).uri("/upload"), "x").await;
        assert_eq!(got.status, 200, "{}", got.text);
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let said = std::sync::Arc::clone(&seen);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = vec![];
        while !all.ends_with(b"x-sum: 1\r\n\r\n") {
            assert!(stream.read_buf(&mut all).await.unwrap() > 0);
        }
        *said.lock().unwrap() = String::from_utf8(all).unwrap();
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
            2\r\nok\r\n0\r\nx-end: 2\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let stage = Stage::start();
    stage.put(Blue, address).await;
    let preview = stage.preview(Blue);
    let request = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-sum\r\nconnection: te, close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    let answer = raw(preview, request.as_bytes()).await;
    assert!(answer.ends_with("2\r\nok\r\n0\r\nx-end: 2\r\n\r\n"), "{answer}");
    assert!(seen.lock().unwrap().contains("3\r\nabc\r\n0\r\nx-sum: 1"));
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_and_a_slow_one_is_not() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let edit = |options: &mut crate::proxy::Options| {
        options.limits.stall_time = Duration::from_millis(500);
    };
    let stage = Stage::with(stage::listeners(), edit, &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    let send = async |piece: &[u8], pieces: usize| {
        let mut stream = tokio::net::TcpStream::connect(stage.live()).await.unwrap();
        let length = piece.len() * pieces;
        let head = format!(
            "POST /upload HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut turn = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..pieces {
            turn.tick().await;
            if stream.write_all(piece).await.is_err() {
                break;
            }
        }
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let (slow, trickling) = tokio::join!(send(&[1; 8192], 60), send(&[1], 200));
    assert!(slow.ends_with("blue 491520 491520"), "{slow}");
    assert!(!trickling.contains("200 OK"), "{trickling}");
}
