//! The body of a request on its way to a service.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::client::Client;

/// A body of known length goes on in pieces of this many bytes at least, so that who sends a byte a second costs the
/// service nothing meanwhile. A chunked one goes on as it comes: it may be half of a talk.
const PIECE: usize = 16 << 10;

pub(super) enum Upload {
    Nothing,
    Body {
        incoming: Incoming,
        /// None for a stream that may be silent for long.
        client: Option<Arc<Client>>,
        /// Bytes that may still come.
        left: u64,
        /// What there is of the next piece, where the length is known.
        gathered: Option<BytesMut>,
    },
}

/// Why there is no more of a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error(transparent)]
    Client(#[from] hyper::Error),
    #[error("the body is longer than the route allows")]
    TooLong,
}

impl Upload {
    pub fn new(incoming: Incoming, client: Option<&Arc<Client>>, most: Option<u64>) -> Self {
        if incoming.is_end_stream() {
            Self::Nothing
        } else {
            let left = most.unwrap_or(u64::MAX);
            // HTTP/2 gathers by itself, and may have trailers.
            let known = incoming.size_hint().exact().is_some();
            let gathers = known && client.is_some_and(|client| !client.is_http2());
            let gathered = gathers.then(BytesMut::new);
            Self::Body { incoming, client: client.cloned(), left, gathered }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Body { incoming, client, left, gathered } => loop {
                let frame = Pin::new(&mut *incoming).poll_frame(cx);
                if let Some(client) = client {
                    client.wants_body(frame.is_pending());
                }
                let Poll::Ready(Some(Ok(frame))) = frame else {
                    return frame.map_err(UploadError::Client);
                };
                let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
                match left.checked_sub(data.len() as u64) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(Some(Err(UploadError::TooLong))),
                }
                let Some(gathered) = gathered else { return Poll::Ready(Some(Ok(frame))) };
                let whole = gathered.len() + data.len() >= PIECE || incoming.is_end_stream();
                if whole && gathered.is_empty() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                gathered.extend_from_slice(data);
                if whole {
                    return Poll::Ready(Some(Ok(Frame::data(mem::take(gathered).freeze()))));
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            // The last piece is given out together with the end.
            Self::Body { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Body { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Self::Body { client: Some(client), .. } = self {
            client.wants_body(false);
        }
    }
}
