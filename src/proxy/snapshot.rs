//! The one immutable picture that every request is routed by.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio_util::sync::CancellationToken;

use super::{
    chooser::Chooser,
    clock::Clock,
    gate::Gate,
    hosts::Hosts,
    load::{Kind, Load, Open},
    options::Limits,
    share::Share,
    target::{Names, Spec, Target},
    traffic::Traffic,
};
use crate::model::{Canary, Color, Listener, Routing, Stack};

/// What all threads of the proxy share.
#[derive(Debug)]
pub(super) struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub loads: [Arc<Load>; 2],
    pub limits: Limits,
    pub workers: usize,
    pub names: Names,
    pub trust_forwarded: bool,
    /// Cancelled when the proxy ends.
    pub stopping: CancellationToken,
    /// Set just before `stopping` is cancelled: what every request can look at without a lock.
    pub stopped: AtomicBool,
    pub clock: Clock,
    pub traffic: Traffic,
    pub gate: Gate,
    /// Makes request ids: never the same twice, and not the same after a restart.
    pub ids: AtomicU64,
}

/// Which color is live, and each color's routes.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub live: Option<Color>,
    pub share: Option<Arc<Share>>,
    sides: [Option<Arc<Side>>; 2],
}

/// A color's stack, ready to route by.
#[derive(Debug)]
pub(super) struct Side {
    pub release: String,
    chooser: Option<Chooser>,
    tables: Vec<Table>,
    load: Arc<Load>,
}

/// The routes of one port.
#[derive(Debug)]
struct Table {
    listen: u16,
    /// The one without hosts last.
    sites: Vec<Site>,
}

/// The routes of some hosts, or of all.
#[derive(Debug)]
struct Site {
    hosts: Hosts,
    /// The port of the TLS route that requests are sent to.
    redirect: Option<u16>,
    /// Longest prefix first.
    rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    prefix: Box<str>,
    pub strip: bool,
    pub target: Arc<Target>,
}

/// Why there is no target for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoWay {
    NothingLive,
    NoStack(Color),
    /// The stack has nothing for this port.
    NoRoute {
        port: u16,
        color: Color,
        release: String,
    },
    /// The port has routes, and none for the host that is asked for.
    NoHost {
        color: Color,
    },
    /// The route has no rule that covers the path.
    NoPath {
        color: Color,
    },
    /// The same is to be asked over HTTPS, on this port.
    Redirect {
        port: u16,
    },
}

/// Where a request goes. Counted on its color until `open` is dropped.
#[derive(Debug)]
pub(super) struct Way {
    pub color: Color,
    pub target: Arc<Target>,
    pub open: Open,
    /// Bytes of the path to take off.
    pub strip: usize,
    /// Whether the client asked for the color by name.
    pub asked: bool,
    /// Where the color was not just the live one.
    pub choice: Option<Box<Choice>>,
}

/// What to do about a request whose color was chosen.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// What the client is to keep: it is new, and two colors get traffic.
    pub cookie: Option<HeaderValue>,
    /// What answers vary by.
    pub vary: Option<HeaderValue>,
    /// The header that names a color: no service sees it.
    pub header: Option<HeaderName>,
    /// The client asked for the color.
    pub asked: bool,
}

impl Shared {
    /// Finds the way by the snapshot of this very moment: a switch that has been answered is seen by whatever asks later, and
    /// what took its way before is counted before the switch looks at what is left.
    pub fn way(
        &self,
        listener: &Listener,
        path: &str,
        headers: &HeaderMap,
        kind: Kind,
    ) -> Result<Way, NoWay> {
        loop {
            let snapshot = self.snapshot.load();
            let way = snapshot.way(listener, path, headers, kind);
            if Arc::ptr_eq(&snapshot, &self.snapshot.load()) {
                return way;
            }
        }
    }

    /// The way to a color, where that has one for the same request.
    pub fn way_to(
        &self,
        color: Color,
        listener: &Listener,
        path: &str,
        headers: &HeaderMap,
        kind: Kind,
    ) -> Option<Way> {
        self.snapshot.load().way_to(color, listener, path, headers, kind).ok()
    }

