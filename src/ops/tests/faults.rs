//! `up` fails or dies at each of its calls of the engine; the next `up` always ends well, with nothing lost or left over.

use super::stage::{APP, Stage};
use crate::{engine::memory::Fault, model::Color};

const VOLUME: &str = "shop-devlocal-durable-data";

/// What `up` leaves when nothing goes wrong, from nothing and over a live release.
async fn undisturbed(before: Before) -> (Vec<String>, usize) {
    let mut stage = Stage::new();
    before.prepare(&mut stage).await;
    stage.engine.forget_calls();
    stage.up().await.unwrap();
    (stage.standing(), stage.engine.calls().len())
}

#[derive(Clone, Copy)]
enum Before {
    Nothing,
    LiveRelease,
}

impl Before {
    async fn prepare(self, stage: &mut Stage) {
        if matches!(self, Self::LiveRelease) {
            stage.up().await.unwrap();
            stage.engine.set_volume_file(VOLUME, "ibdata1", b"rows");
            stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
        }
    }
}

async fn every_call(before: Before, fault: Fault) {
    let (expected, calls) = undisturbed(before).await;
    for n in 1..=calls {
        let mut stage = Stage::new();
        before.prepare(&mut stage).await;
        stage.engine.forget_calls();
        stage.engine.fault_at(n, fault);
        let first = stage.engine.until_stopped(stage.up()).await;
        let struck = stage.engine.calls().get(n - 1).cloned().unwrap_or_default();
        let at = format!("{fault:?} at call {n}, `{struck}`");
        if let Some(Ok(_)) = first {
            assert!(!matches!(fault, Fault::Stop | Fault::StopAfter), "{at}: it went on");
        }
        stage.next_process().await;
        stage.up().await.unwrap_or_else(|error| panic!("{at}: {error}\n{}", stage.notes.all()));
        let standing = stage.standing();
        // It may have been live already, and then the next one changed nothing: either color may be the one.
        assert_eq!(standing, expected, "{at}");
        if matches!(before, Before::LiveRelease) {
            assert_eq!(stage.engine.volume_file(VOLUME, "ibdata1").unwrap(), b"rows", "{at}");
            assert_eq!(stage.routing().live, Some(Color::Green), "{at}");
        }
        let calls = stage.engine.calls();
        assert!(!calls.contains(&format!("remove_volume {VOLUME}")), "{at}");
        stage.engine.forget_calls();
        stage.up().await.unwrap();
        assert_eq!(stage.engine.changes(), Vec::<String>::new(), "{at}: the third has work left");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_up_survives_a_refusal_of_any_call() {
    Box::pin(every_call(Before::Nothing, Fault::Fail)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_up_survives_a_lost_answer_of_any_call() {
    Box::pin(every_call(Before::Nothing, Fault::LoseAnswer)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_up_survives_a_kill_before_any_call() {
    Box::pin(every_call(Before::Nothing, Fault::Stop)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_up_survives_a_kill_after_any_call() {
    Box::pin(every_call(Before::Nothing, Fault::StopAfter)).await;
}

#[tokio::test(start_paused = true)]
async fn an_up_over_a_live_release_survives_a_refusal_of_any_call() {
    Box::pin(every_call(Before::LiveRelease, Fault::Fail)).await;
}

#[tokio::test(start_paused = true)]
async fn an_up_over_a_live_release_survives_a_lost_answer_of_any_call() {
    Box::pin(every_call(Before::LiveRelease, Fault::LoseAnswer)).await;
}

#[tokio::test(start_paused = true)]
async fn an_up_over_a_live_release_survives_a_kill_before_any_call() {
    Box::pin(every_call(Before::LiveRelease, Fault::Stop)).await;
}

#[tokio::test(start_paused = true)]
async fn an_up_over_a_live_release_survives_a_kill_after_any_call() {
    Box::pin(every_call(Before::LiveRelease, Fault::StopAfter)).await;
}
