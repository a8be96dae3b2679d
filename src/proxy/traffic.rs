//! What the proxy counts of its requests. Each worker counts for itself, without locks, and who asks adds up.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, uri::PathAndQuery};
use hyper::body::Incoming;

use super::{
    access::{AccessLog, Line},
    client::Active,
    headers::REQUEST_ID,
    snapshot::Side as Stack,
};
use crate::model::{Color, Figures, Listener};

/// Upper bounds of the latency histogram, in milliseconds; what takes longer comes after the last.
pub(super) const BOUNDS: [u32; 20] = [
    1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 500, 800, 1000, 2000, 5000, 10_000,
    30_000,
];

/// How requests end, as the metrics name it. The last: the client left before there was an answer.
pub(super) const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "499"];

/// The status of a request that has got no answer.
const LEFT: u16 = 499;

/// All counters of the proxy.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    counting: AtomicBool,
    /// Whether there is more to count for than a watch.
    always: AtomicBool,
    places: Mutex<Vec<(Listener, Arc<Counters>)>>,
    pub switches: AtomicU64,
    /// Where each request leaves a line.
    pub log: Option<Arc<AccessLog>>,
}

/// The counters of one listener on one worker, which alone writes them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Requests that found no color first, then those of each color.
    sides: [Side; 3],
}

#[derive(Debug, Default)]
struct Side {
    codes: [AtomicU64; CODES.len()],
    times: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

/// The sum of some counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub codes: [u64; CODES.len()],
    /// By bucket, not cumulative.
    pub times: [u64; BOUNDS.len() + 1],
    pub microseconds: u64,
}

/// What is noted of a request while it runs.
#[derive(Debug)]
pub(super) struct Seen {
    began: Instant,
    color: Option<Color>,
    answered: bool,
    /// Only where there is a log.
    line: Option<Box<Noted>>,
}

/// What the access log has of a request besides.
#[derive(Debug)]
struct Noted {
    time: jiff::Timestamp,
    id: Option<HeaderValue>,
    method: Method,
    path: Option<PathAndQuery>,
    status: u16,
    bytes: u64,
    stack: Option<Arc<Stack>>,
    instead_of: Option<Color>,
    upstream: Option<SocketAddr>,
}

impl Traffic {
    pub fn new(log: Option<Arc<AccessLog>>) -> Self {
        let counting = log.is_some();
        Self { counting: counting.into(), always: counting.into(), log, ..Self::default() }
    }

    /// Counts from now on, if it did not before.
    pub fn count(&self) {
        self.always.store(true, Relaxed);
        self.counting.store(true, Relaxed);
    }

    /// Counts for a while, or no longer where nothing else needs it.
    pub fn watch(&self, on: bool) {
        self.counting.store(on || self.always.load(Relaxed), Relaxed);
    }

    /// What came of a color's requests on live routes.
    pub fn sum(&self, color: Color) -> Sum {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let live = places.iter().filter(|(listener, _)| listener.color.is_none() && !listener.tcp);
        let mut sum = Sum::default();
        for (_, counters) in live {
            sum.add(counters.side(Some(color)));
        }
        sum
    }

    /// The counters of a listener for a worker that begins.
    pub fn counters(&self, listener: &Listener) -> Arc<Counters> {
        let counters = Arc::<Counters>::default();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.push((listener.clone(), Arc::clone(&counters)));
        counters
    }

    /// Sums over the workers: each listener's, of each color and of none.
    pub fn sums(&self) -> Vec<(Listener, Option<Color>, Sum)> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums: Vec<(Listener, Option<Color>, Sum)> = vec![];
        for (listener, counters) in places.iter() {
            for color in [None, Some(Color::Blue), Some(Color::Green)] {
                let side = counters.side(color);
                let known = sums.iter_mut().find(|sum| sum.0 == *listener && sum.1 == color);
                if let Some((_, _, sum)) = known {
                    sum.add(side);
                } else {
                    let mut sum = Sum::default();
                    sum.add(side);
                    sums.push((listener.clone(), color, sum));
                }
            }
        }
        sums
    }
}

impl Counters {
    fn side(&self, color: Option<Color>) -> &Side {
        &self.sides[color.map_or(0, |color| color as usize + 1)]
    }

