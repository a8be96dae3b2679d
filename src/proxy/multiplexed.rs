//! A connection to a service that speaks HTTP/2 without TLS: gRPC. Requests share it; a task of its own drives it.

use std::{fmt, io};

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{link::BUFFER, upload::Upload};

pub(super) struct Multiplexed(pub SendRequest<Upload>);

impl Multiplexed {
    pub async fn new(stream: TcpStream) -> io::Result<Self> {
        let (send, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(256 << 10)
            .initial_connection_window_size(1 << 20)
            .max_send_buf_size(BUFFER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // Its errors reach the requests on it.
        tokio::spawn(connection);
        Ok(Self(send))
    }

    /// For another request, while the service takes some.
    pub fn another(&self) -> Option<Self> {
        (!self.0.is_closed()).then(|| Self(self.0.clone()))
    }
}

impl fmt::Debug for Multiplexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Multiplexed")
    }
}
