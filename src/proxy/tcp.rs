//! TCP routes: a connection goes to the color that is live when it comes.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{accept::Place, load::Kind, tunnel};

/// Joins a client to the route's only target. Where there is none, it is hung up on.
pub(super) async fn serve<C: AsyncRead + AsyncWrite + Unpin>(client: C, place: Arc<Place>) {
    let shared = &place.shared;
    let Ok(mut way) = shared.way(&place.listener, "/", Kind::Tcp) else { return };
    let Ok((stream, mut replica)) = way.target.connect(shared).await else { return };
    let end = way.open.stays(Kind::Tcp);
    replica.stays();
    tunnel::join(client, stream, Bytes::new(), end).await;
}
