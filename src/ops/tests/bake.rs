//! `switch --bake`: what was exceeded goes back, what held stays, and so does what was interrupted.

use std::time::Duration;

use super::stage::Stage;
use crate::{
    model::{
        Color::{self, Blue, Green},
        Figures, Outcome,
    },
    ops::{self, OpsError, RollbackOptions, SwitchOptions, Switched},
    plan::Bake,
};

const BAKE: Bake =
    Bake { time: Duration::from_secs(60), max_errors: 1.0, max_p99: Some(Duration::from_secs(1)) };

pub(super) const OPTIONS: SwitchOptions =
    SwitchOptions { color: Some(Green), force: false, bake: Some(BAKE), keep_clone: false };

/// Blue live, green deployed; this is what comes of its requests.
async fn both(requests: u64, failed: u64) -> Stage {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    had(&stage, requests, failed);
    stage
}

/// This is what comes of the requests that are counted.
pub(super) fn had(stage: &Stage, requests: u64, failed: u64) {
    let times = vec![requests, 0];
    let figures = Figures { requests, failed, bounds_ms: vec![20], times };
    let bytes = serde_json::to_vec(&figures).unwrap();
    stage.engine.set_volume_file("shop-devlocal-proxy-state", "figures.json", &bytes);
}

fn watched(stage: &Stage) -> Option<Color> {
    let bytes = stage.engine.volume_file("shop-devlocal-proxy-state", "watch.json").unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn switch(stage: &Stage) -> Result<Switched, OpsError> {
    ops::switch(&stage.session(), OPTIONS).await
}

async fn last_two(stage: &Stage) -> Vec<(String, Option<Color>, Outcome)> {
    let mut changes = stage.history().await;
    let last = changes.split_off(changes.len() - 2).into_iter();
    last.map(|change| (change.command, change.color, change.outcome)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_holds_stays_and_the_figures_are_told() {
    let stage = both(500, 5).await;
    let began = tokio::time::Instant::now();
    let switched = switch(&stage).await.unwrap();
    assert!(began.elapsed() >= BAKE.time, "{:?}", began.elapsed());
    let figures = switched.bake.unwrap();
    assert_eq!(figures.to_string(), "500 requests, 1.0 % failed, 99 % within 19 ms");
    assert_eq!((stage.routing().live, watched(&stage)), (Some(Green), None));
    let steps: Vec<_> = switched.plan.steps().iter().map(|step| step.title.as_str()).collect();
    assert!(steps.contains(&"count the requests of green"), "{steps:?}");
    assert!(steps.contains(&"watch green for 1 min 0 s"), "{steps:?}");
    let (command, _, outcome) = last_two(&stage).await.pop().unwrap();
    assert_eq!((command.as_str(), outcome), ("switch", Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn what_is_exceeded_goes_back_by_itself_and_the_history_tells_both() {
    let stage = both(500, 6).await;
    let began = tokio::time::Instant::now();
    let error = switch(&stage).await.unwrap_err();
    assert!(began.elapsed() < BAKE.time, "it need not wait for the end");
    assert_eq!(
        error.to_string(),
        "green did not hold: 1.2 % of 500 requests failed, 1 % may; all of the traffic is on blue again"
    );
    assert_eq!((stage.routing().live, watched(&stage)), (Some(Blue), None));
    let standing = stage.standing();
    assert!(standing.contains(&"shop-devlocal-blue-worker-1 runs".to_owned()), "{standing:?}");
    assert!(!stage.standing().iter().any(|line| line.contains("lock")));
    let [first, second] = last_two(&stage).await.try_into().unwrap();
    let reason = "green did not hold: 1.2 % of 500 requests failed, 1 % may".to_owned();
    assert_eq!(first, ("switch".to_owned(), Some(Green), Outcome::Failed { reason }));
    assert_eq!(second, ("rollback".to_owned(), Some(Blue), Outcome::Done));
    let none = ops::rollback(&stage.session(), &RollbackOptions::default()).await.unwrap_err();
    assert!(matches!(none, OpsError::NothingToRollBack { .. }), "green is no way back: {none}");
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_exceeded_is_taken_back() {
    let stage = both(500, 6).await;
    let error = ops::share(&stage.session(), OPTIONS, 10).await.unwrap_err();
    assert!(matches!(error, OpsError::Exceeded { then: Some(_), .. }), "{error}");
    let routing = stage.routing();
    assert_eq!((routing.live, routing.canary), (Some(Blue), None));
    let [first, second] = last_two(&stage).await.try_into().unwrap();
    assert_eq!((first.0.as_str(), second.0.as_str()), ("switch --weight 10", "rollback"));
}

#[tokio::test(start_paused = true)]
async fn the_first_release_that_fails_has_nothing_to_go_back_to() {
    let stage = both(500, 6).await;
    let mut routing = stage.routing();
    routing.live = None;
    let bytes = serde_json::to_vec(&routing).unwrap();
    stage.engine.set_volume_file("shop-devlocal-proxy-state", "routing.json", &bytes);
    let error = switch(&stage).await.unwrap_err().to_string();
    assert!(error.ends_with("nothing was live before: it stays"), "{error}");
    assert_eq!(stage.routing().live, Some(Green));
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_watch_leaves_the_color_live_and_others_wait_for_its_lock() {
    let mut stage = both(100, 0).await;
    let mut other = stage.session();
    other.lock_wait = Duration::ZERO;
    let interrupt = async {
        #[expect(
            clippy::disallowed_methods,
            reason = "time is paused: this is an order of events"
        )]
        tokio::time::sleep(Duration::from_secs(20)).await;
        let locked = ops::cleanup(&other, None, false).await.unwrap_err();
        assert!(matches!(locked, OpsError::Locked { .. }), "{locked}");
        stage.cancel.cancel();
    };
    let (ended, ()) = tokio::join!(switch(&stage), interrupt);
    assert!(matches!(ended, Err(OpsError::Interrupted)));
    let said = stage.notes.all();
    assert!(said.contains("green keeps the traffic that it has"), "{said}");
    assert!(said.contains("100 requests, 0.0 % failed"), "{said}");
    stage.cancel = tokio_util::sync::CancellationToken::new();
    assert_eq!((stage.routing().live, watched(&stage)), (Some(Green), None));
    let (_, _, outcome) = last_two(&stage).await.pop().unwrap();
    assert_eq!(outcome, Outcome::Interrupted);
    let back = ops::rollback(&stage.session(), &RollbackOptions::default()).await.unwrap();
    assert_eq!(back.to, Blue);
}
