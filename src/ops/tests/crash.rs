//! A process that died: the next one says what it was doing, and the history keeps it.

use std::time::Duration;

use super::stage::Stage;
use crate::{
    engine::memory::Fault,
    model::{Change, Color, Container, Outcome},
};

/// Blue is live, and a deployment of green is killed once it made its web service, which takes that long.
async fn killed_after(time: Duration) -> Stage {
    let stage = Stage::new();
    stage.up().await.unwrap();
    let create = "create shop-devlocal-green-web-1";
    stage.engine.slow(create, time).fault_on("start shop-devlocal-green-web-1", Fault::Stop);
    assert!(stage.engine.until_stopped(stage.deploy()).await.is_none());
    stage.next_process().await;
    stage
}

async fn last_two(stage: &Stage) -> [Change; 2] {
    let mut changes = stage.history().await;
    changes.split_off(changes.len() - 2).try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_next_command_says_at_which_step_the_last_one_died_and_the_history_keeps_it() {
    let stage = killed_after(Duration::from_secs(2)).await;
    stage.deploy().await.unwrap();
    let notes = stage.notes.all();
    assert!(notes.contains("`deploy` of ann@"), "{notes}");
    let step = notes.split("died under way, at ").nth(1).unwrap().split(';').next().unwrap();
    assert!(step.starts_with("step ") && step.contains(": create green/web"), "{notes}");
    let [crashed, done] = last_two(&stage).await;
    assert_eq!(crashed.outcome, Outcome::Crashed { at: Some(step.to_owned()) });
    assert_eq!((crashed.command.as_str(), crashed.color), ("deploy", Some(Color::Green)));
    assert_eq!(crashed.revision.as_deref(), Some("3f2c1"));
    assert!(crashed.plan.iter().any(|line| line.contains("start green/web")));
    assert_eq!(done.outcome, Outcome::Done);
    assert_ne!(crashed.operation, done.operation);
}

#[tokio::test(start_paused = true)]
async fn the_step_is_known_also_of_one_that_died_at_its_first_steps() {
    let stage = killed_after(Duration::from_millis(2)).await;
    stage.deploy().await.unwrap();
    let [crashed, _] = last_two(&stage).await;
    let Outcome::Crashed { at: Some(at) } = crashed.outcome else { panic!("{crashed:?}") };
    assert!(at.starts_with("step "), "{at}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_is_written_at_once_and_then_less_and_less_often() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage
        .engine
        .slow("start", Duration::from_millis(700))
        .slow("create", Duration::from_millis(700));
    stage.engine.slow("exec", Duration::from_secs(3)).forget_calls();
    let started = tokio::time::Instant::now();
    stage.deploy().await.unwrap();
    let took = started.elapsed();
    let beats = stage.engine.calls().into_iter().filter(|call| call.contains("/beat")).count();
    assert!(took > Duration::from_secs(5) && (2..=5).contains(&beats), "{beats} in {took:?}");
}

#[tokio::test(start_paused = true)]
async fn of_one_that_died_before_it_wrote_its_journal_the_history_keeps_what_its_lock_says() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.slow("create", Duration::from_millis(2));
    stage.engine.fault_on("write_files shop-devlocal-lock", Fault::Stop);
    assert!(stage.engine.until_stopped(stage.deploy()).await.is_none());
    stage.next_process().await;
    stage.deploy().await.unwrap();
    let [crashed, _] = last_two(&stage).await;
    assert_eq!(crashed.outcome, Outcome::Crashed { at: None });
    assert_eq!(crashed.command, "deploy");
    assert!(crashed.who.starts_with("ann@"));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_written_down_before_the_process_died_is_not_written_twice() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    let before = stage.history().await.len();
    stage.engine.fault_on("remove shop-devlocal-lock", Fault::Stop);
    assert!(stage.engine.until_stopped(stage.switch(None)).await.is_none());
    stage.next_process().await;
    stage.switch(Some(Color::Blue)).await.unwrap();
    assert_eq!(stage.history().await.len(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn a_quick_change_writes_no_journal() {
    let stage = Stage::of(
        "name: shop\napp: {}\n",
        "services: { web: { image: nginx, ports: [\"8000:80\"] } }",
    );
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.engine.forget_calls();
    stage.switch(None).await.unwrap();
    let written: Vec<String> =
        stage.engine.changes().into_iter().filter(|call| call.starts_with("write")).collect();
    assert_eq!(written, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_takes_back_of_a_process_that_was_killed_is_made_anew() {
    for name in ["shop-devlocal-durable-db", "shop-devlocal-proxy", "shop-devlocal-blue-web-1"] {
        let stage = Stage::new();
        stage.engine.fault_on(&format!("create {name}"), Fault::TakeBack);
        assert!(stage.engine.until_stopped(stage.up()).await.is_none());
        stage.next_process().await;
        stage.up().await.unwrap();
        let running = stage.engine.seen().container(name).is_some_and(Container::is_running);
        assert!(running, "{name}");
    }
}
