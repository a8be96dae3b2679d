//! What the proxy does when it is told to: one change after the other, each whole or not at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{
    drain::Drain,
    health,
    load::Load,
    retire,
    snapshot::Shared,
    store::{self, Store},
    target::Target,
    tls::Tls,
    traffic::Sum,
};
use crate::model::{
    Canary, Certificate, Color, Listener, Maintenance, Routing, Stack,
    control::{AccessMark, Answer, Draining, Record, Request, Status},
};

/// The proxy's one place of change.
#[derive(Debug)]
pub(super) struct Control {
    shared: Arc<Shared>,
    store: Store,
    listeners: Vec<Listener>,
    runtime: tokio::runtime::Handle,
    tls: Option<Arc<Tls>>,
    /// Held through a change, so that there is one at a time.
    changing: tokio::sync::Mutex<()>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    routing: Routing,
    drains: BTreeMap<Color, Drain>,
    /// Whose requests are counted, and what had been counted before.
    watched: Option<(Color, Sum)>,
}

impl Control {
    pub fn new(
        shared: Arc<Shared>,
        store: Store,
        routing: Routing,
        listeners: Vec<Listener>,
        runtime: tokio::runtime::Handle,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        shared.gate.maintain(routing.maintenance.as_ref());
        for stack in routing.stacks.values() {
            cover(tls.as_deref(), stack);
        }
        let kept = Mutex::new(Kept { routing, drains: BTreeMap::new(), watched: None });
        let changing = tokio::sync::Mutex::default();
        Self { shared, store, listeners, runtime, tls, changing, kept }
    }

    pub async fn answer(&self, request: Request) -> Answer {
        let result = match request {
            Request::Status => Ok(self.status()),
            Request::Put { color, stack, drain_ms } => self.put(color, stack, drain_ms).await,
            Request::Switch { to, health } => self.switch(to, health).await,
            Request::Weigh { to, weight, health } => self.weigh(to, weight, health).await,
            Request::Watch { color } => {
                let traffic = &self.shared.traffic;
                traffic.watch(color.is_some());
                self.kept().watched = color.map(|color| (color, traffic.sum(color)));
                Ok(Answer::Done)
            }
            Request::Watched => match &self.kept().watched {
                Some((color, before)) => {
                    Ok(Answer::Watched(self.shared.traffic.sum(*color).since(before)))
                }
                None => Err("no color is watched".to_owned()),
            },
            Request::Forget { color } => self.forget(color).await,
            Request::Tested { color, release, result } => {
                self.tested(color, &release, result).await
            }
            Request::Drained { color, wait_ms } => Ok(self.drained(color, wait_ms).await),
            Request::Retire { host, replica, wait_ms } => {
                let drain = self.kept().routing.drain;
                let wait = Duration::from_millis(wait_ms);
                Ok(retire::retire(&self.shared, &host, &replica, drain, wait).await)
            }
            Request::Probe { host, port } => Ok(self.probe(&host, port).await),
            Request::Certificates { certificates } => self.certify(&certificates),
            Request::Tls { renew } => self.tls(renew),
            Request::Pause { limit_ms, hold_ms, most } => {
                let (limit, hold) =
                    (Duration::from_millis(limit_ms), Duration::from_millis(hold_ms));
                self.shared.gate.pause(limit, hold, usize::try_from(most).unwrap_or(usize::MAX));
                Ok(Answer::Done)
            }
            Request::Resume => Ok(Answer::Resumed { held: self.shared.gate.resume() }),
            Request::Maintain { maintenance } => self.maintain(maintenance).await,
            Request::Access { tail, after } => self.access(tail, after).await,
            Request::Record(record) => self.record(&record),
            Request::History { limit } => {
                self.store.history(limit).map(Answer::History).map_err(|error| error.to_string())
            }
        };
        result.unwrap_or_else(|reason| Answer::Refused { reason })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, color: Color) -> &Arc<Load> {
        self.shared.load(color)
    }

