//! HTTP to the engine over connections that are kept: bollard's own transports open one for each request.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use super::{Address, spent, tls, version::Version};
use crate::engine::EngineError;

type Bollard = bollard::errors::Error;

/// What bollard sends: bytes, or a stream of them.
pub(super) type Body = Either<
    Full<Bytes>,
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>,
>;

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

pub(super) fn stream(bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    Either::Right(StreamBody::new(Box::pin(bytes.map_ok(Frame::data))))
}

/// Time to get a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// No connection could be had; inside of an [`io::Error`], to tell it from a connection that broke.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotConnected(pub String);

/// The connections to one engine.
pub(super) struct Transport {
    address: Address,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<SendRequest<Body>>>,
    /// Put before each path; none before it is agreed on.
    version: Mutex<Option<Version>>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({})", self.address)
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

impl Transport {
    pub fn new(address: &Address) -> Result<Arc<Self>, EngineError> {
        let tls = match address {
            Address::Tcp { tls: Some(folder), .. } => Some(tls::connector(folder)?),
            _ => None,
        };
        let address = address.clone();
        Ok(Arc::new(Self { address, tls, idle: Mutex::default(), version: Mutex::default() }))
    }

    pub fn speak(&self, version: Version) {
        *lock(&self.version) = Some(version);
    }

    /// Sends a request over a kept connection, or over a new one where none is free.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Bollard> {
        let mut request = self.prepared(request)?;
        let _call = spent::begin();
        loop {
            let kept = self.take();
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    lock(&self.idle).push(sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    // A kept connection that the engine had closed: nothing was sent.
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    fn take(&self) -> Option<SendRequest<Body>> {
        let mut idle = lock(&self.idle);
        idle.retain(|sender| !sender.is_closed());
        let at = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(at))
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Bollard> {
        let socket = tokio::time::timeout(CONNECT, self.socket())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| io::Error::new(error.kind(), NotConnected(error.to_string())))?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    async fn socket(&self) -> io::Result<Box<dyn Socket>> {
        let (host, port) = match &self.address {
            Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Address::Tcp { host, port, .. } => (host.trim_matches(['[', ']']), *port),
        };
        let usual = if self.tls.is_some() { 2376 } else { 2375 };
        let socket = TcpStream::connect((host, port.unwrap_or(usual))).await?;
        socket.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, socket).await?))
    }

    /// The request as HTTP/1.1 wants it: a bare path, with the version that was agreed on (bollard loses it), and a
    /// host. Credentials become URL-safe base64: the engine takes any other as none, without a word.
    fn prepared(&self, mut request: Request<Body>) -> Result<Request<Body>, Bollard> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = match *lock(&self.version) {
            Some(version) => format!("/v{version}{path}"),
            None => path.to_owned(),
        };
        *request.uri_mut() = path.parse::<Uri>()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("docker"));
        for name in ["x-registry-auth", "x-registry-config"] {
            if let Some(value) = headers.get_mut(name) {
                let safe = value.to_str().unwrap_or_default().replace('+', "-").replace('/', "_");
                *value = HeaderValue::try_from(safe).map_err(http::Error::from)?;
            }
        }
        Ok(request)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
