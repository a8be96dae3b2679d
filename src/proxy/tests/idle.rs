//! Connections that wait for their next request, and what they keep meanwhile.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tokio_util::task::TaskTracker;

use super::{
    backend::Backend,
    stage::{self, PATIENCE, Stage, eventually},
    tls,
};
use crate::{
    model::Color::Blue,
    proxy::{
        accept::Place,
        client::{Client, Verdict},
        options::Limits,
    },
};

/// So that a connection rests after some 40 ms.
pub fn soon() -> Limits {
    Limits { header_time: Duration::from_millis(80), ..Limits::default() }
}

/// Time enough to rest several times.
pub const PAUSE: Duration = Duration::from_millis(200);

#[expect(clippy::disallowed_methods, reason = "what is tested is that time passes")]
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn one() -> (Stage, Backend) {
    let stage = Stage::with(stage::listeners(), |options| options.limits = soon(), &[]);
    let blue = Backend::start("blue").await;
    stage.put(Blue, blue.address).await;
    stage.switch(Blue).await;
    (stage, blue)
}

/// What there is to read until the answer says "blue" at its end.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let read = async {
        let mut all = String::new();
        while !all.ends_with("blue") {
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                length => all += str::from_utf8(&piece[..length]).unwrap(),
            }
        }
        all
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer")
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn goes_on(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    for _ in 0..3 {
        stream.write_all(GET).await.unwrap();
        stream.flush().await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        pause(PAUSE).await;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(answer(&mut stream).await, "");
}

async fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_rested_goes_on() {
    let (stage, _blue) = one().await;
    goes_on(connect(stage.live()).await).await;
    let (stage, _blue) = tls::one_with(soon()).await;
    goes_on(tls::connect(&stage, stage.live(), "localhost", &[]).await.unwrap()).await;
}

#[tokio::test]
async fn what_follows_a_rest_is_judged_as_strictly() {
    let (stage, _blue) = one().await;
    let mut stream = connect(stage.live()).await;
    for _ in 0..2 {
        stream.write_all(GET).await.unwrap();
        answer(&mut stream).await;
    }
    pause(PAUSE).await;
    let two_ways = "POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(two_ways.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.contains("HTTP/1.1 400") && answer.contains("two ways"), "{answer}");
}

/// The end of an answer that is still in TLS's hands when all else is over, whichever length makes it so.
#[tokio::test]
async fn nobody_rests_who_still_gets_an_answer() {
    let (stage, _blue) = tls::one_with(soon()).await;
    let reads_late = async |pieces: usize| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(stage.live()).await.unwrap();
        let mut stream = tls::encrypt(&stage, stream, "localhost", &[]).await.unwrap();
        let download = format!("GET /download?{pieces} HTTP/1.1\r\nhost: a\r\n\r\n");
        stream.write_all(&[download.as_bytes(), GET].concat()).await.unwrap();
        stream.flush().await.unwrap();
        pause(PAUSE * 2).await;
        let mut all = vec![];
        while !all.ends_with(b"blue") {
            let mut piece = vec![0; 65536];
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
            let Ok(read) = read else { panic!("{pieces}: nothing after {} bytes", all.len()) };
            match read.unwrap() {
                0 => break,
                length => all.extend_from_slice(&piece[..length]),
            }
        }
        assert!(all.len() > pieces * 16384 && all.ends_with(b"blue"), "{pieces}: {}", all.len());
    };
    futures_util::future::join_all((4..400).step_by(3).map(reads_late)).await;
}

#[tokio::test]
async fn a_request_that_comes_in_pieces_gets_no_rest() {
    let (stage, _blue) = one().await;
    let mut stream = connect(stage.live()).await;
    stream.write_all(GET).await.unwrap();
    answer(&mut stream).await;
    for piece in b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab".chunks(20) {
        stream.write_all(piece).await.unwrap();
        pause(Duration::from_millis(15)).await;
    }
    let mut piece = [0; 4096];
    let length = stream.read(&mut piece).await.unwrap();
    let answer = String::from_utf8_lossy(&piece[..length]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn only_between_two_requests_there_is_rest() {
    let (stage, _blue) = one().await;
    let shared = &stage.running.shared;
    let listener = &stage::listeners()[0];
    let place = Arc::new(Place::new(shared, listener, 0, &TaskTracker::new(), None));
    let client = |http2| {
        let client = Client::new(&place, stage.live(), http2);
        client.read(Some(10));
        client
    };
    let (rests, half, writes, http2) = (client(false), client(false), client(false), client(true));
    for client in [&rests, &half, &writes] {
        drop(client.begin());
        client.between(true);
    }
    half.between(false);
    writes.wrote(false);
    eventually(async || rests.verdict() == Verdict::Rest).await;
    for client in [half, writes, http2] {
        assert_eq!(client.verdict(), Verdict::Keep);
    }
    let _asks = rests.begin();
    assert_eq!(rests.verdict(), Verdict::Keep);
}

#[tokio::test]
async fn what_is_no_head_is_answered_without_the_rest_of_it() {
    let (stage, _blue) = one().await;
    for garbage in [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET /\0"] {
        let answer = stage::raw(stage.live(), garbage).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{garbage:?} was answered with {answer:?}");
    }
}
