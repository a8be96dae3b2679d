//! The end of one replica of a service that goes on: nothing new is sent to it, and what it still answers is waited for.

use std::time::{Duration, Instant};

use super::{snapshot::Shared, target::Replica};
use crate::model::control::{Answer, Draining};

/// How long a replica that nobody removed after all gets nothing new.
const REST: Duration = Duration::from_secs(60);

/// Waits `drain` for what stays open by its nature, and `wait` for requests.
pub(super) async fn retire(
    shared: &Shared,
    host: &str,
    replica: &str,
    drain: Duration,
    wait: Duration,
) -> Answer {
    // One whose name is gone does not run: nothing is open on it.
    let addresses = shared.names.look_up(replica, 0).await.unwrap_or_default();
    let started = Instant::now();
    let until = started + wait + REST;
    let targets = shared.snapshot.load_full();
    let retired: Vec<_> = targets
        .targets()
        .filter(|target| target.host() == host)
        .flat_map(|target| target.retire(&addresses, until))
        .collect();
    loop {
        let sum = |count: fn(&Replica) -> u32| -> u64 {
            retired.iter().map(|replica| u64::from(count(replica))).sum()
        };
        let (requests, staying) = (sum(Replica::requests), sum(Replica::staying));
        let waited = started.elapsed();
        let done = requests == 0 && (staying == 0 || waited >= drain);
        if done || waited >= wait {
            return Answer::Drained { left: Draining { requests, ..Draining::default() } };
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "what is left is asked again until the deadline"
        )]
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
