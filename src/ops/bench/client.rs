//! One connection to a route, and one exchange on it. Nothing is retried that a server may have seen.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, crypto::ring},
};
use tokio_util::either::Either;

use super::found::What;
use crate::{model::Color, ops::test::AnyCertificate};

/// Where requests of one kind go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub tls: bool,
    /// `127.0.0.1:3000`: what is connected to.
    pub address: String,
    /// `shop.example:3000`: what is asked for.
    pub host: String,
    pub path: String,
}

impl Target {
    /// `https://shop.example:3000/path`.
    pub fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.host, self.path)
    }

    /// Of `http://host:port/path`; none where it is no such address.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: http::Uri = url.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self {
            tls,
            address: format!("{}:{port}", authority.host()),
            host: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
}

/// Microseconds since the load began: an hour of them fits.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> u32 {
        u32::try_from(self.0.elapsed().as_micros()).unwrap_or(u32::MAX)
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub struct Failure {
    pub what: What,
    pub reason: String,
}

impl Failure {
    pub const fn new(what: What, reason: String) -> Self {
        Self { what, reason }
    }
}

/// A whole answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub status: u16,
    /// As the answer's header says it.
    pub color: Option<Color>,
    pub sent: u32,
    pub head: u32,
    pub end: u32,
}

/// A body of so many bytes; none where there are none left.
#[derive(Debug, Clone, Copy)]
pub struct Zeros(pub u64);

const PIECE: &[u8] = &[b'0'; 64 << 10];

impl Body for Zeros {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = usize::try_from(self.0).map_or(PIECE.len(), |left| left.min(PIECE.len()));
        self.0 -= piece as u64;
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(Bytes::from_static(&PIECE[..piece])))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// The client's end of a connection.
pub enum Sender {
    One(http1::SendRequest<Zeros>),
    Two(http2::SendRequest<Zeros>),
}

impl Sender {
    /// Whether another request can be sent.
    pub async fn is_open(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Another hold on the same connection, of HTTP/2 only.
    pub fn share(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Two(sender) => Some(Self::Two(sender.clone())),
        }
    }

    pub async fn send(&mut self, request: Request<Zeros>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => sender.send_request(request).await,
            Self::Two(sender) => sender.send_request(request).await,
        }
    }
}

/// What all connections share.
#[derive(Clone)]
pub struct Client {
    pub clock: Clock,
    /// The header that says which color answered.
    pub color: HeaderName,
    one: TlsConnector,
    two: TlsConnector,
}

impl Client {
    pub fn new(color: HeaderName) -> Self {
        let connector = |protocol: &[u8]| {
            let provider = Arc::new(ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("the provider knows them")
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Self { clock: Clock::start(), color, one: connector(b"http/1.1"), two: connector(b"h2") }
    }

    /// Opens a connection; with `two` HTTP/2, which takes TLS.
    pub async fn connect(&self, target: &Target, two: bool) -> Result<Sender, Failure> {
        let failed = |reason: &dyn ToString| Failure::new(What::Connect, reason.to_string());
        let stream = self.stream(target, two).await.map_err(|error| failed(&error))?;
        let io = TokioIo::new(stream);
        if two {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(|error| failed(&error))?;
            tokio::spawn(connection);
            return Ok(Sender::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection.with_upgrades());
        Ok(Sender::One(sender))
    }

    async fn stream(
        &self,
        target: &Target,
        two: bool,
    ) -> std::io::Result<Either<TcpStream, Box<TlsStream<TcpStream>>>> {
        let stream = TcpStream::connect(&target.address).await?;
        stream.set_nodelay(true)?;
        if !target.tls {
            return Ok(Either::Left(stream));
        }
        let name = target.host.rsplit_once(':').map_or(target.host.as_str(), |(host, _)| host);
        let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
            .map_err(std::io::Error::other)?;
        let connector = if two { &self.two } else { &self.one };
        let stream = connector.connect(name, stream).await?;
        if two && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(std::io::Error::other("no HTTP/2"));
        }
        Ok(Either::Right(Box::new(stream)))
    }

    /// A request for the target; `body` bytes are sent along by POST.
    pub fn request(target: &Target, two: bool, body: u64) -> Request<Zeros> {
        let mut request = Request::new(Zeros(body));
        if body > 0 {
            *request.method_mut() = Method::POST;
        }
        let uri = if two { target.url() } else { target.path.clone() };
        *request.uri_mut() = uri.parse().unwrap_or_default();
        if !two && let Ok(host) = HeaderValue::from_str(&target.host) {
            request.headers_mut().insert(header::HOST, host);
        }
        request
    }

    /// Sends a request and reads the whole answer; none when the connection had ended before anything was sent.
    pub async fn exchange(
        &self,
        sender: &mut Sender,
        request: Request<Zeros>,
    ) -> Result<Option<Answer>, Failure> {
        let sent = self.clock.now();
        let response = match sender.send(request).await {
            Ok(response) => response,
            Err(error) if error.is_canceled() => return Ok(None),
            Err(error) => return Err(closed(&error)),
        };
        let head = self.clock.now();
        let status = response.status().as_u16();
        let color = self.color_of(&response);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| closed(&error))?;
        }
        Ok(Some(Answer { status, color, sent, head, end: self.clock.now() }))
    }

    pub fn color_of<B>(&self, response: &Response<B>) -> Option<Color> {
        response.headers().get(&self.color)?.to_str().ok()?.parse().ok()
    }
}

/// The innermost cause says what went wrong; the outer ones only where.
pub fn closed(error: &hyper::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::new(What::Closed, cause.to_string())
}
