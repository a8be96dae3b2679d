//! A service by name: its addresses, which of them serve, and the connections that are kept for the next request.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, time::timeout};

use super::{
    link::{Lease, Link},
    multiplexed::Multiplexed,
    options::Limits,
    snapshot::Shared,
};
use crate::model::{PathRule, Probe, Protocol, Route, RouteLimits};

/// How names become addresses.
#[derive(Debug, Default)]
pub(super) enum Names {
    /// The system's resolver: in a container, the engine's DNS.
    #[default]
    System,
    #[cfg(test)]
    Fixed(Mutex<std::collections::HashMap<String, Vec<std::net::IpAddr>>>),
}

/// What a target is, and how it is to be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spec {
    host: String,
    port: u16,
    pub protocol: Protocol,
    pub proxy_protocol: bool,
    pub limits: RouteLimits,
    pub health: Option<Probe>,
    pub shared_assets: bool,
    pub durable: bool,
}

impl Spec {
    pub fn new(route: &Route, rule: &PathRule) -> Self {
        Self {
            host: rule.host.clone(),
            port: rule.port,
            protocol: rule.protocol,
            proxy_protocol: route.proxy_protocol,
            limits: route.limits,
            health: route.health.clone(),
            shared_assets: route.shared_assets,
            durable: rule.durable,
        }
    }
}

/// A name and port on the proxy's network.
#[derive(Debug)]
pub(super) struct Target {
    pub spec: Spec,
    workers: usize,
    known: Mutex<Known>,
    turn: AtomicUsize,
    /// Connections that were not accepted.
    pub failures: AtomicU64,
    /// When the replicas were asked for their health last.
    asked: Mutex<Option<Instant>>,
    /// Held while the name is looked up, so that many who wait for the same cost one look.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    replicas: Vec<Arc<Replica>>,
    /// Number and time of the last look.
    looks: u64,
    looked_up: u64,
    looking: bool,
}

/// One address of a target.
#[derive(Debug)]
pub(super) struct Replica {
    pub address: SocketAddr,
    /// Requests and connections on it now.
    open: AtomicU32,
    /// Those of them that do not end by themselves.
    staying: AtomicU32,
    ejected: Mutex<Option<Instant>>,
    /// It is about to be removed, unless that is long past.
    retired: Mutex<Option<Instant>>,
    /// Failed health checks in a row, and whether they were enough.
    failures: AtomicU32,
    sick: AtomicBool,
    /// Kept connections, for each worker its own.
    idle: Box<[Mutex<VecDeque<Idle>>]>,
    /// The connection that a worker's requests share, where the protocol can do that.
    multiplexed: Box<[Mutex<Option<Multiplexed>>]>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: u64,
}

/// Connections that are kept for each worker and replica: more than come at once from a few clients with many streams.
const KEPT: usize = 256;

/// Why no address of a target could be reached.
#[derive(Debug)]
pub(super) enum Unreachable {
    NoAddress(io::Error),
    Refused { address: SocketAddr, source: io::Error },
    TimedOut { address: SocketAddr },
}

