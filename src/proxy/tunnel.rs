//! Connections that changed their protocol: bytes go both ways until an end closes, or the drain does.

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{link::Lease, load::Open};

/// Joins a client and a service after an answer 101.
pub(super) async fn websocket(
    upgrade: OnUpgrade,
    lease: Lease,
    open: Open,
    end: CancellationToken,
) {
    let (client, service) = tokio::join!(upgrade, lease.into_stream());
    if let (Ok(client), Some((service, early, lease))) = (client, service) {
        join(TokioIo::new(client), service, early, end).await;
        drop(lease);
    }
    drop(open);
}

/// Passes bytes both ways; each direction ends for itself. `early` came from the service already.
pub(super) async fn join<C: AsyncRead + AsyncWrite + Unpin>(
    mut client: C,
    mut service: TcpStream,
    early: Bytes,
    end: CancellationToken,
) {
    let copy = async {
        if !early.is_empty() {
            client.write_all(&early).await?;
        }
        copy_bidirectional(&mut client, &mut service).await
    };
    tokio::select! {
        _ = copy => {}
        () = end.cancelled() => {
            let _ = client.shutdown().await;
        }
    }
}
