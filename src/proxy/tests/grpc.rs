//! Services that speak HTTP/2 without TLS, and clients that do.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::stage::{self, Http, PATIENCE, Stage, WEB, raw, route};
use crate::model::{Color::Blue, Protocol};

type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// Sends back what comes, piece by piece, and says in a trailer how it went.
async fn echo(request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let told = format!(
        "{} {} te={:?} host={:?}",
        parts.uri,
        parts.headers.contains_key("connection"),
        parts.headers.get("te"),
        parts.headers.get("host"),
    );
    tokio::spawn(async move {
        let mut trailers = HeaderMap::new();
        while let Some(Ok(frame)) = body.frame().await {
            match frame.into_data() {
                Ok(data) => send.send(Ok(Frame::data(data))).await.unwrap(),
                Err(other) => trailers = other.into_trailers().unwrap(),
            }
        }
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = send.send(Ok(Frame::trailers(trailers))).await;
    });
    let stream = futures_util::stream::unfold(receive, |mut receive| async move {
        let frame = receive.recv().await?;
        Some((frame, receive))
    });
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(stream.boxed())));
    response.headers_mut().insert("x-told", told.parse().unwrap());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

async fn one() -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            tokio::spawn(connection);
        }
    });
    let stage = Stage::with(stage::listeners(), |options| options.workers = 1, &[]);
    let mut routes = vec![route(WEB, &[("/", address)])];
    routes[0].paths[0].protocol = Protocol::H2c;
    stage.put_stack(Blue, stage::stack(routes), PATIENCE).await;
    stage.switch(Blue).await;
    stage
}

/// A client by prior knowledge.
async fn connect(stage: &Stage) -> SendRequest<Sent> {
    let io = TokioIo::new(TcpStream::connect(stage.live()).await.unwrap());
    let (send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    send
}

#[tokio::test]
async fn a_call_streams_both_ways_and_its_trailers_arrive() {
    let stage = one().await;
    let mut send = connect(&stage).await;
    let (pieces, receive) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let stream = futures_util::stream::unfold(receive, |mut receive| async move {
        Some((receive.recv().await?, receive))
    });
    let request = Request::post("http://shop.example/echo.Echo/Both?x=1")
        .header("te", "trailers")
        .body(BodyExt::boxed_unsync(StreamBody::new(stream.boxed())))
        .unwrap();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
    assert_eq!(
        answer.headers()["x-told"],
        "http://shop.example/echo.Echo/Both?x=1 false te=Some(\"trailers\") host=None"
    );
    let mut body = answer.into_body();
    for n in 0..5 {
        let piece = Bytes::from(format!("message {n}"));
        pieces.send(Ok(Frame::data(piece.clone()))).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), piece, "it comes before the next is sent");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("5"));
    pieces.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(pieces);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-sum"]),
        (&"0".parse().unwrap(), &"5".parse().unwrap())
    );
    stage.until_left(Blue, |left| left.is_empty()).await;
}

#[tokio::test]
async fn many_calls_at_once_and_a_client_of_http1() {
    let stage = one().await;
    let send = connect(&stage).await;
    let mut all = tokio::task::JoinSet::new();
    for n in 0..50_usize {
        let mut send = send.clone();
        all.spawn(async move {
            let body = BodyExt::boxed_unsync(Full::new(Bytes::from(vec![1; n * 1000])));
            let request = Request::post("http://a/").body(body).unwrap();
            let answer = send.send_request(request).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), n * 1000);
        });
    }
    all.join_all().await;
    let got = Http::connect(stage.live()).await.request(Request::post("/x"), "abc").await;
    assert_eq!((got.status.as_u16(), got.text.as_str()), (200, "abc"));
    let upgrade = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
        GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(stage.live(), upgrade.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
