//! The load: clients on a thread of their own, until they are told to stop.

use std::{cell::RefCell, rc::Rc, thread, time::Duration};

use tokio::{
    sync::{Mutex, oneshot},
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Answer, Client, Failure, Sender, Target},
    found::{Ended, Fault, Kind, Sample, Tally, What},
    stream,
};
use crate::model::Color;

/// What is asked, by how many, how often.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Shared out among the connections.
    pub plain: Vec<Plain>,
    pub connections: usize,
    /// Plain requests a second, all together; 0: each as soon as the one before is answered.
    pub rate: u32,
    /// Asked one after the other, on one connection each.
    pub long: Vec<Plain>,
    /// `upload_size` bytes are sent to each, one after the other.
    pub uploads: Vec<Plain>,
    pub upload_size: u64,
    pub websockets: Vec<Target>,
    pub events: Vec<Target>,
}

/// A target, and what it answered before.
#[derive(Debug, Clone)]
pub struct Plain {
    pub target: Target,
    /// None: any that says success.
    pub status: Option<u16>,
    /// The color that gave this answer.
    pub color: Option<Color>,
    /// Whether it speaks HTTP/2.
    pub two: bool,
}

impl Plain {
    pub const fn unknown(target: Target) -> Self {
        Self { target, status: None, color: None, two: false }
    }

    fn is_good(&self, status: u16) -> bool {
        self.status.map_or((200..300).contains(&status), |good| good == status)
    }
}

/// After which a plain request has failed; others may take longer.
const LIMIT: Duration = Duration::from_secs(10);
const LONG_LIMIT: Duration = Duration::from_secs(300);
/// Requests at one time on a connection of HTTP/2.
const STREAMS: usize = 4;
/// What takes long is asked once in this time at most.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// Clients that failed try again after this time.
const AGAIN: Duration = Duration::from_millis(100);

/// Clients at work. Dropped, they stop.
pub struct Running {
    stop: CancellationToken,
    tally: oneshot::Receiver<Tally>,
}