    /// A name for a request: 16 hex digits.
    pub fn request_id(&self) -> HeaderValue {
        // The step and the finalizer of SplitMix64: all values differ, and look it.
        let mut id = self.ids.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed);
        id = (id ^ (id >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        id ^= id >> 31;
        let mut text = [0; 16];
        for (at, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * at) & 15) as usize];
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    pub fn load(&self, color: Color) -> &Arc<Load> {
        &self.loads[color as usize]
    }
}

impl Snapshot {
    pub fn new(routing: &Routing, loads: &[Arc<Load>; 2], workers: usize) -> Self {
        let mut snapshot = Self { live: routing.live, ..Self::default() };
        for (color, stack) in &routing.stacks {
            snapshot = snapshot.with(*color, Some(stack), loads, workers);
        }
        snapshot.sharing(routing.canary.as_ref())
    }

    /// The same with one live color alone: the stacks, and their connections, are the very same.
    #[must_use]
    pub fn switched(&self, live: Option<Color>) -> Self {
        Self { live, share: None, sides: self.sides.clone() }
    }

    /// The same with another share for the idle color.
    #[must_use]
    pub fn sharing(&self, canary: Option<&Canary>) -> Self {
        let share = canary.and_then(|canary| {
            let side = self.side(canary.to)?;
            Some(Arc::new(Share::new(canary, &side.release)))
        });
        Self { live: self.live, share, sides: self.sides.clone() }
    }

    /// The same with another stack under one color.
    #[must_use]
    pub fn with(
        &self,
        color: Color,
        stack: Option<&Stack>,
        loads: &[Arc<Load>; 2],
        workers: usize,
    ) -> Self {
        let mut snapshot = self.clone();
        snapshot.sides[color as usize] =
            stack.map(|stack| Arc::new(Side::new(stack, &loads[color as usize], workers)));
        snapshot
    }

    pub fn side(&self, color: Color) -> Option<&Arc<Side>> {
        self.sides[color as usize].as_ref()
    }

    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.sides.iter().flatten().flat_map(|side| side.targets())
    }

    fn way(
        &self,
        listener: &Listener,
        path: &str,
        headers: &HeaderMap,
        kind: Kind,
    ) -> Result<Way, NoWay> {
        let color = listener.color.or(self.live).ok_or(NoWay::NothingLive)?;
        let chooser = self.side(color).and_then(|side| side.chooser.as_ref());
        if listener.color.is_none() && (self.share.is_some() || chooser.is_some()) {
            return self.chosen(color, chooser, listener, path, headers, kind);
        }
        self.way_to(color, listener, path, headers, kind)
    }

    /// The way where clients choose the color, or two get traffic.
    #[cold]
    fn chosen(
        &self,
        live: Color,
        chooser: Option<&Chooser>,
        listener: &Listener,
        path: &str,
        headers: &HeaderMap,
        kind: Kind,
    ) -> Result<Way, NoWay> {
        let mut color = live;
        let mut choice = Choice::default();
        let asked = chooser.and_then(|chooser| {
            choice.header.clone_from(&chooser.header);
            choice.vary.clone_from(&chooser.vary);
            chooser.asked(headers)
        });
        if let Some(asked) = asked {
            (color, choice.asked) = (asked, true);
        } else if let Some(share) = &self.share {
            let (taken, new) = share.takes(headers);
            if taken {
                color = share.to;
            }
            // A connection is its own client.
            if let (Some(number), Kind::Request) = (new, kind) {
                choice.cookie = share.cookie(number, listener.tls);
            }
        }
        let mut way = self.way_to(color, listener, path, headers, kind)?;
        way.asked = choice.asked;
        if choice.asked && color != live {
            // Of a tester: it keeps the color from nothing, as a preview does not.
            way.open = self.side(color).map_or(way.open, |side| side.load.open(kind, false));
        }
        way.choice = Some(Box::new(choice));
        Ok(way)
    }

    fn way_to(
        &self,
        color: Color,
        listener: &Listener,
        path: &str,
        headers: &HeaderMap,
        kind: Kind,
    ) -> Result<Way, NoWay> {
        let side = self.side(color).ok_or(NoWay::NoStack(color))?;
        let table =
            side.tables.iter().find(|table| table.listen == listener.route).ok_or_else(|| {
                NoWay::NoRoute { port: listener.route, color, release: side.release.clone() }
            })?;
        let site = table.site(headers).ok_or(NoWay::NoHost { color })?;
        if let Some(port) = site.redirect {
            // Each color's preview has its own distance from the live port.
            let apart = listener.color.map_or(0, |_| listener.port.wrapping_sub(listener.route));
            return Err(NoWay::Redirect { port: port.wrapping_add(apart) });
        }
        let rule =
            site.rules.iter().find(|rule| rule.covers(path)).ok_or(NoWay::NoPath { color })?;
        // What is open on a durable service keeps no color from anything: no drain waits for it or ends it.
        let counts = listener.color.is_none() && !rule.target.spec.durable;
        Ok(Way {
            color,
            target: Arc::clone(&rule.target),
            open: side.load.open(kind, counts),
            strip: if rule.strip { rule.prefix.trim_end_matches('/').len() } else { 0 },
            asked: false,
            choice: None,
        })
    }
}

