//! What stands before the live routes for a while: a pause, which holds requests, or a maintenance page.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::{client::Active, exchange::Answer, page::Page};
use crate::model::{Maintenance, control::Paused};

/// Open but for a pause or maintenance. What every request looks at is one flag.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut: AtomicBool,
    held: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    maintenance: Option<Shown>,
    pause: Option<Pause>,
}

/// What is shown meanwhile: the user's page, where there is one.
#[derive(Debug)]
struct Shown(Option<Bytes>);

#[derive(Debug, Clone)]
struct Pause {
    until: Instant,
    /// The longest that one request is held.
    hold: Duration,
    most: usize,
    over: CancellationToken,
}

/// Why a request is not let through.
#[derive(Debug)]
pub(super) enum Closed {
    /// With the user's page, where there is one.
    Maintenance(Option<Bytes>),
    Paused,
}

impl Gate {
    pub fn is_shut(&self) -> bool {
        self.shut.load(SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all through again that a pause holds, and holds those to come where there is another one.
    pub fn pause(&self, limit: Duration, hold: Duration, most: usize) {
        let mut state = self.state();
        let until = Instant::now() + limit;
        let pause = Pause { until, hold, most, over: CancellationToken::new() };
        if let Some(old) = state.pause.replace(pause) {
            old.over.cancel();
        }
        self.shut.store(true, SeqCst);
    }

    /// Ends a pause; says how many requests were held.
    pub fn resume(&self) -> u64 {
        let mut state = self.state();
        let held = self.held.load(SeqCst) as u64;
        if let Some(pause) = state.pause.take() {
            pause.over.cancel();
        }
        self.shut.store(state.maintenance.is_some(), SeqCst);
        held
    }

    pub fn maintain(&self, maintenance: Option<&Maintenance>) {
        let mut state = self.state();
        let page = |it: &Maintenance| Shown(it.page.clone().map(Bytes::from));
        state.maintenance = maintenance.map(page);
        self.shut.store(state.maintenance.is_some() || state.pause.is_some(), SeqCst);
    }

    /// The pause, while there is one.
    pub fn paused(&self) -> Option<Paused> {
        let state = self.state();
        let left = state.pause.as_ref()?.until.checked_duration_since(Instant::now())?;
        Some(Paused {
            held: self.held.load(SeqCst) as u64,
            left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Waits until the request may go on.
    pub async fn pass(&self) -> Result<(), Closed> {
        let began = Instant::now();
        loop {
            let pause = {
                let mut state = self.state();
                if let Some(Shown(page)) = &state.maintenance {
                    return Err(Closed::Maintenance(page.clone()));
                }
                // It ends by itself with the first request after its time.
                if state.pause.as_ref().is_some_and(|pause| pause.until <= Instant::now()) {
                    state.pause = None;
                    self.shut.store(false, SeqCst);
                }
                match &state.pause {
                    None => return Ok(()),
                    Some(pause) => pause.clone(),
                }
            };
            let held = Held::new(&self.held);
            if held.number > pause.most {
                return Err(Closed::Paused);
            }
            let late = began + pause.hold;
            tokio::select! {
                () = pause.over.cancelled() => {}
                () = tokio::time::sleep_until(late.min(pause.until).into()) => {
                    if late < pause.until {
                        return Err(Closed::Paused);
                    }
                }
            }
        }
    }
}

/// A request that is held, until it is dropped.
struct Held<'a> {
    all: &'a AtomicUsize,
    number: usize,
}

impl<'a> Held<'a> {
    fn new(all: &'a AtomicUsize) -> Self {
        Self { all, number: all.fetch_add(1, SeqCst) + 1 }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, SeqCst);
    }
}

impl Closed {
    /// 503, and when to come again. The user's page goes to who takes HTML.
    pub fn answer(self, html: bool, active: Active) -> Response<Answer> {
        let (words, page, after) = match self {
            Self::Maintenance(page) => ("this is under maintenance", page, 60),
            Self::Paused => ("this is paused for a moment", None, 5),
        };
        let page = Page::new(StatusCode::SERVICE_UNAVAILABLE, words).or(page.filter(|_| html));
        let mut response = page.answer(html, None, active);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
        response
    }
}
