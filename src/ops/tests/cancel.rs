//! Ctrl-C and SIGTERM: what stands is said, the lock is given back, the history tells.

use std::time::Duration;

use super::stage::Stage;
use crate::{
    engine::memory::Behaviour,
    model::Outcome,
    ops::{self, OpsError},
};

async fn interrupted<T>(
    stage: &Stage,
    work: impl Future<Output = Result<T, OpsError>>,
) -> Result<T, OpsError> {
    let later = async {
        #[expect(
            clippy::disallowed_methods,
            reason = "time is paused: this is an order of events"
        )]
        tokio::time::sleep(Duration::from_secs(3)).await;
        stage.cancel.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = work => result,
        () = later => unreachable!("it waits for ever"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_deploy_gives_the_lock_back_and_is_in_the_history() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.behave("shop-devlocal-green-cache-1", Behaviour::never_healthy());
    let result = interrupted(&stage, stage.deploy()).await;
    assert!(matches!(result, Err(OpsError::Interrupted)));
    assert!(!stage.standing().iter().any(|line| line.contains("lock")));
    stage.cancel = tokio_util::sync::CancellationToken::new();
    let last = stage.history().await.pop().unwrap();
    assert_eq!((last.command.as_str(), last.outcome), ("deploy", Outcome::Interrupted));
    stage.engine.behave("shop-devlocal-green-cache-1", Behaviour::runs());
    stage.deploy().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_lock_is_interrupted() {
    let stage = Stage::new();
    let holder = ops::lock::holder(&stage.session(), "deploy");
    stage.locked_by(&holder).await;
    assert!(matches!(interrupted(&stage, stage.deploy()).await, Err(OpsError::Interrupted)));
}

#[tokio::test(start_paused = true)]
async fn a_durable_up_that_only_waits_is_interrupted_too() {
    let stage = Stage::new();
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    stage.engine.behave("db", Behaviour::never_healthy());
    let session = stage.session();
    let started = tokio::time::Instant::now();
    let result = interrupted(&stage, ops::durable_up(&session, ops::Apply::No)).await;
    assert!(matches!(result, Err(OpsError::Interrupted)));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_up_does_not_go_on_to_its_next_part() {
    let stage = Stage::new();
    stage.engine.slow("pull mariadb:11.8", Duration::from_secs(10));
    assert!(matches!(interrupted(&stage, stage.up()).await, Err(OpsError::Interrupted)));
    assert!(!stage.engine.calls().iter().any(|call| call.contains("nginx")));
    assert!(!stage.standing().iter().any(|line| line.contains("lock")));
}
