//! What a failed deployment left goes again where that was asked for; nothing else ever does.

use std::time::Duration;

use super::stage::{APP, PROJECT, Stage};
use crate::{
    engine::memory::Behaviour,
    model::Color,
    ops::{self, DeployOptions, OpsError, UpOptions},
};

const SOME_TIME: Duration = Duration::from_secs(5);
pub(super) const UNDO: DeployOptions = DeployOptions {
    color: None,
    force: false,
    replicas: std::collections::BTreeMap::new(),
    cleanup_on_failure: true,
    clone: false,
};

/// A stage whose blue is live, and where green's cache never gets healthy.
async fn failing() -> Stage {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.behave("shop-devlocal-green-cache-1", Behaviour::never_healthy().saying("brr\n"));
    stage
}

fn kept(error: OpsError) -> Option<String> {
    match error {
        OpsError::Undone { kept, .. } => kept,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_told_and_then_removed_and_the_live_color_stands() {
    let stage = failing().await;
    let before = stage.standing();
    let error = ops::deploy(&stage.session(), UNDO).await.unwrap_err();
    assert_eq!(error.to_string(), "green was not deployed; what stood of it is removed");
    assert_eq!(kept(error), None);
    assert_eq!(stage.standing(), before);
    assert_eq!(stage.routing().live, Some(Color::Blue));
    let told = stage.notes.all();
    assert!(told.contains("green/cache did not get healthy"), "{told}");
    assert!(told.contains("brr"), "{told}");
    let commands: Vec<String> =
        stage.history().await.into_iter().map(|change| change.command).collect();
    assert_eq!(commands[commands.len() - 2..], ["deploy", "cleanup"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_was_making_at_the_failure_is_removed_too() {
    let stage = failing().await;
    stage.engine.behave("shop-devlocal-green-cache-1", Behaviour::exits(1));
    stage.engine.behave("shop-devlocal-green-web-1", Behaviour::made_within(SOME_TIME));
    let before = stage.standing();
    let error = ops::deploy(&stage.session(), UNDO).await.unwrap_err();
    assert_eq!(kept(error), None);
    tokio::time::advance(SOME_TIME).await;
    assert_eq!(stage.standing(), before);
    assert!(stage.notes.all().contains("green/cache"), "{}", stage.notes.all());
}

#[tokio::test(start_paused = true)]
async fn without_being_asked_a_failed_deployment_stays() {
    let stage = failing().await;
    let error = stage.deploy().await.unwrap_err();
    assert!(matches!(error, OpsError::Failed { color: Some(Color::Green), .. }));
    let standing = stage.standing();
    assert!(standing.contains(&"shop-devlocal-green-cache-1 runs".to_owned()), "{standing:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_release_stays_when_the_next_did_not_get_so_far_as_to_replace_it() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
    stage.up().await.unwrap();
    assert_eq!(stage.routing().live, Some(Color::Green));
    let before = stage.standing();
    stage.with_app(&APP.replace("image: nginx, ports", "image: nowhere, ports"));
    let error = ops::deploy(&stage.session(), UNDO).await.unwrap_err();
    let why = kept(error).unwrap();
    assert!(why.starts_with("blue holds its last release "), "{why}");
    assert_eq!(stage.standing(), before);
}

#[tokio::test(start_paused = true)]
async fn the_live_color_is_never_removed() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.behave("shop-devlocal-blue-cache-1", Behaviour::never_healthy());
    let options = DeployOptions { color: Some(Color::Blue), force: true, ..UNDO };
    let error = ops::deploy(&stage.session(), options).await.unwrap_err();
    assert_eq!(kept(error).as_deref(), Some("blue is live"));
    let standing = stage.standing();
    assert!(standing.contains(&"shop-devlocal-blue-cache-1 runs".to_owned()), "{standing:?}");
}

#[tokio::test(start_paused = true)]
async fn a_color_that_failed_its_tests_goes_too() {
    // Nothing answers at the stage's previews.
    let stage = Stage::of(&format!("{PROJECT}checks: [{{ path: / }}]\n"), APP);
    let options = UpOptions { cleanup_on_failure: true };
    let error = ops::up(&stage.session(), options).await.unwrap_err();
    assert!(
        matches!(&error, OpsError::Undone { error, kept: None, .. }
        if matches!(**error, OpsError::TestsFailed { .. })),
        "{error}"
    );
    let text = "blue was deployed and failed its tests; what stood of it is removed";
    assert_eq!(error.to_string(), text);
    assert!(stage.notes.all().contains("the tests of blue failed: 1 of 1"));
    let standing = stage.standing();
    assert!(!standing.iter().any(|line| line.contains("blue")), "{standing:?}");
    assert!(standing.contains(&"shop-devlocal-durable-db runs".to_owned()), "{standing:?}");
}
