//! `deploy --database clone`, and what other commands do with such a color.

use std::sync::Arc;

use super::stage::{PROJECT, Stage};
use crate::{
    engine::Output,
    model::Color::{self, Blue, Green},
    ops::{self, DeployOptions, Deployed, OpsError, RollbackOptions, SwitchOptions, Switched},
    plan::Conflict,
};

/// An app that reaches the database by the durable layer's network.
pub const APP: &str = r#"
services:
  web: { image: nginx, ports: ["8000:80"], networks: [default, durable] }
  cache: { image: redis }
  worker: { image: nginx, networks: [durable] }
  migrate: { image: tool, networks: [durable] }
networks: { durable: { external: true, name: shop-devlocal-durable-network } }
"#;
const DURABLE: &str = "shop-devlocal-durable-data";
const COPY: &str = "shop-devlocal-green-db-clone";

/// A stage whose databases are copied as they are.
pub fn stage() -> Stage {
    of(PROJECT)
}

fn of(project: &str) -> Stage {
    let stage = Stage::of(project, APP);
    let engine = Arc::downgrade(&stage.engine.0);
    stage.engine.on_exec(move |container, words| {
        let engine = engine.upgrade()?;
        if words.get(4)? == "extract" {
            let copy = engine.seen().container(container)?.volumes.first()?.clone();
            let data = engine.volume_file(DURABLE, "ibdata1").unwrap_or_default();
            engine.set_volume_file(&copy, "ibdata1", &data);
        }
        Some(Output { code: 0, text: String::new() })
    });
    stage
}

pub async fn deploy(stage: &Stage) -> Result<Deployed, OpsError> {
    let options = DeployOptions { clone: true, ..DeployOptions::default() };
    ops::deploy(&stage.session(), options).await
}

pub async fn switch(stage: &Stage, color: Color) -> Result<Switched, OpsError> {
    let options =
        SwitchOptions { color: Some(color), keep_clone: true, ..SwitchOptions::default() };
    ops::switch(&stage.session(), options).await
}

/// Blue is live, and green has a clone.
async fn begun() -> Stage {
    let stage = stage();
    stage.up().await.unwrap();
    stage.engine.set_volume_file(DURABLE, "ibdata1", b"rows");
    deploy(&stage).await.unwrap();
    stage
}

fn of_clone(stage: &Stage) -> Vec<String> {
    let mut all = stage.standing();
    all.retain(|line| line.contains("-clone") || line.contains("green-db"));
    all
}

#[tokio::test(start_paused = true)]
async fn a_clone_has_the_data_of_its_time_is_told_and_goes_with_the_color() {
    let stage = begun().await;
    assert_eq!(stage.engine.volume_file(COPY, "ibdata1").unwrap(), b"rows");
    assert_eq!(
        of_clone(&stage),
        [
            "shop-devlocal-green-db-1 runs",
            "shop-devlocal-green-db-clone (volume)",
            "shop-devlocal-green-network-db-clone"
        ]
    );
    let status = ops::status(&stage.session()).await.unwrap();
    let clones: Vec<&str> =
        status.colors[&Green].clones.iter().map(|clone| clone.service.as_str()).collect();
    assert_eq!(clones, ["db"]);
    assert!(status.colors[&Green].clones[0].made.is_some());
    assert!(status.colors[&Blue].clones.is_empty());
    assert!(stage.history().await.pop().unwrap().clone);

    ops::cleanup(&stage.session(), None, false).await.unwrap();
    assert_eq!(of_clone(&stage), [""; 0]);
    assert_eq!(stage.engine.volume_file(DURABLE, "ibdata1").unwrap(), b"rows");
}

