//! One changing operation at a time.

use std::time::Duration;

use super::stage::Stage;
use crate::{
    engine::Engine as _,
    model::Holder,
    ops::{self, OpsError, lock},
};

const LOCK: &str = "shop-devlocal-lock";

/// Somebody else, on this machine or another, whose process lives.
fn ann(stage: &Stage, machine: Option<&str>) -> Holder {
    let own = lock::holder(&stage.session(), "deploy green");
    Holder {
        id: "other".into(),
        who: "ann@ci".into(),
        since: "2026-11-21T08:00:00Z".into(),
        machine: machine.map_or(own.machine, str::to_owned),
        ..own
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_waits_until_the_first_is_done() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.slow("create shop-devlocal-green-web-1", Duration::from_secs(5)).forget_calls();
    let (first, second) = tokio::join!(stage.deploy(), stage.deploy());
    assert!(first.unwrap().release < second.unwrap().release);
    assert!(stage.notes.all().contains("waiting for the lock: `deploy` of ann@"));
    let order: Vec<String> =
        stage.engine.changes().into_iter().filter(|call| call.contains(LOCK)).collect();
    assert_eq!(order.last().unwrap(), &format!("remove {LOCK}"));
    assert!(!stage.standing().iter().any(|line| line.contains(LOCK)));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_is_told_who_holds_the_lock_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.lock_wait = Duration::ZERO;
    stage.locked_by(&ann(&stage, None)).await;
    stage.engine.forget_calls();
    let error = stage.deploy().await.unwrap_err();
    assert!(matches!(error, OpsError::Locked { .. }));
    assert_eq!(
        error.to_string(),
        "`deploy green` of ann@ci holds the lock since 2026-11-21T08:00:00Z"
    );
    assert_eq!(stage.engine.changes(), [format!("create {LOCK}")], "the attempt alone");
    assert!(stage.standing().contains(&LOCK.to_owned()), "it is still ann's");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_limit() {
    let mut stage = Stage::new();
    stage.lock_wait = Duration::from_secs(7);
    stage.locked_by(&ann(&stage, None)).await;
    let started = tokio::time::Instant::now();
    assert!(matches!(stage.deploy().await, Err(OpsError::Locked { .. })));
    assert!(started.elapsed() <= Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_the_first_lock_is_made_however_long_its_image_takes() {
    let mut stage = Stage::new();
    stage.lock_wait = Duration::ZERO;
    stage.engine.slow("build", Duration::from_secs(3)).slow("create", Duration::from_secs(1));
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_holder_of_this_machine_is_taken_over_at_once() {
    let mut stage = Stage::new();
    stage.lock_wait = Duration::ZERO;
    let dead = Holder { process: "4194305:1".into(), ..ann(&stage, None) };
    stage.locked_by(&dead).await;
    let started = tokio::time::Instant::now();
    stage.deploy().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(stage.notes.all().contains("`deploy green` of ann@ci"), "{}", stage.notes.all());
    assert!(stage.notes.all().contains("died under way"));
    assert!(!stage.standing().iter().any(|line| line.contains(LOCK)));
}

#[tokio::test(start_paused = true)]
async fn a_holder_of_another_machine_is_taken_over_once_it_shows_no_life() {
    let stage = Stage::new();
    let elsewhere = ann(&stage, Some("another"));
    stage.locked_by(&elsewhere).await;
    let started = tokio::time::Instant::now();
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(20) && waited < Duration::from_secs(30), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_of_another_machine_that_beats_is_waited_for() {
    let stage = Stage::new();
    stage.locked_by(&ann(&stage, Some("another"))).await;
    let beating = async {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        for beat in 0_u32.. {
            every.tick().await;
            let file = crate::model::FileSpec {
                path: "/beat".into(),
                content: beat.to_string().into_bytes(),
                mode: 0o644,
                uid: 0,
                gid: 0,
            };
            stage.engine.write_files(LOCK, &[file]).await.unwrap();
        }
    };
    tokio::select! {
        result = stage.deploy() => assert!(matches!(result, Err(OpsError::Locked { .. }))),
        () = beating => unreachable!("it beats for ever"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_of_the_locks_name_that_is_not_ours_is_never_removed() {
    let stage = Stage::new();
    stage.engine.have_image("a");
    let spec =
        crate::model::ServiceSpec { name: LOCK.into(), image: "a".into(), ..Default::default() };
    stage.engine.create(&spec).await.unwrap();
    let refused = stage.deploy().await.unwrap_err();
    assert!(matches!(refused, OpsError::NotOurs { kind: "container", .. }), "{refused}");
    assert_eq!(stage.standing(), [LOCK]);
}

#[tokio::test(start_paused = true)]
async fn a_long_operation_shows_life() {
    let stage = Stage::new();
    stage.engine.slow("pull", Duration::from_secs(30));
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    let beats = stage.engine.calls().into_iter().filter(|call| call.contains("/beat")).count();
    assert!((5..=8).contains(&beats), "{beats}");
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_neither_waits_nor_changes_anything() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.locked_by(&ann(&stage, None)).await;
    stage.engine.forget_calls();
    let (session, begun) = (stage.session(), tokio::time::Instant::now());
    let status = ops::status(&session).await.unwrap();
    assert_eq!(status.lock.unwrap().who, "ann@ci");
    assert_eq!(ops::history(&session).await.unwrap().len(), 4);
    ops::plan_deploy(&session, ops::DeployOptions::default()).await.unwrap();
    ops::plan_switch(&session, ops::SwitchOptions::default()).await.unwrap();
    ops::plan_cleanup(&session, None, false).await.unwrap();
    ops::plan_durable_up(&session, false).await.unwrap();
    assert_eq!(ops::durable_status(&session).await.unwrap().0.len(), 1);
    assert!(!ops::log_targets(&session, false, None, &[]).await.unwrap().is_empty());
    ops::doctor(&session).await.unwrap();
    ops::config(session.project, ops::Layer::Durable).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
    assert!(!stage.notes.all().contains("waiting for"), "{}", stage.notes.all());
}