impl Names {
    pub async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut found: Vec<SocketAddr> = match self {
            Self::System => tokio::net::lookup_host((host, port)).await?.collect(),
            #[cfg(test)]
            Self::Fixed(names) => {
                let known = names.lock().unwrap().get(host).cloned();
                match known {
                    Some(addresses) => {
                        addresses.into_iter().map(|address| (address, port).into()).collect()
                    }
                    None => tokio::net::lookup_host((host, port)).await?.collect(),
                }
            }
        };
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

impl Target {
    pub fn new(spec: Spec, workers: usize) -> Self {
        Self {
            spec,
            workers,
            known: Mutex::default(),
            turn: AtomicUsize::default(),
            failures: AtomicU64::default(),
            asked: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// `green-api:80`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.spec.host, self.spec.port)
    }

    /// From a request to the head of its answer.
    pub fn answer_time(&self, limits: &Limits) -> Duration {
        self.spec.limits.response_ms.map_or(limits.answer_time, Duration::from_millis)
    }

    /// Between two pieces of an answer.
    pub fn idle_time(&self) -> Option<Duration> {
        self.spec.limits.idle_ms.map(Duration::from_millis)
    }

    /// A connection for one request: a kept one, if `reuse` allows it, else a new one to the least loaded address that
    /// accepts it.
    pub async fn lease(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        worker: usize,
        reuse: bool,
    ) -> Result<Lease, Unreachable> {
        if self.spec.protocol == Protocol::H2c {
            return Box::pin(self.share(shared, worker)).await;
        }
        let chosen = self.choose(shared, &[]);
        let kept = chosen.as_ref().filter(|_| reuse).and_then(|one| one.take(worker, shared));
        let chosen = match (kept, chosen) {
            (Some(link), Some(replica)) => return Ok(Lease::new(link, replica, worker, true)),
            (_, chosen) => chosen,
        };
        // Boxed: what most requests do without must not make each of them bigger.
        let (stream, replica) = Box::pin(self.connect_first(shared, chosen)).await?;
        Ok(Lease::new(Box::new(Link::new(stream).await), replica, worker, false))
    }

    /// A connection that many requests use at once, to the least loaded address.
    async fn share(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        worker: usize,
    ) -> Result<Lease, Unreachable> {
        let chosen = self.choose(shared, &[]);
        let link = chosen.as_ref().and_then(|replica| {
            replica.multiplexed(worker).as_ref().and_then(Multiplexed::another)
        });
        let chosen = match (link, chosen) {
            (Some(link), Some(replica)) => return Ok(Lease::shared(link, replica, worker, true)),
            (_, chosen) => chosen,
        };
        let (stream, replica) = self.connect_first(shared, chosen).await?;
        let address = replica.address;
        let refused = |source| Unreachable::Refused { address, source };
        let link = Multiplexed::new(stream).await.map_err(refused)?;
        *replica.multiplexed(worker) = link.another();
        Ok(Lease::shared(link, replica, worker, false))
    }

    /// A new connection to the least loaded address that accepts it.
    pub async fn connect(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
    ) -> Result<(TcpStream, Connected), Unreachable> {
        self.connect_first(shared, None).await
    }

    /// The same, where an address was chosen already: that one first.
    async fn connect_first(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        mut chosen: Option<Connected>,
    ) -> Result<(TcpStream, Connected), Unreachable> {
        let limits = &shared.limits;
        let connect_time =
            self.spec.limits.connect_ms.map_or(limits.connect_time, Duration::from_millis);
        let mut failed: Vec<SocketAddr> = vec![];
        let mut error = None;
        let mut looked_up = false;
        loop {
            let Some(replica) = chosen.take().or_else(|| self.choose(shared, &failed)) else {
                if looked_up {
                    return Err(error.unwrap_or_else(|| {
                        Unreachable::NoAddress(io::ErrorKind::NotFound.into())
                    }));
                }
                looked_up = true;
                if let Err(source) = self.look_up(shared).await {
                    return Err(error.unwrap_or(Unreachable::NoAddress(source)));
                }
                continue;
            };
            let address = replica.address;
            match timeout(connect_time, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    replica.eject(None);
                    return Ok((stream, replica));
                }
                Ok(Err(source)) => error = Some(Unreachable::Refused { address, source }),
                Err(_) => error = Some(Unreachable::TimedOut { address }),
            }
            self.failures.fetch_add(1, Relaxed);
            replica.eject(Some(Instant::now() + limits.eject_time));
            failed.push(address);
        }
    }