    fn status(&self) -> Answer {
        let kept = self.kept();
        let draining = |(color, drain): (&Color, &Drain)| {
            let draining = self.load(*color).draining(drain.left_ms());
            (!draining.is_empty()).then_some((*color, draining))
        };
        Answer::Status(Box::new(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            routing: kept.routing.clone(),
            paused: self.shared.gate.paused(),
            draining: kept.drains.iter().filter_map(draining).collect(),
            open: Color::ALL.into_iter().map(|color| (color, self.load(color).all())).collect(),
        }))
    }

    async fn put(&self, color: Color, mut stack: Stack, drain_ms: u64) -> Result<Answer, String> {
        self.check(&mut stack)?;
        cover(self.tls.as_deref(), &stack);
        self.change(|routing| {
            let before = routing.stacks.get(&color).map(|stack| &stack.release);
            if let Some(weight) = routing.share(color)
                && before != Some(&stack.release)
            {
                return Err(format!("{color} takes {weight} % of new clients"));
            }
            routing.stacks.insert(color, stack.clone());
            routing.drain = Duration::from_millis(drain_ms);
            Ok(())
        })
        .await?;
        // Replicas may have come and gone.
        if let Some(side) = self.shared.snapshot.load_full().side(color) {
            let looks = side.targets().map(|target| target.look_up(&self.shared));
            futures_util::future::join_all(looks).await;
        }
        Ok(Answer::Done)
    }

    /// Refuses a stack that could not be routed to, and sorts its rules.
    fn check(&self, stack: &mut Stack) -> Result<(), String> {
        for route in &mut stack.routes {
            let port = route.listen;
            let listener =
                |listener: &&Listener| listener.route == port && listener.color.is_none();
            let Some(listener) = self.listeners.iter().find(listener) else {
                return Err(format!("the proxy does not listen on port {port}"));
            };
            if (listener.tls, listener.tcp) != (route.tls, route.tcp) {
                return Err(format!("the proxy listens on port {port} for another protocol"));
            }
            if route.redirect.is_none() && route.paths.is_empty()
                || route.tcp && route.paths.len() > 1
            {
                return Err(format!("the route of port {port} has not one target"));
            }
            for rule in &route.paths {
                if !rule.prefix.starts_with('/') {
                    return Err(format!("`{}` does not begin with `/`", rule.prefix));
                }
                if rule.host.is_empty() || rule.port == 0 {
                    return Err(format!("`{}` of port {port} has no target", rule.prefix));
                }
            }
            route.paths.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        }
        Ok(())
    }

    async fn forget(&self, color: Color) -> Result<Answer, String> {
        self.change(|routing| {
            if routing.live == Some(color) {
                return Err(format!("{color} is live"));
            }
            if let Some(weight) = routing.share(color) {
                return Err(format!("{color} takes {weight} % of new clients"));
            }
            routing.stacks.remove(&color);
            Ok(())
        })
        .await?;
        Ok(Answer::Done)
    }

    async fn tested(
        &self,
        color: Color,
        release: &str,
        result: serde_json::Value,
    ) -> Result<Answer, String> {
        let _one = self.changing.lock().await;
        let mut routing = self.kept().routing.clone();
        match routing.stacks.get_mut(&color) {
            Some(stack) if stack.release == release => stack.tests = Some(result),
            Some(stack) => return Err(format!("{color} holds release {}", stack.release)),
            None => return Err(format!("{color} has no release")),
        }
        self.store.save(&routing).map_err(|error| error.to_string())?;
        self.kept().routing = routing;
        Ok(Answer::Done)
    }

    /// Changes the stacks: saved first, so that what fails leaves everything as it was.
    async fn change(
        &self,
        edit: impl FnOnce(&mut Routing) -> Result<(), String>,
    ) -> Result<(), String> {
        let _one = self.changing.lock().await;
        let old = self.kept().routing.clone();
        let mut routing = old.clone();
        edit(&mut routing)?;
        self.store.save(&routing).map_err(|error| error.to_string())?;
        let mut snapshot = self.shared.snapshot.load().as_ref().clone();
        for color in Color::ALL {
            let (before, after) = (old.stacks.get(&color), routing.stacks.get(&color));
            // The connections of a stack that is routed to as before stay.
            let routed = |stack: Option<&Stack>| {
                stack.map(|stack| (stack.release.clone(), stack.routes.clone()))
            };
            if routed(before) != routed(after) {
                let (loads, workers) = (&self.shared.loads, self.shared.workers);
                snapshot = snapshot.with(color, after, loads, workers);
            }
        }
        self.shared.snapshot.store(Arc::new(snapshot));
        self.kept().routing = routing;
        Ok(())
    }

    async fn switch(&self, to: Color, health: bool) -> Result<Answer, String> {
        let _one = self.changing.lock().await;
        let before = self.shared.snapshot.load_full();
        let Some(side) = before.side(to) else {
            return Err(format!("{to} has no release"));
        };
        if health
            && let Err((target, reason)) = self.healthy(side.own_targets().cloned().collect()).await
        {
            return Ok(Answer::NotHealthy { target, reason });
        }
        let from = before.live;
        let mut routing = self.kept().routing.clone();
        let drain = routing.drain;
        let mut draining = Draining::default();
        let canary = routing.canary.take();
        if from != Some(to) || canary.is_some() {
            self.shared.snapshot.store(Arc::new(before.switched(Some(to))));
            // From here on every new request is on the new color.
            routing.live = Some(to);
            if from != Some(to) {
                routing.switched = Some(now());
            }
            if let Err(error) = self.store.save(&routing) {
                self.shared.snapshot.store(before);
                return Err(error.to_string());
            }
            if from != Some(to) {
                self.shared.traffic.switches.fetch_add(1, Relaxed);
            }
            let mut kept = self.kept();
            kept.routing = routing;
            kept.drains.remove(&to);
            let left = from.filter(|from| *from != to).or(canary.map(|canary| canary.to));
            if let Some(left) = left.filter(|left| *left != to) {
                let drain = Drain::start(&self.runtime, self.load(left), drain);
                draining = self.load(left).draining(drain.left_ms());
                kept.drains.insert(left, drain);
            }
        }
        Ok(Answer::Switched { from, to, draining })
    }

    async fn weigh(&self, to: Color, weight: u8, health: bool) -> Result<Answer, String> {
        let _one = self.changing.lock().await;
        let before = self.shared.snapshot.load_full();
        if before.live.is_none_or(|live| live == to) {
            let reason = if before.live.is_none() { "no color is live yet" } else { "it is live" };
            return Err(format!("{to} cannot get a share: {reason}"));
        }
        let side = before.side(to).ok_or_else(|| format!("{to} has no release"))?;
        if weight >= 100 {
            return Err(format!("{weight} % is no share"));
        }
        if weight > 0
            && health
            && let Err((target, reason)) = self.healthy(side.own_targets().cloned().collect()).await
        {
            return Ok(Answer::NotHealthy { target, reason });
        }
        let mut routing = self.kept().routing.clone();
        routing.canary = (weight > 0).then(|| Canary { to, weight, since: now() });
        self.store.save(&routing).map_err(|error| error.to_string())?;
        self.shared.snapshot.store(Arc::new(before.sharing(routing.canary.as_ref())));
        let mut kept = self.kept();
        if weight > 0 {
            kept.drains.remove(&to);
        } else if kept.routing.canary.is_some() {
            let drain = Drain::start(&self.runtime, self.load(to), routing.drain);
            kept.drains.insert(to, drain);
        }
        kept.routing = routing;
        Ok(Answer::Done)
    }

    /// Whether each target accepts a connection now; else the first that does not, and why.
    async fn healthy(&self, mut targets: Vec<Arc<Target>>) -> Result<(), (String, String)> {
        targets.sort_unstable_by_key(|target| target.name());
        targets.dedup_by_key(|target| target.name());
        let mut asked = JoinSet::new();
        for target in targets {
            let shared = Arc::clone(&self.shared);
            asked.spawn(async move {
                let limit = shared.limits.health_time;
                match timeout(limit, accepts(&target, &shared)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(reason)) => Err((target.name(), reason)),
                    Err(_) => Err((target.name(), format!("no connection within {limit:?}"))),
                }
            });
        }
        while let Some(result) = asked.join_next().await {
            result.map_err(|error| (String::from("?"), error.to_string()))??;
        }
        Ok(())
    }

    async fn probe(&self, host: &str, port: u16) -> Answer {
        let connect = timeout(self.shared.limits.health_time, TcpStream::connect((host, port)));
        let reason = match connect.await {
            Ok(Ok(_)) => return Answer::Done,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no connection in time".to_owned(),
        };
        Answer::NotHealthy { target: format!("{host}:{port}"), reason }
    }

    async fn drained(&self, color: Color, wait_ms: u64) -> Answer {
        let deadline = Instant::now() + Duration::from_millis(wait_ms);
        loop {
            let left_ms = self.kept().drains.get(&color).map_or(0, Drain::left_ms);
            let left = self.load(color).draining(left_ms);
            if left.is_empty() || Instant::now() >= deadline {
                return Answer::Drained { left };
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "what is left is asked again until the deadline"
            )]
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn certify(&self, certificates: &[Certificate]) -> Result<Answer, String> {
        let tls = self.tls.as_ref().ok_or("no listener has TLS")?;
        tls.set(certificates)?;
        Ok(Answer::Done)
    }

    fn tls(&self, renew: bool) -> Result<Answer, String> {
        let tls = self.tls.as_ref().ok_or("no listener has TLS")?;
        if renew {
            tls.renew_now()?;
        }
        tls.certificates().map(Answer::Tls)
    }

    async fn maintain(&self, maintenance: Option<Maintenance>) -> Result<Answer, String> {
        self.change(|routing| {
            routing.maintenance.clone_from(&maintenance);
            Ok(())
        })
        .await?;
        self.shared.gate.maintain(maintenance.as_ref());
        Ok(Answer::Done)
    }

    async fn access(&self, tail: usize, after: Option<AccessMark>) -> Result<Answer, String> {
        let log = self.shared.traffic.log.clone();
        let log = log.ok_or("it keeps no access log; `proxy.access_log` asks for one")?;
        let read = tokio::task::spawn_blocking(move || log.read(tail, after));
        let read = read.await.map_err(|error| error.to_string())?;
        let (lines, mark) = read.map_err(|error| error.to_string())?;
        Ok(Answer::Access { lines, mark })
    }

    fn record(&self, record: &Record) -> Result<Answer, String> {
        check_name(record)?;
        self.store.record(record).map_err(|error| error.to_string())?;
        Ok(Answer::Done)
    }
}

async fn accepts(target: &Target, shared: &Shared) -> Result<(), String> {
    let addresses = target.look_up(shared).await.map_err(|error| error.to_string())?;
    let mut reason = String::new();
    for address in addresses {
        match health::check(target, address, shared.limits.health_time).await {
            Ok(()) => return Ok(()),
            Err(error) => reason = format!("{address}: {error}"),
        }
    }
    Err(reason)
}

/// Sees to it that the local certificate is good for the hosts of a stack's TLS routes.
fn cover(tls: Option<&Tls>, stack: &Stack) {
    let hosts = stack.routes.iter().filter(|route| route.tls).flat_map(|route| &route.hosts);
    if let Some(Err(reason)) = tls.map(|tls| tls.cover(hosts)) {
        tracing::error!(reason, "a route's host is in no certificate");
    }
}

fn check_name(record: &Record) -> Result<(), String> {
    if store::is_name(&record.name) {
        Ok(())
    } else {
        Err(format!("`{}` cannot be the name of a record", record.name))
    }
}

/// RFC 3339, UTC, to the millisecond.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