impl Side {
    fn new(stack: &Stack, load: &Arc<Load>, workers: usize) -> Self {
        let mut targets: Vec<Arc<Target>> = vec![];
        let mut target = |spec: Spec| {
            if let Some(known) = targets.iter().find(|target| target.spec == spec) {
                return Arc::clone(known);
            }
            let target = Arc::new(Target::new(spec, workers));
            targets.push(Arc::clone(&target));
            target
        };
        let mut tables: Vec<Table> = vec![];
        for route in &stack.routes {
            let mut rules: Vec<Rule> = route
                .paths
                .iter()
                .map(|rule| Rule {
                    prefix: rule.prefix.as_str().into(),
                    strip: rule.strip,
                    target: target(Spec::new(route, rule)),
                })
                .collect();
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
            let site = Site { hosts: Hosts::new(&route.hosts), redirect: route.redirect, rules };
            match tables.iter_mut().find(|table| table.listen == route.listen) {
                Some(table) => table.sites.push(site),
                None => tables.push(Table { listen: route.listen, sites: vec![site] }),
            }
        }
        for table in &mut tables {
            table.sites.sort_by_key(|site| site.hosts.breadth());
        }
        let chooser = stack.routes.iter().find_map(|route| route.chooser.as_ref());
        let (release, chooser) = (stack.release.clone(), chooser.map(Chooser::new));
        Self { release, chooser, tables, load: Arc::clone(load) }
    }

    /// The targets that are of this color alone; the durable ones are those of the other too.
    pub fn own_targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets().filter(|target| !target.spec.durable)
    }

    /// Every target; one that several rules name comes as often.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        let sites = self.tables.iter().flat_map(|table| &table.sites);
        sites.flat_map(|site| site.rules.iter().map(|rule| &rule.target))
    }
}

impl Table {
    fn site(&self, headers: &HeaderMap) -> Option<&Site> {
        if let [only] = self.sites.as_slice()
            && only.hosts.is_all()
        {
            return Some(only);
        }
        let host = headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
        self.sites.iter().find(|site| site.hosts.covers(host))
    }
}

impl Rule {
    fn covers(&self, path: &str) -> bool {
        let prefix = self.prefix.trim_end_matches('/');
        match path.strip_prefix(prefix) {
            Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_whole_segments() {
        let rule = |prefix: &str| Rule {
            prefix: prefix.into(),
            strip: false,
            target: Arc::new(Target::new(Spec::default(), 1)),
        };
        assert!(rule("/").covers("/") && rule("/").covers("/a/b") && rule("/").covers("*"));
        assert!(rule("/api").covers("/api") && rule("/api").covers("/api/x"));
        assert!(rule("/api/").covers("/api/x") && rule("/api/").covers("/api"));
        assert!(!rule("/api").covers("/apix") && !rule("/api").covers("/"));
    }
}
