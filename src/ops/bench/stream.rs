//! Connections that stay open: a WebSocket whose pings are answered, an event stream whose ids are looked at.

use std::{cell::RefCell, collections::HashSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Client, Failure, Target, closed},
    found::{Kind, Sample, Tally, What},
};
use crate::model::Color;

const PING_EVERY: Duration = Duration::from_millis(100);
const PONG: Duration = Duration::from_secs(10);

/// A client that keeps a stream open.
pub struct Stay<'a> {
    pub client: &'a Client,
    pub target: &'a Target,
    pub kind: Kind,
    pub stop: &'a CancellationToken,
    pub tally: &'a RefCell<Tally>,
}

pub enum Stream {
    WebSocket(Box<WebSocketStream<TokioIo<Upgraded>>>),
    Events(Incoming),
}

impl Stay<'_> {
    /// Opens the stream; says which color answered.
    pub async fn open(&self) -> Result<(Option<Color>, Stream), Failure> {
        let mut sender = self.client.connect(self.target, false).await?;
        let mut request = Client::request(self.target, false, 0);
        let expected = if self.kind == Kind::WebSocket {
            let mut key = [0; 16];
            getrandom::fill(&mut key).expect("the system's random source answers");
            let headers = request.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            let key = HeaderValue::try_from(STANDARD.encode(key)).expect("base64 is plain text");
            headers.insert(header::SEC_WEBSOCKET_KEY, key);
            StatusCode::SWITCHING_PROTOCOLS
        } else {
            let accept = HeaderValue::from_static("text/event-stream");
            request.headers_mut().insert(header::ACCEPT, accept);
            StatusCode::OK
        };
        let sent = self.client.clock.now();
        let response = sender.send(request).await.map_err(|error| closed(&error))?;
        let head = self.client.clock.now();
        if response.status() != expected {
            let reason = format!("status {} in place of {expected}", response.status());
            return Err(Failure::new(What::Status, reason));
        }
        let color = self.client.color_of(&response);
        let (begun, end) = (sent, head);
        let sample = Sample { kind: self.kind, color, begun, sent, head, end };
        self.tally.borrow_mut().samples.push(sample);
        if self.kind == Kind::Events {
            return Ok((color, Stream::Events(response.into_body())));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| closed(&error))?;
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        Ok((color, Stream::WebSocket(Box::new(socket))))
    }

    /// Follows the stream to its end, and says what that was; none when it is told to stop.
    pub async fn follow(&self, stream: Stream) -> Option<Failure> {
        let follow = async {
            match stream {
                Stream::WebSocket(socket) => self.ping(*socket).await,
                Stream::Events(body) => self.read(body).await,
            }
        };
        tokio::select! {
            end = follow => Some(end),
            () = self.stop.cancelled() => None,
        }
    }

    fn count(&self) {
        *self.tally.borrow_mut().messages.entry(self.kind).or_insert(0) += 1;
    }

    /// Sends a ping at a time, which RFC 6455 (5.5.2) has every server answer with the same bytes.
    async fn ping(&self, mut socket: WebSocketStream<TokioIo<Upgraded>>) -> Failure {
        let cut = |reason: &dyn ToString| Failure::new(What::Cut, reason.to_string());
        let mut pace = tokio::time::interval(PING_EVERY);
        for number in 0_u64.. {
            pace.tick().await;
            let said = Bytes::copy_from_slice(&number.to_be_bytes());
            if let Err(error) = socket.send(Message::Ping(said.clone())).await {
                return cut(&error);
            }
            let answer = async {
                loop {
                    match socket.next().await {
                        Some(Ok(Message::Pong(bytes))) if bytes == said => return Ok(()),
                        Some(Ok(Message::Close(_))) | None => return Err(cut(&"closed")),
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return Err(cut(&error)),
                    }
                }
            };
            match timeout(PONG, answer).await {
                Ok(Ok(())) => self.count(),
                Ok(Err(end)) => return end,
                Err(_) => return Failure::new(What::Timeout, "a ping was not answered".to_owned()),
            }
        }
        cut(&"enough")
    }

    /// Reads events, and looks at their ids.
    async fn read(&self, mut body: Incoming) -> Failure {
        let mut ids = Ids::default();
        let mut line = vec![];
        while let Some(frame) = body.frame().await {
            let bytes = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return Failure { what: What::Cut, ..closed(&error) },
            };
            for byte in bytes {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                let text = String::from_utf8_lossy(&line);
                if let Some(id) = text.trim_end().strip_prefix("id:") {
                    self.count();
                    match ids.next(id.trim()) {
                        Some(left_out) => self.tally.borrow_mut().gaps += left_out,
                        None => {
                            return Failure::new(What::Doubled, format!("event {id} came twice"));
                        }
                    }
                }
                line.clear();
            }
        }
        Failure::new(What::Cut, "closed".to_owned())
    }
}

/// The ids of one connection's events.
#[derive(Default)]
struct Ids {
    seen: HashSet<String>,
    last: Option<u64>,
}

impl Ids {
    /// How many numbers were left out before this id; none when it was there already.
    fn next(&mut self, id: &str) -> Option<u64> {
        if !self.seen.insert(id.to_owned()) {
            return None;
        }
        let number: Option<u64> = id.parse().ok();
        let left_out = match (self.last, number) {
            (Some(last), Some(number)) => number.saturating_sub(last + 1),
            _ => 0,
        };
        self.last = number;
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_twice_and_numbers_that_are_left_out_are_seen() {
        let mut ids = Ids::default();
        let all = ["7", "8", "11", "x", "12", "8"].map(|id| ids.next(id));
        assert_eq!(all, [Some(0), Some(0), Some(2), Some(0), Some(0), None]);
    }
}