    /// The least loaded address that is not ejected; when all are, the least loaded of those. It counts from here on, so
    /// that who chooses next sees it.
    fn choose(self: &Arc<Self>, shared: &Arc<Shared>, but: &[SocketAddr]) -> Option<Connected> {
        let mut known = self.known();
        let old = shared.clock.since(known.looked_up) > shared.limits.name_time;
        if old && !known.looking && !known.replicas.is_empty() {
            known.looking = true;
            let (target, shared) = (Arc::clone(self), Arc::clone(shared));
            tokio::spawn(async move { target.look_up(&shared).await });
        }
        let replicas = &known.replicas;
        if let ([only], []) = (replicas.as_slice(), but) {
            return Some(Connected::new(Arc::clone(only)));
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let in_turn = (0..replicas.len()).map(|n| &replicas[(n + turn) % replicas.len()]);
        in_turn
            .filter(|replica| !but.contains(&replica.address))
            .min_by_key(|replica| {
                (replica.is_retired(), replica.is_out(), replica.open.load(Relaxed))
            })
            .map(|replica| Connected::new(Arc::clone(replica)))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks the name up now. Addresses that stay keep their connections; those that are gone are forgotten.
    pub async fn look_up(&self, shared: &Shared) -> io::Result<Vec<SocketAddr>> {
        let looks = self.known().looks;
        let _one = self.asking.lock().await;
        {
            let known = self.known();
            if known.looks != looks {
                let addresses: Vec<_> = known.replicas.iter().map(|r| r.address).collect();
                let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                return if addresses.is_empty() { Err(none()) } else { Ok(addresses) };
            }
        }
        let looking = shared.names.look_up(&self.spec.host, self.spec.port);
        let found = timeout(shared.limits.connect_time, looking).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut known = self.known();
        known.looking = false;
        known.looks += 1;
        known.looked_up = shared.clock.now();
        let found = found?;
        let old = std::mem::take(&mut known.replicas);
        known.replicas = found
            .into_iter()
            .map(|address| match old.iter().find(|replica| replica.address == address) {
                Some(replica) => Arc::clone(replica),
                None => Arc::new(Replica::new(address, self.workers)),
            })
            .collect();
        Ok(known.replicas.iter().map(|replica| replica.address).collect())
    }

    pub fn host(&self) -> &str {
        &self.spec.host
    }

    /// Sends nothing new to these addresses (their ports aside) while there are others; returns those that were known.
    pub fn retire(&self, addresses: &[SocketAddr], until: Instant) -> Vec<Arc<Replica>> {
        let known = self.known();
        let theirs = |replica: &&Arc<Replica>| {
            addresses.iter().any(|address| address.ip() == replica.address.ip())
        };
        let retired: Vec<_> = known.replicas.iter().filter(theirs).cloned().collect();
        for replica in &retired {
            *replica.retired.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
        retired
    }

    /// When the replicas are to be asked next; `None`, and from now on later, when that is now.
    pub fn due(&self, interval: Duration) -> Option<Instant> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *asked {
            Some(then) if then + interval > now => Some(then + interval),
            _ => {
                *asked = Some(now);
                None
            }
        }
    }

    /// Whether none of the addresses that are known gets requests.
    pub fn is_down(&self) -> bool {
        let known = self.known();
        !known.replicas.is_empty() && known.replicas.iter().all(|replica| replica.is_out())
    }

    /// The addresses that are known now.
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.known().replicas.clone()
    }

    /// Closes connections that nobody used for long.
    pub fn sweep(&self, worker: usize, shared: &Shared) {
        for replica in self.replicas() {
            let fresh = |idle: &Idle| shared.clock.since(idle.since) < shared.limits.reuse_time;
            replica.idle(worker).retain(fresh);
        }
    }
}

/// Counts on a replica until it is dropped.
#[derive(Debug)]
pub(super) struct Connected {
    replica: Arc<Replica>,
    stays: bool,
}

impl Connected {
    fn new(replica: Arc<Replica>) -> Self {
        replica.open.fetch_add(1, SeqCst);
        Self { replica, stays: false }
    }

    /// Says that this one does not end by itself.
    pub fn stays(&mut self) {
        if !self.stays {
            self.stays = true;
            self.replica.staying.fetch_add(1, SeqCst);
        }
    }
}

impl std::ops::Deref for Connected {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.replica
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.replica.open.fetch_sub(1, SeqCst);
        if self.stays {
            self.replica.staying.fetch_sub(1, SeqCst);
        }
    }
}

impl Replica {
    fn new(address: SocketAddr, workers: usize) -> Self {
        Self {
            address,
            open: AtomicU32::default(),
            staying: AtomicU32::default(),
            ejected: Mutex::default(),
            retired: Mutex::default(),
            failures: AtomicU32::default(),
            sick: AtomicBool::default(),
            idle: (0..workers).map(|_| Mutex::default()).collect(),
            multiplexed: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// Keeps a connection for the next request.
    pub fn keep(&self, worker: usize, link: Box<Link>, now: u64) {
        let mut idle = self.idle(worker);
        if idle.len() < KEPT {
            idle.push_back(Idle { link, since: now });
        }
    }

    fn take(&self, worker: usize, shared: &Shared) -> Option<Box<Link>> {
        let mut idle = self.idle(worker);
        let last = idle.pop_back()?;
        if shared.clock.since(last.since) < shared.limits.reuse_time {
            return Some(last.link);
        }
        idle.clear();
        None
    }

    fn idle(&self, worker: usize) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn eject(&self, until: Option<Instant>) {
        *self.ejected.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// What ends by itself.
    pub fn requests(&self) -> u32 {
        self.open.load(SeqCst).saturating_sub(self.staying())
    }

    pub fn staying(&self) -> u32 {
        self.staying.load(SeqCst)
    }

    fn is_retired(&self) -> bool {
        let until = *self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn multiplexed(&self, worker: usize) -> MutexGuard<'_, Option<Multiplexed>> {
        self.multiplexed[worker].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the result of a health check. Says whether that took the replica out, or brought it back.
    pub fn checked(&self, good: bool, threshold: u32) -> bool {
        if good {
            self.failures.store(0, Relaxed);
            return self.sick.swap(false, Relaxed);
        }
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        failures >= threshold && !self.sick.swap(true, Relaxed)
    }

    /// Whether it gets no requests while there are others.
    pub fn is_out(&self) -> bool {
        if self.sick.load(Relaxed) {
            return true;
        }
        let until = *self.ejected.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
