//! As much of gRPC as a session needs: messages with a length in front, and a status at the end. hyper does the rest.

use std::{convert::Infallible, pin::Pin};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use prost::Message;
use tokio::sync::mpsc;

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
pub type Answer = Response<StreamBody<Frames>>;

/// Length of what stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// More than any message of a session.
const LONGEST: usize = 32 << 20;

/// Why a call failed, by gRPC's numbers.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    code: u16,
    message: String,
}

impl Status {
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self { code: 5, message: message.into() }
    }

    pub fn unimplemented() -> Self {
        Self { code: 12, message: "not offered".to_owned() }
    }
}

/// The messages of a call, as they come.
pub struct Messages {
    body: Incoming,
    rest: BytesMut,
}

impl Messages {
    pub fn new(body: Incoming) -> Self {
        Self { body, rest: BytesMut::new() }
    }

    /// The next message; none at the end.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.whole()? {
                return M::decode(message).map(Some).map_err(|e| Status::unknown(e.to_string()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Status::unknown(error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
            }
        }
    }

    /// The only message of a call.
    pub async fn only<M: Message + Default>(&mut self) -> Result<M, Status> {
        self.next().await?.ok_or_else(|| Status::unknown("the call has no message"))
    }

    fn whole(&mut self) -> Result<Option<Bytes>, Status> {
        if self.rest.len() < PREFIX {
            return Ok(None);
        }
        let mut prefix = &self.rest[..PREFIX];
        let (compressed, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if compressed != 0 || length > LONGEST {
            return Err(Status::unknown("a message that was not agreed on"));
        }
        if self.rest.len() < PREFIX + length {
            return Ok(None);
        }
        self.rest.advance(PREFIX);
        Ok(Some(self.rest.split_to(length).freeze()))
    }
}

/// Where the messages of a streamed answer go.
#[derive(Clone)]
pub struct Sender(mpsc::Sender<Frame<Bytes>>);

impl Sender {
    /// An error says that nobody listens any more.
    pub async fn send(&self, message: &impl Message) -> Result<(), Status> {
        let sent = self.0.send(Frame::data(framed(message))).await;
        sent.map_err(|_| Status::unknown("the call was left"))
    }
}

/// Answers with the messages that `work` sends, and with its end.
pub fn streamed<F>(work: impl FnOnce(Sender) -> F) -> Answer
where
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(16);
    let work = work(Sender(sender.clone()));
    // It ends with the call: nothing can be sent once the receiver is gone.
    tokio::spawn(async move {
        let end = work.await;
        let _ = sender.send(Frame::trailers(trailers(end))).await;
    });
    answer(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (Ok(frame), receiver))
    }))
}

/// Answers with one message.
pub fn unary(result: Result<impl Message, Status>) -> Answer {
    let (message, end) = match result {
        Ok(message) => (Some(Frame::data(framed(&message))), Ok(())),
        Err(status) => (None, Err(status)),
    };
    let frames = message.into_iter().chain([Frame::trailers(trailers(end))]);
    answer(stream::iter(frames.map(Ok).collect::<Vec<_>>()))
}

fn answer(frames: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static) -> Answer {
    let mut answer = Response::new(StreamBody::new(Box::pin(frames) as Frames));
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(PREFIX + length);
    frame.push(0);
    frame.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    message.encode(&mut frame).expect("a vector grows");
    frame.into()
}

fn trailers(end: Result<(), Status>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = end.err();
    trailers.insert("grpc-status", status.as_ref().map_or(0, |status| status.code).into());
    if let Some(status) = status {
        // Percent-encoded, as gRPC wants what is no visible ASCII.
        let message: String = status
            .message
            .bytes()
            .map(|byte| match byte {
                b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        if let Ok(message) = HeaderValue::try_from(message) {
            trailers.insert("grpc-message", message);
        }
    }
    trailers
}
