//! The end of what stays on a color that is no longer live.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::load::Load;

/// The drain of one color.
#[derive(Debug)]
pub(super) struct Drain {
    pub until: Instant,
    task: tokio::task::AbortHandle,
}

/// The longest time over which the closing is spread, so that not all clients come back at once.
const SPREAD: Duration = Duration::from_secs(5);

impl Drain {
    pub fn start(runtime: &tokio::runtime::Handle, load: &Arc<Load>, time: Duration) -> Self {
        let until = Instant::now() + time;
        let task = runtime.spawn(close(Arc::clone(load), until, SPREAD.min(time / 4)));
        Self { until, task: task.abort_handle() }
    }

    pub fn left_ms(&self) -> u64 {
        let left = self.until.saturating_duration_since(Instant::now());
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Drain {
    /// The color is live again: what is open on it stays.
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "the drain's own time, ended by a switch back")]
async fn close(load: Arc<Load>, until: Instant, spread: Duration) {
    tokio::time::sleep_until(until.into()).await;
    let mut spread = spread;
    loop {
        let staying = load.staying(false);
        let pause = spread / u32::try_from(staying.len().max(1)).unwrap_or(u32::MAX);
        for end in staying {
            end.cancel();
            tokio::time::sleep(pause).await;
        }
        if load.draining(0).is_empty() {
            return;
        }
        // A request that is still running may yet become one that stays.
        spread = Duration::ZERO;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
