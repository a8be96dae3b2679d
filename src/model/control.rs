//! What is asked of a running proxy and what it answers: one JSON line each way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Certificate, Certificates, Color, Figures, Maintenance, Routing, Stack};

/// A request or an answer on its way; the answer carries the request's `id`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line<T> {
    pub id: String,
    pub body: T,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Answered by [`Answer::Status`].
    Status,
    /// Makes a stack known under a color, in place of the one before. Answered by `Done`.
    Put { color: Color, stack: Stack, drain_ms: u64 },
    /// Makes a color live, and alone. Answered by `Switched`, `NotHealthy` or `Refused`.
    Switch {
        to: Color,
        /// Whether each target of the color must accept a connection first.
        health: bool,
    },
    /// Gives the idle color this percentage of new clients, 0 to 99. Answered by `Done`, `NotHealthy` or `Refused`.
    Weigh {
        to: Color,
        weight: u8,
        /// Whether each target of the color must accept a connection first.
        health: bool,
    },
    /// Counts the color's requests on live routes from now on, or those of none. Answered by `Done`.
    Watch { color: Option<Color> },
    /// What came of them. Answered by `Watched`, or `Refused` where none are counted.
    Watched,
    /// Forgets a color's stack; refused for one that gets traffic. Answered by `Done`.
    Forget { color: Color },
    /// Keeps the result of the tests of a release. Refused when the color holds another one.
    Tested { color: Color, release: String, result: serde_json::Value },
    /// Waits until nothing is left on a color, at most `wait_ms`. Answered by `Drained`.
    Drained { color: Color, wait_ms: u64 },
    /// Sends nothing new to one replica of a service, which is about to be removed, and waits until its requests have
    /// ended; what stays open by its nature is waited for no longer than the drain. Answered by `Drained`.
    Retire {
        /// The service's name on the proxy's network: `green-api`.
        host: String,
        /// The replica's own name there.
        replica: String,
        wait_ms: u64,
    },
    /// Tries to connect to a port on the proxy's network. Answered by `Done` or `NotHealthy`.
    Probe { host: String, port: u16 },
    /// Keeps a record in the history. Answered by `Done`.
    Record(Record),
    /// Shows these certificates on their routes from now on, and no other files. Answered by `Done`.
    Certificates { certificates: Vec<Certificate> },
    /// Answered by `Tls`; refused where no listener has TLS.
    Tls {
        /// Whether the local authority signs a new certificate first.
        #[serde(default)]
        renew: bool,
    },
    /// Holds new requests on live routes, each at most `hold_ms` and `most` at a time, and ends by itself. Answered by
    /// `Done`.
    Pause { limit_ms: u64, hold_ms: u64, most: u64 },
    /// Answered by `Resumed`.
    Resume,
    /// Answers all requests on live routes with a page, or no longer. Answered by `Done`.
    Maintain { maintenance: Option<Maintenance> },
    /// The newest `tail` lines of the access log, or all that came after a mark. Answered by `Access`; refused where
    /// none is kept.
    Access {
        #[serde(default)]
        tail: usize,
        #[serde(default)]
        after: Option<AccessMark>,
    },
    /// Newest last; `limit` takes the newest. Answered by `History`.
    History {
        #[serde(default)]
        limit: Option<usize>,
    },
}

/// A place in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessMark {
    /// The file's own number: its name changes.
    pub file: u64,
    pub offset: u64,
}

/// One entry of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Sorts by time: `[A-Za-z0-9.-]+`, at most 128 characters, no dot in front.
    pub name: String,
    pub value: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done,
    Status(Box<Status>),
    /// `from` is `to` when the color was live already.
    Switched {
        from: Option<Color>,
        to: Color,
        /// What was still open on `from` at the moment of the switch.
        draining: Draining,
    },
    Drained {
        left: Draining,
    },
    History(Vec<Record>),
    /// Whole lines; ask again with the mark for what comes after them.
    Access {
        lines: Vec<String>,
        mark: AccessMark,
    },
    Tls(Certificates),
    Watched(Figures),
    /// How many requests the pause held.
    Resumed {
        held: u64,
    },
    /// Nothing was changed.
    Refused {
        reason: String,
    },
    /// The color stays idle: a target did not accept a connection. Nothing was changed.
    NotHealthy {
        /// `green-api:80`.
        target: String,
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of envctl that runs the proxy.
    pub version: String,
    pub routing: Routing,
    /// Colors that were live and still have something open.
    pub draining: BTreeMap<Color, Draining>,
    /// What is open on each color, through live and preview ports together.
    pub open: BTreeMap<Color, Open>,
    /// While new requests are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
}

/// A pause of the live routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Requests that wait.
    pub held: u64,
    /// Until it ends by itself.
    pub left_ms: u64,
}

/// What is left on a color that is no longer live. Previews do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Plain requests: they finish, whatever time they take.
    pub requests: u64,
    pub websockets: u64,
    /// Server-sent events.
    pub streams: u64,
    /// Connections of TCP routes.
    #[serde(default)]
    pub tcp: u64,
    /// Until what stays open is closed by the proxy.
    pub left_ms: u64,
}

impl Draining {
    pub fn is_empty(&self) -> bool {
        self.requests + self.websockets + self.streams + self.tcp == 0
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub requests: u64,
    pub websockets: u64,
    pub streams: u64,
    pub tcp: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_people_write_them() {
        let read = |text: &str| serde_json::from_str::<Line<Request>>(text).unwrap().body;
        assert_eq!(read(r#"{"id":"1","body":"status"}"#), Request::Status);
        assert_eq!(
            read(r#"{"id":"2","body":{"switch":{"to":"green","health":true}}}"#),
            Request::Switch { to: Color::Green, health: true }
        );
        assert_eq!(read(r#"{"id":"3","body":{"history":{}}}"#), Request::History { limit: None });
    }

    #[test]
    fn answers_carry_their_kind() {
        let answer = Line { id: "7".into(), body: Answer::Refused { reason: "no".into() } };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"id":"7","body":{"refused":{"reason":"no"}}}"#
        );
        assert_eq!(serde_json::to_string(&Answer::Done).unwrap(), r#""done""#);
    }
}
