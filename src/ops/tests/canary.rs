//! `switch --weight`, and what ends it.

use insta::assert_snapshot;

use super::{proxy, stage::Stage};
use crate::{
    engine::memory::Behaviour,
    model::Color::{Blue, Green},
    ops::{self, OpsError, RollbackOptions, Shared, SwitchOptions},
    plan::Conflict,
};

async fn share(stage: &Stage, weight: u8) -> Result<Shared, OpsError> {
    ops::share(&stage.session(), SwitchOptions::default(), weight).await
}

/// Blue live, green deployed.
async fn both() -> Stage {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage
}

#[tokio::test(start_paused = true)]
async fn a_share_runs_the_first_hooks_once_leaves_the_workers_and_is_told() {
    let stage = both().await;
    let shared = share(&stage, 10).await.unwrap();
    assert_eq!((shared.live, shared.color, shared.weight), (Blue, Green, 10));
    let titles: Vec<_> = shared.plan.steps().iter().map(|step| step.title.as_str()).collect();
    assert_snapshot!(titles.join("\n"), @"
    run green/migrate
    wait until green/migrate has ended well
    give green 10 % of new clients
    ");
    let standing = stage.standing();
    assert!(standing.contains(&"shop-devlocal-blue-worker-1 runs".to_owned()));
    assert!(standing.contains(&"shop-devlocal-green-worker-1".to_owned()));
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!(status.canary.map(|it| (it.to, it.weight)), Some((Green, 10)));
    assert_eq!(status.live, Some(Blue));
    let last = stage.history().await.pop().unwrap();
    assert_eq!((last.command.as_str(), last.color), ("switch --weight 10", Some(Green)));

    assert!(share(&stage, 10).await.unwrap().already);
    assert_eq!(share(&stage, 50).await.unwrap().plan.steps().len(), 1);
    let whole = stage.switch(None).await.unwrap();
    assert_eq!((whole.from, whole.to), (Some(Blue), Green));
    assert_eq!(stage.routing().canary, None);
    let hook = |step: &&crate::plan::Step| step.title.contains("migrate");
    assert_eq!(whole.plan.steps().iter().filter(hook).count(), 0, "it ran before the share");
}

#[tokio::test(start_paused = true)]
async fn weight_zero_a_switch_to_the_live_color_and_rollback_end_a_share() {
    let stage = both().await;
    assert!(share(&stage, 0).await.unwrap().already);
    share(&stage, 10).await.unwrap();
    assert!(!share(&stage, 0).await.unwrap().already);
    assert_eq!(stage.routing().canary, None);

    share(&stage, 10).await.unwrap();
    let back = stage.switch(Some(Blue)).await.unwrap();
    assert_eq!((back.from, back.to, back.already), (Some(Blue), Blue, false));
    assert_snapshot!(back.plan.steps()[0].title, @"take 10 % of new clients back from green");
    assert_eq!(stage.routing().canary, None);

    share(&stage, 10).await.unwrap();
    let back = ops::rollback(&stage.session(), &RollbackOptions::default()).await.unwrap();
    assert_eq!((back.to, back.plan.steps().len()), (Blue, 1));
    assert_eq!((stage.routing().canary, stage.routing().live), (None, Some(Blue)));
    // What had a share never served: there is nothing before blue.
    let none = ops::rollback(&stage.session(), &RollbackOptions::default()).await.unwrap_err();
    assert!(matches!(none, OpsError::NothingToRollBack { .. }), "{none}");
}

#[tokio::test(start_paused = true)]
async fn a_share_and_a_switch_are_done_also_where_the_proxy_says_nothing_after_them() {
    let stage = both().await;
    proxy::falls_silent(&stage.engine);
    share(&stage, 10).await.unwrap();
    proxy::falls_silent(&stage.engine);
    stage.switch(Some(Green)).await.unwrap();
    assert_eq!(stage.routing().live, Some(Green));
}

#[tokio::test(start_paused = true)]
async fn what_takes_a_share_is_neither_replaced_nor_removed() {
    let stage = both().await;
    share(&stage, 10).await.unwrap();
    let before = stage.standing();
    for error in [
        stage.deploy().await.unwrap_err(),
        ops::cleanup(&stage.session(), None, true).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, OpsError::Conflict(Conflict::TakesShare { color: Green, weight: 10 })),
            "{error}"
        );
        assert_eq!(error.to_string(), "green takes 10 % of new clients");
    }
    assert_eq!(stage.standing(), before);
    // Up to date: what has a share stays as it is.
    assert!(stage.up().await.unwrap().switched.is_none());
    assert_eq!(stage.routing().share(Green), Some(10));
}

#[tokio::test(start_paused = true)]
async fn a_share_is_refused_where_a_switch_would_be() {
    let stage = Stage::new();
    assert!(matches!(share(&stage, 10).await, Err(OpsError::NothingLive)));
    stage.up().await.unwrap();
    let none = share(&stage, 10).await.unwrap_err();
    assert!(matches!(none, OpsError::Conflict(Conflict::NoRelease { color: Green })), "{none}");
    let options = SwitchOptions { color: Some(Blue), ..SwitchOptions::default() };
    let live = ops::share(&stage.session(), options, 10).await.unwrap_err();
    assert!(matches!(live, OpsError::Conflict(Conflict::Live { color: Blue })), "{live}");
    stage.deploy().await.unwrap();
    stage.engine.behave("migrate", Behaviour::exits(3));
    let error = share(&stage, 10).await.unwrap_err().to_string();
    assert!(error.contains("exit code 3"), "{error}");
    assert_eq!(stage.routing().canary, None);
}
