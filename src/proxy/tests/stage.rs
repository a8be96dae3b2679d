//! A running proxy with its folders, and clients for it.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    model::{
        Color, Listener, PathRule, Route, Stack,
        control::{Answer, Draining, Request as Ask, Status},
    },
    proxy::{
        options::Options,
        server::{Running, start},
        target::Names,
    },
};

/// Long enough for a loaded machine; what is waited for comes at once where all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The live port that routes of the tests name.
pub const WEB: u16 = 3000;

pub struct Stage {
    pub running: Running,
    pub folder: tempfile::TempDir,
    listeners: Vec<Listener>,
}

pub fn listener(route: u16, color: Option<Color>) -> Listener {
    Listener { port: 0, tls: false, tcp: false, route, color }
}

/// The live port and both previews.
pub fn listeners() -> Vec<Listener> {
    [None, Some(Color::Blue), Some(Color::Green)].map(|color| listener(WEB, color)).to_vec()
}

pub fn options(folder: &tempfile::TempDir, listeners: &[Listener]) -> Options {
    let (state, ca) = (folder.path().join("state"), folder.path().join("ca"));
    std::fs::create_dir_all(&state).unwrap();
    std::fs::create_dir_all(&ca).unwrap();
    Options::new(listeners.to_vec(), state, ca, "127.0.0.1".parse().unwrap())
}

impl Stage {
    pub fn start() -> Self {
        Self::with(listeners(), |_| {}, &[])
    }

    pub fn with(
        listeners: Vec<Listener>,
        edit: impl FnOnce(&mut Options),
        names: &[(&str, &[IpAddr])],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(&folder, &listeners);
        edit(&mut options);
        let names: HashMap<_, _> =
            names.iter().map(|(name, all)| ((*name).to_owned(), all.to_vec())).collect();
        let running = start(&options, Names::Fixed(Mutex::new(names))).unwrap();
        Self { running, folder, listeners }
    }

    /// Stops the proxy and starts another on the same folders.
    pub fn restart(self) -> Self {
        let Self { running, folder, listeners } = self;
        running.stop();
        let running = start(&options(&folder, &listeners), Names::System).unwrap();
        Self { running, folder, listeners }
    }

    pub fn live(&self) -> SocketAddr {
        self.running.addresses[0]
    }

    pub fn preview(&self, color: Color) -> SocketAddr {
        let at = self.listeners.iter().position(|l| l.color == Some(color)).unwrap();
        self.running.addresses[at]
    }

    pub async fn ask(&self, request: Ask) -> Answer {
        self.running.control.answer(request).await
    }

    pub async fn status(&self) -> Status {
        match self.ask(Ask::Status).await {
            Answer::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    pub async fn put(&self, color: Color, to: SocketAddr) {
        self.put_for(color, to, Duration::from_mins(10)).await;
    }

    pub async fn put_for(&self, color: Color, to: SocketAddr, drain: Duration) {
        let routes = vec![route(WEB, &[("/", to)])];
        self.put_stack(color, stack(routes), drain).await;
    }

    pub async fn put_stack(&self, color: Color, stack: Stack, drain: Duration) {
        let drain_ms = u64::try_from(drain.as_millis()).unwrap();
        let answer = self.ask(Ask::Put { color, stack, drain_ms }).await;
        assert_eq!(answer, Answer::Done);
    }

    pub async fn switch(&self, to: Color) -> Draining {
        match self.ask(Ask::Switch { to, health: true }).await {
            Answer::Switched { draining, .. } => draining,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until this holds for what is left on a color.
    pub async fn until_left(&self, color: Color, holds: impl Fn(Draining) -> bool) {
        eventually(async || match self.ask(Ask::Drained { color, wait_ms: 0 }).await {
            Answer::Drained { left } => holds(left),
            other => panic!("{other:?}"),
        })
        .await;
    }
}

/// Waits until something holds.
#[expect(clippy::disallowed_methods, reason = "asked again until the deadline")]
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "it never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn route(listen: u16, rules: &[(&str, SocketAddr)]) -> Route {
    let rule = |(prefix, to): &(&str, SocketAddr)| PathRule {
        prefix: (*prefix).to_owned(),
        host: to.ip().to_string(),
        port: to.port(),
        ..PathRule::default()
    };
    Route { listen, paths: rules.iter().map(rule).collect(), ..Route::default() }
}

pub fn stack(routes: Vec<Route>) -> Stack {
    Stack {
        release: "r1".into(),
        revision: None,
        created: "2026-11-21T08:00:00Z".into(),
        images: std::collections::BTreeMap::new(),
        routes,
        replicas: std::collections::BTreeMap::new(),
        tests: None,
    }
}

/// A client's connection that stays open between requests.
pub struct Http {
    send: SendRequest<Full<Bytes>>,
}

pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Http {
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        let (send, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Self { send }
    }

    pub async fn get(&mut self, path: &str) -> Got {
        self.request(Request::get(path), "").await
    }

    pub async fn request(&mut self, head: http::request::Builder, body: impl Into<Bytes>) -> Got {
        let (parts, body) = self.open(head, body).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&text).into_owned();
        Got { status: parts.status, headers: parts.headers, text }
    }

    /// The head of an answer, and its body to come.
    pub async fn open(
        &mut self,
        head: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = head.body(Full::new(body.into())).unwrap();
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", "app.example:3000".parse().unwrap());
        }
        self.send.ready().await.unwrap();
        self.send.send_request(request).await.unwrap()
    }
}

pub async fn get(to: SocketAddr, path: &str) -> Got {
    Http::connect(to).await.get(path).await
}

/// Sends bytes and returns all that comes back until the other end closes.
pub async fn raw(to: SocketAddr, bytes: &[u8]) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut all = vec![];
        let _ = stream.read_to_end(&mut all).await;
        String::from_utf8_lossy(&all).into_owned()
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("the proxy closes the connection")
}