#[tokio::test(start_paused = true)]
async fn a_plan_with_a_clone_changes_nothing() {
    let stage = stage();
    stage.up().await.unwrap();
    stage.engine.forget_calls();
    let options = DeployOptions { clone: true, ..DeployOptions::default() };
    let plan = ops::plan_deploy(&stage.session(), options).await.unwrap();
    assert!(plan.to_string().contains("copy the data of db"), "{plan}");
    assert_eq!(stage.engine.changes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_switch_to_a_clone_takes_a_word_and_the_way_back_does_not() {
    let stage = begun().await;
    let refused = |error: OpsError| {
        assert!(
            matches!(error, OpsError::Conflict(Conflict::HasClone { color: Green, .. })),
            "{error}"
        );
    };
    refused(stage.switch(Some(Green)).await.unwrap_err());
    let back = RollbackOptions::default();
    assert_eq!(stage.routing().live, Some(Blue));
    let switched = switch(&stage, Green).await.unwrap();
    assert_eq!(switched.to, Green);
    let last = stage.history().await.pop().unwrap();
    assert!(last.clone && last.command == "switch", "{last:?}");

    // Live, it is as the files say, and it stays.
    stage.engine.forget_calls();
    let up = stage.up().await.unwrap();
    assert!(up.deployed.is_none() && up.switched.is_none());
    assert_eq!(stage.engine.changes(), [""; 0]);
    assert!(stage.notes.all().contains("green is live with a clone"), "{}", stage.notes.all());
    ops::cleanup(&stage.session(), Some(Green), false).await.unwrap_err();

    let rolled = ops::rollback(&stage.session(), &back).await.unwrap();
    assert_eq!(rolled.to, Blue);
    assert!(stage.notes.all().contains("stays in green"), "{}", stage.notes.all());
    assert!(!stage.history().await.pop().unwrap().clone);
    refused(ops::rollback(&stage.session(), &back).await.unwrap_err());

    // The release again, where its color is gone: with the durable database.
    ops::cleanup(&stage.session(), None, false).await.unwrap();
    assert_eq!(ops::rollback(&stage.session(), &back).await.unwrap().to, Green);
    assert!(stage.notes.all().contains("it gets the durable one"), "{}", stage.notes.all());
    assert_eq!(of_clone(&stage), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_up_with_something_new_leaves_a_live_clone_for_the_durable_database_and_says_so() {
    let mut stage = begun().await;
    switch(&stage, Green).await.unwrap();
    stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
    let up = stage.up().await.unwrap();
    assert_eq!(up.switched.unwrap().to, Blue);
    assert!(stage.notes.all().contains("stays in green"), "{}", stage.notes.all());
    // It stands until green is deployed again.
    assert_eq!(of_clone(&stage).len(), 3);
    assert_eq!(stage.deploy().await.unwrap().color, Green);
    assert_eq!(of_clone(&stage), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn new_replicas_of_a_color_with_a_clone_have_it_too_and_the_clone_has_none() {
    let stage = begun().await;
    let scale = async |service: &str| {
        let service = service.to_owned();
        let options = ops::ScaleOptions { service, replicas: 2, color: Some(Green) };
        ops::scale(&stage.session(), &options).await
    };
    scale("web").await.unwrap();
    let networks = |name: &str| stage.engine.seen().container(name).unwrap().networks.clone();
    let mut second = networks("shop-devlocal-green-web-2");
    let mut first = networks("shop-devlocal-green-web-1");
    first.sort();
    second.sort();
    assert_eq!(first, second);
    assert!(first.contains(&"shop-devlocal-green-network-db-clone".to_owned()), "{first:?}");
    let refused = scale("db").await.unwrap_err();
    assert!(refused.to_string().contains("replicas of `db`, which the app does not have"));
}

#[tokio::test(start_paused = true)]
async fn a_test_service_of_a_color_with_a_clone_is_on_its_network() {
    let project = format!("{PROJECT}checks: [{{ service: migrate-check }}]\n");
    let mut stage = of(&project);
    stage.engine.behave("migrate-check", crate::engine::memory::Behaviour::exits(0));
    let check = "services:\n  migrate-check: { image: tool, networks: [durable] }";
    stage.with_app(&APP.replace("services:", check));
    stage.up().await.unwrap();
    deploy(&stage).await.unwrap();
    let tested = ops::test(&stage.session(), Some(Green), &ops::Only::default()).await.unwrap();
    assert!(tested.passed, "{tested:?}");
    let seen = stage.engine.seen();
    let check = seen.container("shop-devlocal-green-migrate-check-1").unwrap();
    assert!(check.networks.contains(&"shop-devlocal-green-network-db-clone".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_clone_of_a_database_that_does_not_run() {
    let stage = stage();
    stage.up().await.unwrap();
    stage.engine.end("shop-devlocal-durable-db", 0);
    ops::durable_down(&stage.session(), ops::Data::Stays).await.unwrap();
    stage.engine.forget_calls();
    let refused = deploy(&stage).await.unwrap_err();
    assert!(matches!(refused, OpsError::NoService { .. }), "{refused}");
    assert!(!stage.engine.changes().iter().any(|call| call.contains("green")), "{refused}");
}
