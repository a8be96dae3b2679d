//! `status`.

use super::stage::Stage;
use crate::{
    model::{Color, Outcome},
    ops,
};

#[tokio::test(start_paused = true)]
async fn a_replica_that_died_is_seen_beside_those_that_serve() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.scale("web", 2).await.unwrap();
    stage.engine.end("shop-devlocal-blue-web-2", 137);
    let status = ops::status(&stage.session()).await.unwrap();
    let webs: Vec<_> = status.colors[&Color::Blue]
        .services
        .iter()
        .filter(|service| service.service == "web")
        .map(|service| (service.state.as_str(), service.vitals.exit_code))
        .collect();
    assert_eq!(webs, [("running", None), ("stopped", Some(137))]);
}

#[tokio::test(start_paused = true)]
async fn everything_that_stands_is_in_it() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!(status.live, Some(Color::Blue));
    let environments: Vec<_> = status
        .environments
        .iter()
        .map(|it| (it.name.as_str(), it.containers, it.running))
        .collect();
    // The proxy, the database, and of the app all but the hook, which has ended.
    assert_eq!(environments, [("devlocal", 6, 5)]);
    assert!(status.proxy.vitals.usage.is_some());
    assert!(status.durable[0].vitals.usage.unwrap().memory > 0);
    let route = &status.colors[&Color::Blue].routes[0];
    assert_eq!((route.listen, route.paths[0].host.as_str()), (8000, "blue-web"));
    let last = status.last.unwrap();
    assert_eq!((last.command.as_str(), last.outcome), ("switch", Outcome::Done));
    assert!(status.lock.is_none());
}

#[tokio::test(start_paused = true)]
async fn it_asks_a_stopped_proxys_state_and_changes_nothing() {
    use crate::engine::Engine as _;
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.stop("shop-devlocal-proxy", None).await.unwrap();
    stage.engine.forget_calls();
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!((status.live, status.proxy.state.as_str()), (Some(Color::Blue), "stopped"));
    assert_eq!(status.last.unwrap().command, "switch");
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn it_tells_of_a_proxy_that_cannot_be_asked_as_plan_does_by_what_it_wrote_down() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    // It runs and does not answer, then it is started again and again.
    for state in ["running", "restarting"] {
        if state == "restarting" {
            stage.engine.end("shop-devlocal-proxy", 1);
        } else {
            stage.engine.on_ask(|_| String::new());
        }
        stage.engine.forget_calls();
        let status = ops::status(&stage.session()).await.unwrap();
        assert_eq!((status.live, status.proxy.state.as_str()), (Some(Color::Blue), state));
        assert_eq!((status.last.unwrap().command.as_str(), status.proxy.version), ("switch", None));
        assert_eq!(stage.engine.changes(), Vec::<String>::new());
        let options = ops::SwitchOptions::default();
        let refused = ops::plan_switch(&stage.session(), options).await.unwrap_err();
        assert!(refused.to_string().contains("green has no release"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_of_the_lock_that_died_is_told_from_one_that_works() {
    use crate::engine::memory::Fault;
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.fault_on("start shop-devlocal-green-web-1", Fault::Stop);
    assert!(stage.engine.until_stopped(stage.deploy()).await.is_none());
    stage.engine.heal();
    // This process still runs.
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!((status.lock.unwrap().what.as_str(), status.lock_lapsed), ("deploy", false));
    stage.next_process().await;
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!((status.lock.unwrap().what.as_str(), status.lock_lapsed), ("deploy", true));
    stage.deploy().await.unwrap();
    assert!(!ops::status(&stage.session()).await.unwrap().lock_lapsed);
}
