//! A service by name: its addresses, which of them serve, and the connections that are kept for the next request.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU32, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Instant,
};

use tokio::{net::TcpStream, time::timeout};

use super::{
    link::{Lease, Link},
    snapshot::Shared,
};

/// How names become addresses.
#[derive(Debug, Default)]
pub(super) enum Names {
    /// The system's resolver: in a container, the engine's DNS.
    #[default]
    System,
    #[cfg(test)]
    Fixed(Mutex<std::collections::HashMap<String, Vec<std::net::IpAddr>>>),
}

/// A name and port on the proxy's network.
#[derive(Debug)]
pub(super) struct Target {
    host: String,
    port: u16,
    workers: usize,
    known: Mutex<Known>,
    turn: AtomicUsize,
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
    address: SocketAddr,
    /// Requests and connections on it now.
    open: AtomicU32,
    /// Those of them that do not end by themselves.
    staying: AtomicU32,
    ejected: Mutex<Option<Instant>>,
    /// It is about to be removed, unless that is long past.
    retired: Mutex<Option<Instant>>,
    /// Kept connections, for each worker its own.
    idle: Box<[Mutex<VecDeque<Idle>>]>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: u64,
}

/// Connections that are kept for each worker and replica.
const KEPT: usize = 64;

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
    pub fn new(host: &str, port: u16, workers: usize) -> Self {
        Self {
            host: host.to_owned(),
            port,
            workers,
            known: Mutex::default(),
            turn: AtomicUsize::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `green-api:80`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A connection for one request: a kept one, if `reuse` allows it, else a new one to the least loaded address that
    /// accepts it.
    pub async fn lease(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        worker: usize,
        reuse: bool,
    ) -> Result<Lease, Unreachable> {
        if reuse
            && let Some(replica) = self.choose(shared, &[])
            && let Some(link) = replica.take(worker, shared)
        {
            return Ok(Lease::new(link, replica, worker, true));
        }
        // Boxed: what most requests do without must not make each of them bigger.
        let (stream, replica) = Box::pin(self.connect(shared)).await?;
        Ok(Lease::new(Box::new(Link::new(stream).await), replica, worker, false))
    }

    /// A new connection to the least loaded address that accepts it.
    pub async fn connect(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
    ) -> Result<(TcpStream, Connected), Unreachable> {
        let limits = &shared.limits;
        let mut failed: Vec<SocketAddr> = vec![];
        let mut error = None;
        let mut looked_up = false;
        loop {
            let Some(replica) = self.choose(shared, &failed) else {
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
            match timeout(limits.connect_time, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    replica.eject(None);
                    return Ok((stream, replica));
                }
                Ok(Err(source)) => error = Some(Unreachable::Refused { address, source }),
                Err(_) => error = Some(Unreachable::TimedOut { address }),
            }
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
                (replica.is_retired(), replica.is_ejected(), replica.open.load(Relaxed))
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
        let looking = shared.names.look_up(&self.host, self.port);
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

    /// Closes connections that nobody used for long.
    pub fn sweep(&self, worker: usize, shared: &Shared) {
        let replicas = self.known().replicas.clone();
        for replica in replicas {
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
            idle: (0..workers).map(|_| Mutex::default()).collect(),
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

    fn is_ejected(&self) -> bool {
        let until = *self.ejected.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