impl Running {
    pub fn start(load: Load, client: Client) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let (tell, tally) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inner = stop.clone();
        thread::Builder::new().name("load".to_owned()).spawn(move || {
            let tally = runtime.block_on(all(load, client, inner));
            runtime.shutdown_background();
            let _ = tell.send(tally);
        })?;
        Ok(Self { stop, tally })
    }

    /// Lets what is under way end, and returns what was seen; none where the clients' thread died.
    pub async fn end(mut self) -> Option<Tally> {
        self.stop.cancel();
        (&mut self.tally).await.ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Asks a target once and says how it answered: as a part of the load it has to answer the same.
pub async fn look(client: &Client, target: &Target) -> Result<Plain, Failure> {
    let two = target.tls && client.connect(target, true).await.is_ok();
    let plain = Plain { two, ..Plain::unknown(target.clone()) };
    let kept = Pool::default();
    let answer = timeout(LONG_LIMIT, ask(client, &plain, Kind::KeptAlive, 0, &kept)).await;
    let (answer, _) = answer.unwrap_or_else(|_| Err(late(LONG_LIMIT)))?;
    Ok(Plain { status: Some(answer.status), color: answer.color, ..plain })
}

async fn all(load: Load, client: Client, stop: CancellationToken) -> Tally {
    let tally = Rc::new(RefCell::new(Tally::default()));
    let user = |plain: &Plain, kind| User {
        client: client.clone(),
        plain: plain.clone(),
        kind,
        body: 0,
        stop: stop.clone(),
        tally: Rc::clone(&tally),
    };
    let local = tokio::task::LocalSet::new();
    let mut lanes = vec![];
    for number in 0..load.connections {
        let plain = &load.plain[number % load.plain.len()];
        let turn = number / load.plain.len() % 4;
        // Of four connections one is opened for each request; with TLS, two of four speak HTTP/2.
        let kind = match turn {
            1 | 3 if plain.two => Kind::Http2,
            2 => Kind::NewConnection,
            _ => Kind::KeptAlive,
        };
        let pool = Rc::new(Pool::default());
        let streams = if kind == Kind::Http2 { STREAMS } else { 1 };
        lanes.extend((0..streams).map(|_| (user(plain, kind), Rc::clone(&pool))));
    }
    let count = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
    let every = (load.rate > 0).then(|| Duration::from_secs(1) * count / load.rate);
    for (number, (user, pool)) in (0..).zip(lanes) {
        // Evenly spread over the time between two of their own.
        let pace = every.map(|every| pace(every * number / count, every));
        local.spawn_local(user.asks(pool, pace));
    }
    for (kind, plains) in [(Kind::Long, &load.long), (Kind::Upload, &load.uploads)] {
        for plain in plains {
            let body = if kind == Kind::Upload { load.upload_size } else { 0 };
            let user = User { body, ..user(plain, kind) };
            let pace = pace(Duration::ZERO, LONG_PAUSE);
            local.spawn_local(user.asks(Rc::default(), Some(pace)));
        }
    }
    for (kind, targets) in [(Kind::WebSocket, &load.websockets), (Kind::Events, &load.events)] {
        for target in targets {
            local.spawn_local(user(&Plain::unknown(target.clone()), kind).stays());
        }
    }
    local.await;
    tally.take()
}

fn pace(first: Duration, every: Duration) -> Interval {
    let mut pace = interval_at(Instant::now() + first, every.max(Duration::from_micros(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// A connection that is kept.
type Pool = Mutex<Option<Sender>>;

/// One client.
struct User {
    client: Client,
    plain: Plain,
    kind: Kind,
    body: u64,
    stop: CancellationToken,
    tally: Rc<RefCell<Tally>>,
}

impl User {
    /// Sends one request after the other.
    async fn asks(self, pool: Rc<Pool>, mut pace: Option<Interval>) {
        let limit = if matches!(self.kind, Kind::Long | Kind::Upload) { LONG_LIMIT } else { LIMIT };
        loop {
            if let Some(pace) = &mut pace {
                tokio::select! {
                    _ = pace.tick() => {}
                    () = self.stop.cancelled() => return,
                }
            }
            if self.stop.is_cancelled() {
                return;
            }
            let begun = self.client.clock.now();
            let asked = ask(&self.client, &self.plain, self.kind, self.body, &pool);
            let result = timeout(limit, asked).await.unwrap_or_else(|_| Err(late(limit)));
            match result {
                Ok((Answer { status, .. }, _)) if !self.plain.is_good(status) => {
                    let good = self.plain.status.map_or("2xx".to_owned(), |good| good.to_string());
                    let reason = format!("status {status} in place of {good}");
                    self.failed(Failure::new(What::Status, reason));
                }
                Ok((Answer { color, sent, head, end, .. }, own)) => {
                    let begun = if own { begun } else { sent };
                    let sample = Sample { kind: self.kind, color, begun, sent, head, end };
                    self.tally.borrow_mut().samples.push(sample);
                }
                Err(failure) => {
                    self.failed(failure);
                    self.pause().await;
                }
            }
        }
    }

    /// Keeps a stream open, and opens another when it ends.
    async fn stays(self) {
        while !self.stop.is_cancelled() {
            let stay = stream::Stay {
                client: &self.client,
                target: &self.plain.target,
                kind: self.kind,
                stop: &self.stop,
                tally: &self.tally,
            };
            let opened = match timeout(LIMIT, stay.open()).await {
                Ok(opened) => opened,
                Err(_) => Err(late(LIMIT)),
            };
            let (color, stream) = match opened {
                Ok(opened) => opened,
                Err(failure) => {
                    self.failed(failure);
                    self.pause().await;
                    continue;
                }
            };
            let Some(end) = stay.follow(stream).await else { return };
            let (what, reason) = (end.what, end.reason);
            if what == What::Cut {
                let at = self.client.clock.now();
                let ended = Ended { kind: self.kind, color, at, reason };
                self.tally.borrow_mut().ended.push(ended);
            } else {
                self.failed(Failure { what, reason });
            }
        }
    }

    fn failed(&self, Failure { what, reason }: Failure) {
        let reason = format!("{}: {reason}", self.plain.target.url());
        self.tally.borrow_mut().faults.push(Fault { kind: self.kind, what, reason });
    }

    async fn pause(&self) {
        let _ = timeout(AGAIN, self.stop.cancelled()).await;
    }
}

fn late(limit: Duration) -> Failure {
    Failure::new(What::Timeout, format!("no whole answer within {} s", limit.as_secs()))
}

/// Asks once; says whether a connection was opened for it.
async fn ask(
    client: &Client,
    plain: &Plain,
    kind: Kind,
    body: u64,
    pool: &Pool,
) -> Result<(Answer, bool), Failure> {
    let two = kind == Kind::Http2;
    loop {
        let (mut sender, own) = sender(client, plain, kind, pool).await?;
        let request = Client::request(&plain.target, two, body);
        let Some(answer) = client.exchange(&mut sender, request).await? else {
            // The connection ended before the request was sent, which every client sees and mends.
            continue;
        };
        if !matches!(kind, Kind::NewConnection | Kind::Http2) {
            *pool.lock().await = Some(sender);
        }
        return Ok((answer, own));
    }
}

/// The connection that is kept, if it can be sent on, else a new one.
async fn sender(
    client: &Client,
    plain: &Plain,
    kind: Kind,
    pool: &Pool,
) -> Result<(Sender, bool), Failure> {
    if kind == Kind::NewConnection {
        return Ok((client.connect(&plain.target, false).await?, true));
    }
    let mut kept = pool.lock().await;
    if let Some(mut sender) = kept.take()
        && sender.is_open().await
    {
        *kept = sender.share();
        return Ok((sender, false));
    }
    let sender = client.connect(&plain.target, kind == Kind::Http2).await?;
    *kept = sender.share();
    Ok((sender, false))
}