    fn note(&self, color: Option<Color>, code: usize, took: Duration) {
        let side = self.side(color);
        add(&side.codes[code], 1);
        let ms = took.as_millis();
        let at = BOUNDS.iter().position(|bound| ms < u128::from(*bound)).unwrap_or(BOUNDS.len());
        add(&side.times[at], 1);
        add(&side.microseconds, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Adds to a counter that only this thread writes.
fn add(counter: &AtomicU64, number: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(number), Relaxed);
}

impl Sum {
    fn add(&mut self, side: &Side) {
        for (sum, counter) in self.codes.iter_mut().zip(&side.codes) {
            *sum += counter.load(Relaxed);
        }
        for (sum, counter) in self.times.iter_mut().zip(&side.times) {
            *sum += counter.load(Relaxed);
        }
        self.microseconds += side.microseconds.load(Relaxed);
    }

    /// What came after another sum of the same.
    pub fn since(&self, before: &Self) -> Figures {
        let times = self.times.iter().zip(&before.times).map(|(now, then)| now - then);
        let times: Vec<u64> = times.collect();
        Figures {
            requests: times.iter().sum(),
            failed: self.codes[4] - before.codes[4],
            bounds_ms: BOUNDS.to_vec(),
            times,
        }
    }
}

impl Active {
    /// Follows the request from here on, where somebody wants to know.
    pub fn follow(&mut self, request: &Request<Incoming>) {
        let traffic = &self.client.place.shared.traffic;
        if traffic.counting.load(Relaxed) {
            let line = traffic.log.as_ref().map(|_| Box::new(Noted::of(request)));
            self.seen = Some(Seen { began: Instant::now(), color: None, answered: false, line });
        }
    }

    /// Says which color the request goes to.
    pub fn goes_to(&mut self, color: Color) {
        if let Some(seen) = &mut self.seen {
            seen.color = Some(color);
            if let Some(line) = &mut seen.line {
                line.stack = self.client.place.shared.snapshot.load().side(color).cloned();
            }
        }
    }

    /// Says that it is the other color that answers.
    pub fn instead_of(&mut self, color: Color) {
        if let Some(line) = self.seen.as_mut().and_then(|seen| seen.line.as_mut()) {
            line.instead_of = Some(color);
        }
    }

    /// Says what the service gets.
    pub fn sends(&mut self, headers: &HeaderMap) {
        if let Some(line) = self.seen.as_mut().and_then(|seen| seen.line.as_mut()) {
            line.id = headers.get(REQUEST_ID).cloned();
        }
    }

    /// Says which address the request went to.
    pub fn sent_to(&mut self, address: SocketAddr) {
        if let Some(line) = self.seen.as_mut().and_then(|seen| seen.line.as_mut()) {
            line.upstream = Some(address);
        }
    }

    /// Says that so much of the answer's body went on to the client.
    pub fn passed(&mut self, bytes: usize) {
        if let Some(line) = self.seen.as_mut().and_then(|seen| seen.line.as_mut()) {
            line.bytes += bytes as u64;
        }
    }

    /// Says what the request is answered with: the head of the answer is there.
    pub fn answered(&mut self, status: StatusCode) {
        if let Some(seen) = &mut self.seen {
            let code = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
            self.client.place.counters.note(seen.color, code, seen.began.elapsed());
            seen.answered = true;
            if let Some(line) = &mut seen.line {
                line.status = status.as_u16();
            }
        }
    }

    /// The request is over.
    pub(super) fn over(&mut self) {
        let Some(seen) = self.seen.take() else { return };
        let took = seen.began.elapsed();
        if !seen.answered {
            self.client.place.counters.note(seen.color, CODES.len() - 1, took);
        }
        let place = &self.client.place;
        if let (Some(noted), Some(log)) = (seen.line, &place.shared.traffic.log) {
            log.add(&Line {
                time: noted.time,
                client: text(&self.client.address),
                id: noted.id.as_ref().map_or("", text),
                method: noted.method.as_str(),
                path: noted.path.as_ref().map_or("", PathAndQuery::path),
                version: if self.client.is_http2() { "HTTP/2.0" } else { "HTTP/1.1" },
                route: place.listener.route,
                status: noted.status,
                bytes: noted.bytes,
                took,
                color: seen.color,
                instead_of: noted.instead_of,
                release: noted.stack.as_ref().map_or("", |stack| &stack.release),
                upstream: noted.upstream,
            });
        }
    }
}

impl Noted {
    fn of(request: &Request<Incoming>) -> Self {
        Self {
            time: jiff::Timestamp::now(),
            id: None,
            method: request.method().clone(),
            path: request.uri().path_and_query().cloned(),
            status: LEFT,
            bytes: 0,
            stack: None,
            instead_of: None,
            upstream: None,
        }
    }
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}
