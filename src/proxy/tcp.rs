//! TCP routes: a connection goes to the color that is live when it comes.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{accept::Place, load::Kind, proxy_protocol, tunnel};

/// Joins a client to the route's only target. Where there is none, it is hung up on. `ends`: the client's address and the
/// one it came to.
pub(super) async fn serve<C: AsyncRead + AsyncWrite + Unpin>(
    client: C,
    ends: (SocketAddr, SocketAddr),
    place: Arc<Place>,
) {
    let shared = &place.shared;
    let way = shared.way(&place.listener, "/", &HeaderMap::new(), Kind::Tcp);
    let Ok(mut way) = way else { return };
    let Ok((mut stream, mut replica)) = way.target.connect(shared).await else { return };
    if way.target.spec.proxy_protocol
        && stream.write_all(&proxy_protocol::header(ends.0, ends.1)).await.is_err()
    {
        return;
    }
    let end = way.open.stays(Kind::Tcp);
    replica.stays();
    tunnel::join(client, stream, Bytes::new(), end).await;
}
