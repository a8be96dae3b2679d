//! A client's connection while it asks for nothing: before its first request, and between two. Only the socket is kept then,
//! and what there is of a head: hyper's buffers would be 16 KiB, and most kept connections wait most of the time.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use hyper::rt::{Read, ReadBuf, Write};
use memchr::memmem;
use tokio::time::timeout;

use super::{
    accept::Place,
    watched::{LINGER, LOOK},
};

/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits for a request and reads its head, or at least what shows that there will be no valid one. `None` when the client
/// ends or fails, takes too long, or the proxy stops; it has been told the end then.
pub(super) async fn next_head<I: Read + Write + Unpin>(io: &mut I, place: &Place) -> Option<Bytes> {
    let head = tokio::select! {
        // What has come is answered, also where the proxy stops.
        biased;
        head = read_head(io, place) => head,
        () = place.shared.stopping.cancelled() => None,
    };
    if head.is_none() {
        let shut = timeout(LINGER, poll_fn(|cx| Pin::new(&mut *io).poll_shutdown(cx)));
        // Who does not listen is hung up on.
        let _ = shut.await;
    }
    head
}

async fn read_head<I: Read + Unpin>(io: &mut I, place: &Place) -> Option<Bytes> {
    let limits = &place.shared.limits;
    let mut head = timeout(limits.idle_time, read(io)).await.ok()??;
    let rest = async move {
        let mut looked = 0;
        while !is_done(&head, looked, limits.header_bytes) {
            looked = head.len();
            head.extend_from_slice(&read(io).await?);
        }
        Some(head.freeze())
    };
    timeout(limits.header_time, rest).await.ok()?
}

/// Whether these first bytes are those of HTTP/2 by prior knowledge. Who sends fewer than four at first is taken for a
/// client of HTTP/1.
pub(super) fn begins_http2(first: &[u8]) -> bool {
    first.len() >= 4 && PREFACE.starts_with(&first[..first.len().min(PREFACE.len())])
}

/// Whether there is nothing more to wait for: a whole head, or what hyper can answer without one. So many bytes of it have
/// been looked at before.
fn is_done(head: &[u8], looked: usize, longest: usize) -> bool {
    let is_text = |byte: &u8| *byte >= b' ' || b"\t\r\n".contains(byte);
    let new = &head[looked.saturating_sub(2)..];
    head.len() >= longest
        || memmem::find(new, b"\n\r\n").is_some()
        || memmem::find(new, b"\n\n").is_some()
        || begins_http2(head)
        || !new.iter().all(is_text)
}

async fn read<I: Read + Unpin>(io: &mut I) -> Option<BytesMut> {
    poll_fn(|cx| poll_read(io, cx)).await.ok().filter(|bytes| !bytes.is_empty())
}

fn poll_read<I: Read + Unpin>(io: &mut I, cx: &mut Context<'_>) -> Poll<std::io::Result<BytesMut>> {
    LOOK.with_borrow_mut(|look| {
        let mut read = ReadBuf::new(look);
        ready!(Pin::new(io).poll_read(cx, read.unfilled()))?;
        Poll::Ready(Ok(BytesMut::from(read.filled())))
    })
}
