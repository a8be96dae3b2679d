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
    Body { incoming: Incoming, client: Arc<Client> },
}

impl Upload {
    pub fn new(incoming: Incoming, client: &Arc<Client>) -> Self {
        if incoming.is_end_stream() {
            Self::Nothing
        } else {
            Self::Body { incoming, client: Arc::clone(client) }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Body { incoming, client } => {
                let frame = Pin::new(incoming).poll_frame(cx);
                client.wants_body(frame.is_pending());
                frame
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
        if let Self::Body { client, .. } = self {
            client.wants_body(false);
        }
    }
}
