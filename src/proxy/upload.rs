//! The body of a request on its way to a service.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::client::Client;

pub(super) enum Upload {
    Nothing,
    Body {
        incoming: Incoming,
        /// None for a stream that may be silent for long.
        client: Option<Arc<Client>>,
        /// Bytes that may still come.
        left: u64,
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
            Self::Body { incoming, client: client.cloned(), left }
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
            Self::Body { incoming, client, left } => {
                let frame = Pin::new(incoming).poll_frame(cx);
                if let Some(client) = client {
                    client.wants_body(frame.is_pending());
                }
                if let Poll::Ready(Some(Ok(frame))) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    match left.checked_sub(data.len() as u64) {
                        Some(rest) => *left = rest,
                        None => return Poll::Ready(Some(Err(UploadError::TooLong))),
                    }
                }
                frame.map_err(UploadError::Client)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
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
