//! What a proxy is started with.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::model::{AccessFormat, Listener};

/// How `proxy::serve` is started.
#[derive(Debug, Clone)]
pub struct Options {
    pub listeners: Vec<Listener>,
    /// Folder of `routing.json`, `history/` and `control.sock`.
    pub state: PathBuf,
    /// Folder of the local CA: `ca.crt`, `ca.key`. Touched only when a listener has TLS.
    pub ca: PathBuf,
    /// Address that all listeners bind.
    pub bind: IpAddr,
    /// Further names and addresses in the certificate, besides `localhost`, `127.0.0.1` and `::1`.
    pub names: Vec<String>,
    /// Whether clients may be believed in `X-Forwarded-*`: only when another proxy stands in front.
    pub trust_forwarded: bool,
    /// Threads that serve requests: usually as many as there are processors, up to four.
    pub workers: usize,
    pub limits: Limits,
    /// The port that answers `/metrics`.
    pub metrics: Option<u16>,
    /// None: no access log.
    pub access_log: Option<AccessFormat>,
}

/// One thread serves tens of thousands of requests a second; more than a few only scatter the connections that are kept.
const MOST_WORKERS: usize = 4;

impl Options {
    /// Options with the usual threads and limits.
    pub fn new(listeners: Vec<Listener>, state: PathBuf, ca: PathBuf, bind: IpAddr) -> Self {
        Self {
            listeners,
            state,
            ca,
            bind,
            names: vec![],
            trust_forwarded: false,
            workers: std::thread::available_parallelism().map_or(2, |n| n.get().min(MOST_WORKERS)),
            limits: Limits::default(),
            metrics: None,
            access_log: None,
        }
    }
}

/// Times and sizes that bound what a client or a service can cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request's head; a longer one is answered with 431.
    pub header_bytes: usize,
    /// From the first byte of a request's head to its last.
    pub header_time: Duration,
    /// A client's connection without a request.
    pub idle_time: Duration,
    /// A client that neither sends the body it announced nor takes the answer.
    pub stall_time: Duration,
    /// What has to come of a body within `stall_time`: less is no progress.
    pub stall_bytes: u64,
    pub handshake_time: Duration,
    /// Connecting to one address of a service.
    pub connect_time: Duration,
    /// From a request to the head of its answer; past it the client gets 504.
    pub answer_time: Duration,
    /// What the targets of a color have to accept a connection before a switch.
    pub health_time: Duration,
    /// How long a connection to a service is kept for the next request.
    pub reuse_time: Duration,
    /// How long an address that refused a connection is passed over.
    pub eject_time: Duration,
    /// Age at which a name is looked up again.
    pub name_time: Duration,
    /// How long requests may still run after SIGTERM.
    pub stop_time: Duration,
}

impl Limits {
    /// How often a client's connection is looked at: its times are kept that exactly.
    pub(super) fn turn(&self) -> Duration {
        let shortest = self.header_time.min(self.idle_time).min(self.stall_time);
        (shortest.min(self.answer_time) / 2)
            .clamp(Duration::from_millis(10), Duration::from_secs(5))
    }

    /// How long a client's connection without a request keeps what the next one would need.
    pub(super) fn rest_time(&self) -> Duration {
        self.turn().min(Duration::from_secs(1))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            header_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(75),
            stall_time: Duration::from_mins(1),
            stall_bytes: 4 << 10,
            handshake_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(3),
            answer_time: Duration::from_mins(5),
            health_time: Duration::from_secs(2),
            reuse_time: Duration::from_secs(3),
            eject_time: Duration::from_secs(3),
            name_time: Duration::from_secs(1),
            stop_time: Duration::from_secs(8),
        }
    }
}
