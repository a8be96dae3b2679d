//! `scale` and `deploy --replicas`.

use insta::assert_snapshot;

use super::stage::{APP, PROJECT, Stage};
use crate::{
    engine::memory::Behaviour,
    model::Color,
    ops::{self, OpsError},
    plan::Conflict,
};

fn webs(stage: &Stage) -> Vec<String> {
    stage.standing().into_iter().filter(|line| line.contains("-web-")).collect()
}

#[tokio::test(start_paused = true)]
async fn replicas_come_to_the_live_color_and_go_again_with_their_requests_ended() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    let more = stage.scale("web", 3).await.unwrap();
    assert_snapshot!(more.plan, @"
    [1]         create blue/web-2 (nginx)           3 replicas are asked for
    [2]  ←1     start blue/web-2                    3 replicas are asked for
    [3]  ←2     wait until blue/web-2 is healthy    only then the proxy knows it
    [4]  ←3     make blue/web-2 known to the proxy  it takes its share of the requests
    [5]  ←4     wait until blue/web-2 is ready      a route leads to it
    [6]         create blue/web-3 (nginx)           3 replicas are asked for
    [7]  ←6     start blue/web-3                    3 replicas are asked for
    [8]  ←7     wait until blue/web-3 is healthy    only then the proxy knows it
    [9]  ←8     make blue/web-3 known to the proxy  it takes its share of the requests
    [10] ←9     wait until blue/web-3 is ready      a route leads to it
    [11] ←5,10  keep blue/web ×3 with the release   `up` leaves it so
    ");
    assert_eq!(
        webs(&stage),
        [1, 2, 3].map(|number| format!("shop-devlocal-blue-web-{number} runs"))
    );
    let fewer = stage.scale("web", 1).await.unwrap();
    assert_snapshot!(fewer.plan, @"
    [1]       wait until nothing is open on shop-devlocal-blue-web-2  1 of 3 stay
    [2] ←1    stop shop-devlocal-blue-web-2                           1 of 3 stay
    [3] ←2    remove container shop-devlocal-blue-web-2               1 of 3 stay
    [4]       wait until nothing is open on shop-devlocal-blue-web-3  1 of 3 stay
    [5] ←4    stop shop-devlocal-blue-web-3                           1 of 3 stay
    [6] ←5    remove container shop-devlocal-blue-web-3               1 of 3 stay
    [7] ←3,6  keep blue/web ×1 with the release                       `up` leaves it so
    ");
    assert_eq!(webs(&stage), ["shop-devlocal-blue-web-1 runs"]);
    let commands: Vec<String> =
        stage.history().await.into_iter().map(|change| change.command).collect();
    assert_eq!(commands[commands.len() - 2..], ["scale", "scale"]);
}

#[tokio::test(start_paused = true)]
async fn up_leaves_a_scaled_color_as_it_is_and_scale_again_changes_nothing() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.scale("web", 2).await.unwrap();
    stage.engine.forget_calls();
    assert!(stage.up().await.unwrap().deployed.is_none());
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
    assert!(stage.scale("web", 2).await.unwrap().plan.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_is_asked_for_goes_over_the_files_and_less_than_is_live_is_told() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    stage.scale("web", 3).await.unwrap();
    stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
    stage.deploy().await.unwrap();
    assert!(stage.notes.all().contains("blue/web has 3 replicas, green/web gets 1"));
    let replicas = [("web".to_owned(), 2)].into();
    let options = ops::DeployOptions { replicas, ..ops::DeployOptions::default() };
    ops::deploy(&stage.session(), options).await.unwrap();
    let green: Vec<_> = webs(&stage).into_iter().filter(|name| name.contains("green")).collect();
    assert_eq!(green, [1, 2].map(|number| format!("shop-devlocal-green-web-{number} runs")));
    // A deployment without the word has the files' number again.
    stage.deploy().await.unwrap();
    assert!(!webs(&stage).iter().any(|name| name.contains("green-web-2")));
}

#[tokio::test(start_paused = true)]
async fn a_replica_is_not_known_to_the_proxy_before_it_is_healthy() {
    let stage = Stage::of(
        PROJECT,
        &APP.replace("image: nginx, ports", "image: nginx, healthcheck: { test: ping }, ports"),
    );
    stage.up().await.unwrap();
    stage.engine.behave("shop-devlocal-blue-web-2", Behaviour::never_healthy());
    let error = stage.scale("web", 2).await.unwrap_err();
    assert!(matches!(error, OpsError::Failed { .. }), "{error}");
    let seen = stage.engine.seen();
    let networks = |name: &str| seen.container(name).unwrap().networks.clone();
    let proxy = "shop-devlocal-proxy-network".to_owned();
    assert!(networks("shop-devlocal-blue-web-1").contains(&proxy));
    assert!(!networks("shop-devlocal-blue-web-2").contains(&proxy));
    stage.engine.behave("shop-devlocal-blue-web-2", Behaviour::runs());
    stage.scale("web", 2).await.unwrap();
    let seen = stage.engine.seen();
    assert!(seen.container("shop-devlocal-blue-web-2").unwrap().networks.contains(&proxy));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_scaled_is_refused_with_the_reason() {
    let mut stage = Stage::new();
    assert!(matches!(stage.scale("web", 2).await, Err(OpsError::NothingLive)));
    stage.up().await.unwrap();
    let before = stage.standing();
    assert!(matches!(
        stage.scale("migrate", 2).await,
        Err(OpsError::Conflict(Conflict::RunsOnce { .. }))
    ));
    let unknown = stage.scale("wep", 2).await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean `web`?"), "{unknown}");
    stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
    assert!(matches!(
        stage.scale("web", 2).await,
        Err(OpsError::Conflict(Conflict::Changed { color: Color::Blue, .. }))
    ));
    assert_eq!(stage.standing(), before);
}

#[tokio::test(start_paused = true)]
async fn limits_of_the_files_are_those_of_each_replica() {
    let stage = Stage::of(
        PROJECT,
        &APP.replace("image: nginx, ports", "image: nginx, mem_limit: 64m, ports"),
    );
    stage.up().await.unwrap();
    stage.scale("web", 2).await.unwrap();
    let status = ops::status(&stage.session()).await.unwrap();
    let limits: Vec<_> = status.colors[&Color::Blue]
        .services
        .iter()
        .filter(|service| service.service == "web")
        .map(|service| service.vitals.usage.unwrap().memory_limit)
        .collect();
    assert_eq!(limits, [Some(64 << 20); 2]);
}
