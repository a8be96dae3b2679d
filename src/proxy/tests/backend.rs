//! A service behind the proxy: says its name, and does what the path asks.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

type Body = BoxBody<Bytes, Infallible>;

pub struct Backend {
    pub address: SocketAddr,
    pub requests: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    /// Whether `/health` says no.
    pub sick: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    pub async fn start(name: &'static str) -> Self {
        Self::start_at(name, "127.0.0.1".parse().unwrap(), 0).await
    }

    pub async fn start_at(name: &'static str, ip: IpAddr, port: u16) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let sick = Arc::<AtomicBool>::default();
        let counted = (Arc::clone(&requests), Arc::clone(&connections), Arc::clone(&sick));
        let task = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.1.fetch_add(1, SeqCst);
                let (requests, sick) = (Arc::clone(&counted.0), Arc::clone(&counted.2));
                let service = service_fn(move |request| {
                    requests.fetch_add(1, SeqCst);
                    answer(name, sick.load(SeqCst), request)
                });
                let io = TokioIo::new(stream);
                let connection = http1::Builder::new().serve_connection(io, service);
                serving.spawn(connection.with_upgrades());
            }
        });
        Self { address, requests, connections, sick, task }
    }
}

/// A TCP service that reads to the end, then says its name and how many bytes there were.
pub async fn counting(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"hello\n").await.unwrap();
                let mut all = vec![];
                stream.read_to_end(&mut all).await.unwrap();
                let _ = stream.write_all(format!("{name} {}", all.len()).as_bytes()).await;
            });
        }
    });
    address
}

/// A TCP service that says this to each connection, and hangs up.
pub async fn greeting(hello: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(hello).await;
        }
    });
    address
}

/// A service that answers each connection's first bytes with these, and hangs up.
pub async fn saying(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0; 1024];
                let _ = stream.read(&mut first).await;
                let _ = stream.write_all(bytes).await;
            });
        }
    });
    address
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

async fn answer(
    name: &'static str,
    sick: bool,
    request: Request<Incoming>,
) -> hyper::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut response = Response::new(full(name));
    match path.as_str() {
        "/slow" => wait(query.parse().unwrap()).await,
        "/uri" => *response.body_mut() = full(request.uri().to_string()),
        "/headers" => {
            let mut lines: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            lines.sort();
            *response.body_mut() = full(lines.join("\n"));
        }
        "/upload" => {
            let body = request.into_body().collect().await?.to_bytes();
            let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
            *response.body_mut() = full(format!("{name} {} {sum}", body.len()));
        }
        "/pieces" => {
            let pieces = request.into_body().into_data_stream();
            let count = futures_util::StreamExt::count(pieces).await;
            *response.body_mut() = full(format!("{name} {count}"));
        }
        "/echo" => *response.body_mut() = request.into_body().map_err(|_| unreachable!()).boxed(),
        "/download" => {
            let chunks = (0..query.parse::<usize>().unwrap())
                .map(|n| Ok(Frame::data(Bytes::from(vec![u8::try_from(n % 251).unwrap(); 16384]))));
            let stream = futures_util::stream::iter(chunks);
            *response.body_mut() = BodyExt::boxed(StreamBody::new(stream));
        }
        "/events" => {
            let stream = futures_util::stream::unfold(0_u64, move |n| async move {
                if n > 0 {
                    wait(50).await;
                }
                let event = format!("id: {n}\ndata: {name}\n\n");
                Some((Ok(Frame::data(Bytes::from(event))), n + 1))
            });
            response = Response::new(BodyExt::boxed(StreamBody::new(stream)));
            let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
            response.headers_mut().insert("content-type", kind);
        }
        "/stuck" => {
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from("first")))]);
            let stream = futures_util::StreamExt::chain(first, futures_util::stream::pending());
            *response.body_mut() = BodyExt::boxed(StreamBody::new(stream));
        }
        "/health" if sick => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        "/hop" => {
            let headers = response.headers_mut();
            headers.insert("connection", HeaderValue::from_static("x-private, keep-alive"));
            headers.insert("keep-alive", HeaderValue::from_static("timeout=9"));
            headers.insert("x-private", HeaderValue::from_static("1"));
            headers.insert("upgrade", HeaderValue::from_static("h2c"));
            headers.insert("x-public", HeaderValue::from_static("1"));
        }
        "/early" => {
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            // Reads on for a while, as a server does that wants its answer to arrive.
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(Ok(_)) = body.frame().await {
                    wait(50).await;
                }
            });
        }
        "/once" => {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert("connection", close);
        }
        "/empty" => {
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = Empty::new().boxed();
        }
        // What only one service has: `/only/blue/…`.
        only if only.starts_with("/only/") && only.split('/').nth(2) != Some(name) => {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        "/ws" => return Ok(websocket(name, request)),
        _ => {}
    }
    Ok(response)
}

#[expect(clippy::disallowed_methods, reason = "a slow service")]
async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Says its name first, then everything back.
fn websocket(name: &'static str, mut request: Request<Incoming>) -> Response<Body> {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
    };
    let key = derive_accept_key(request.headers()["sec-websocket-key"].as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        let _ = socket.send(Message::text(name)).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(Empty::new().boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", HeaderValue::from_static("Upgrade"));
    headers.insert("upgrade", HeaderValue::from_static("websocket"));
    headers.insert("sec-websocket-accept", HeaderValue::from_str(&key).unwrap());
    response
}
