//! What envctl asks of its proxy and what that answers: one JSON line each way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Color,
    routing::{Routing, Stack},
};

/// A request or an answer, with the number that joins the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line<T> {
    pub id: String,
    pub body: T,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Status,
    /// Makes a color known, and its preview reachable.
    Put {
        color: Color,
        stack: Stack,
        drain_ms: u64,
    },
    /// Moves all live routes to a color.
    Switch {
        to: Color,
        record: Option<Record>,
        /// Refuse when a target does not accept connections now.
        health: bool,
    },
    /// Forgets a color; refused for the live one.
    Forget {
        color: Color,
    },
    /// Keeps what the tests of a release found; refused when the color has another release by now.
    Tested {
        color: Color,
        release: String,
        result: serde_json::Value,
    },
    /// Waits until nothing is open on a color, at most so long.
    Drained {
        color: Color,
        wait_ms: u64,
    },
    /// Tries to connect.
    Probe {
        host: String,
        port: u16,
    },
    /// Adds to the history.
    Record(Record),
    /// The latest records, newest first.
    History {
        limit: Option<usize>,
    },
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Sortable; letters, digits, `.` and `-`.
    pub name: String,
    pub value: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Done,
    Status { version: String, routing: Routing, draining: BTreeMap<Color, Draining> },
    Switched { from: Option<Color>, to: Color, draining: Draining },
    Drained { left: Draining },
    History(Vec<Record>),
    Refused { reason: String },
    NotHealthy { target: String, reason: String },
}

/// What is still open on a color that is no longer live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    pub requests: u64,
    pub websockets: u64,
    pub streams: u64,
    /// Until long-lived connections are closed.
    pub left_ms: u64,
}

impl Draining {
    pub const fn is_over(&self) -> bool {
        self.requests == 0 && self.websockets == 0 && self.streams == 0
    }
}
