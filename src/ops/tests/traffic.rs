//! From the first `up` to `cleanup`: who gets the traffic, and what the history says of it.

use insta::assert_snapshot;

use super::stage::{APP, PROJECT, Stage};
use crate::{
    engine::memory::Behaviour,
    model::{Color, Outcome},
    ops::{self, OpsError},
    plan::Conflict,
};

async fn commands(stage: &Stage) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Done => "done",
        Outcome::Failed { .. } => "failed",
        Outcome::Interrupted => "interrupted",
        Outcome::Crashed { .. } => "crashed",
    };
    let changes = stage.history().await;
    let line = |color: Option<Color>| color.map(|color| format!(" {color}")).unwrap_or_default();
    changes
        .iter()
        .map(|c| format!("{}{}: {}", c.command, line(c.color), word(&c.outcome)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_up_brings_everything_up_and_the_second_changes_nothing() {
    let stage = Stage::new();
    let up = stage.up().await.unwrap();
    assert_eq!(up.switched.unwrap().to, Color::Blue);
    assert_eq!(up.addresses[0].url, "http://engine.test:8000");
    assert_snapshot!(stage.standing().join("\n"), @"
    envctl-ca (volume)
    shop-devlocal-blue-cache-1 runs
    shop-devlocal-blue-migrate-1
    shop-devlocal-blue-network
    shop-devlocal-blue-web-1 runs
    shop-devlocal-blue-worker-1 runs
    shop-devlocal-durable-data (volume)
    shop-devlocal-durable-db runs
    shop-devlocal-durable-network
    shop-devlocal-proxy runs
    shop-devlocal-proxy-network
    shop-devlocal-proxy-state (volume)
    ");
    stage.engine.forget_calls();
    let again = stage.up().await.unwrap();
    assert!(again.deployed.is_none() && again.switched.is_none());
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
    assert_eq!(
        commands(&stage).await,
        ["durable up: done", "deploy blue: done", "switch blue: done"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_image_goes_up_on_the_other_color_and_the_old_one_stays_for_the_way_back() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    let blue: Vec<String> =
        stage.standing().into_iter().filter(|line| line.contains("blue-web")).collect();
    stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
    let up = stage.up().await.unwrap();
    assert_eq!(up.switched.unwrap().from, Some(Color::Blue));
    assert_eq!(stage.routing().live, Some(Color::Green));
    assert!(blue.iter().all(|line| stage.standing().contains(line)));
    assert!(stage.standing().contains(&"shop-devlocal-blue-worker-1".to_owned()), "stopped");
    assert!(stage.standing().contains(&"shop-devlocal-green-worker-1 runs".to_owned()));

    let options = ops::RollbackOptions::default();
    let back = ops::rollback(&stage.session(), &options).await.unwrap();
    assert_eq!((back.from, back.to), (Some(Color::Green), Color::Blue));
    assert!(stage.standing().contains(&"shop-devlocal-blue-worker-1 runs".to_owned()));
    let last = stage.history().await.pop().unwrap();
    assert_eq!((last.command.as_str(), last.forced), ("rollback", false));
}

#[tokio::test(start_paused = true)]
async fn cleanup_takes_the_idle_color_away_and_refuses_the_live_one() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.switch(None).await.unwrap();
    let cleanup = ops::cleanup(&stage.session(), None, false).await.unwrap();
    assert_eq!(cleanup.color, Color::Blue);
    assert!(!stage.standing().iter().any(|line| line.contains("-blue-")));
    stage.engine.forget_calls();
    let again = ops::cleanup(&stage.session(), None, false).await.unwrap();
    assert!(again.plan.is_empty());
    let refused = ops::cleanup(&stage.session(), Some(Color::Green), false).await;
    assert!(matches!(refused, Err(OpsError::Conflict(Conflict::Live { .. }))));
    let durable = |call: &String| call.contains("durable") && !call.starts_with("create");
    assert!(!stage.engine.changes().iter().any(durable));
}

#[tokio::test(start_paused = true)]
async fn of_two_ups_at_once_the_second_finds_all_done() {
    let stage = Stage::new();
    stage.engine.slow("start", std::time::Duration::from_secs(1));
    let (first, second) = tokio::join!(stage.up(), stage.up());
    assert!(first.unwrap().deployed.is_some());
    assert!(second.unwrap().deployed.is_none());
    assert_eq!(stage.routing().stacks.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn up_over_a_stopped_database_starts_it_and_deploys_nothing() {
    use crate::engine::Engine as _;
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.stop("shop-devlocal-durable-db", None).await.unwrap();
    let up = stage.up().await.unwrap();
    assert!(up.deployed.is_none());
    assert!(stage.standing().contains(&"shop-devlocal-durable-db runs".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn switch_to_the_live_color_does_nothing_and_is_not_recorded() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    let before = stage.history().await.len();
    let switched = stage.switch(Some(Color::Blue)).await.unwrap();
    assert!(switched.already);
    assert_eq!(stage.history().await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_promotion_moves_the_traffic_to_its_own_revision_once() {
    let (old, new, other) = ("0ld0000aaaa", "4e30000bbbb", "07e4000cccc");
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    let options = ops::SwitchOptions::default();
    let promote =
        async |stage: &Stage, wanted| ops::promote(&stage.session(), options, wanted).await;
    for revision in [old, new] {
        stage.shell.0.insert("CI_COMMIT_SHA".to_owned(), revision.to_owned());
        stage.deploy().await.unwrap();
        assert!(!promote(&stage, revision).await.unwrap().already, "{revision}");
    }
    let live = stage.routing().live;
    // A retry, when the release of before stands beside it.
    assert!(promote(&stage, new).await.unwrap().already);
    assert!(ops::plan_promote(&stage.session(), options, &new[..7]).await.unwrap().is_empty());
    assert_eq!(stage.routing().live, live);

    let refused = promote(&stage, other).await.unwrap_err();
    assert!(matches!(refused, OpsError::OtherRevision { .. }), "{refused}");
    let text = refused.to_string();
    assert!(text.contains(old) && text.contains(other), "{text}");
    let only = ops::Only { revision: Some(new.to_owned()), ..ops::Only::default() };
    let refused = ops::test(&stage.session(), None, &only).await.unwrap_err();
    assert!(matches!(refused, OpsError::OtherRevision { .. }), "{refused}");
    assert_eq!(stage.routing().live, live);

    // The same revision deployed anew is to be promoted.
    stage.deploy().await.unwrap();
    ops::test(&stage.session(), None, &only).await.unwrap();
    assert!(!promote(&stage, &new[..7]).await.unwrap().already);
    assert_ne!(stage.routing().live, live);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_before_anything_is_live_is_refused() {
    let stage = Stage::new();
    let options = ops::RollbackOptions::default();
    let refused = ops::rollback(&stage.session(), &options).await;
    assert!(matches!(refused, Err(OpsError::NothingLive)));
    assert_eq!(stage.standing(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_a_killed_switch_did_not_start_is_started_by_up() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.end("shop-devlocal-blue-worker-1", 1);
    let up = stage.up().await.unwrap();
    assert!(up.deployed.is_none());
    assert!(stage.standing().contains(&"shop-devlocal-blue-worker-1 runs".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_gets_healthy_fails_the_deploy_with_evidence_and_the_live_color_stays()
{
    let stage = Stage::new();
    stage.up().await.unwrap();
    let live: Vec<String> =
        stage.standing().into_iter().filter(|line| line.contains("blue")).collect();
    let sick = Behaviour::never_healthy().probe_saying("no pong").saying("one\ntwo\n");
    stage.engine.behave("shop-devlocal-green-cache-1", sick);
    let error = stage.deploy().await.unwrap_err();
    assert!(matches!(error, OpsError::Failed { color: Some(Color::Green), .. }));
    assert_snapshot!(error, @"
    green/cache did not get healthy within 1 min
      last probe: exit code 1: no pong
      its log ends with:
        one
        two
      not started: green/web
      still running: green/cache
    ");
    assert!(live.iter().all(|line| stage.standing().contains(line)));
    assert_eq!(stage.routing().live, Some(Color::Blue));
    assert_eq!(commands(&stage).await.pop().unwrap(), "deploy green: failed");
    assert!(!stage.standing().iter().any(|line| line.contains("lock")));
    stage.engine.behave("shop-devlocal-green-cache-1", Behaviour::runs());
    assert_eq!(stage.deploy().await.unwrap().color, Color::Green);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_stops_the_switch_and_the_traffic_stays() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.engine.behave("migrate", Behaviour::exits(3));
    let error = stage.switch(None).await.unwrap_err().to_string();
    assert!(error.contains("green/migrate") && error.contains("exit code 3"), "{error}");
    assert_eq!(stage.routing().live, Some(Color::Blue));
    stage.engine.behave("migrate", Behaviour::exits(0));
    assert_eq!(stage.switch(None).await.unwrap().to, Color::Green);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_can_neither_be_pulled_nor_built_leaves_both_colors_as_they_were() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    let before = stage.standing();
    stage.with_app(&APP.replace("image: redis", "image: nowhere/redis"));
    let error = stage.deploy().await.unwrap_err().to_string();
    assert!(error.contains("`nowhere/redis` cannot be pulled"), "{error}");
    assert_eq!(stage.standing(), before);
}

#[tokio::test(start_paused = true)]
async fn failed_checks_stop_up_before_the_switch() {
    let checks = format!("{PROJECT}checks: [{{ path: /health, timeout: 1s }}]\n");
    let app = APP.replace("8000:80", "1:80");
    let stage = Stage::of(&checks, &app);
    let error = stage.up().await.unwrap_err();
    assert!(
        matches!(error, OpsError::TestsFailed { color: Color::Blue, failed: 1, all: 1 }),
        "{error}"
    );
    assert_eq!(stage.routing().live, None);
    assert!(stage.notes.all().contains("FAILED  GET http://engine.test:11/health"));
    let refused = stage.switch(None).await.unwrap_err();
    assert!(matches!(refused, OpsError::Conflict(Conflict::TestsFailed { .. })), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn status_tells_what_stands_and_changes_nothing() {
    let stage = Stage::new();
    let nothing = ops::status(&stage.session()).await.unwrap();
    assert_eq!((nothing.live, nothing.proxy.state.as_str()), (None, "absent"));
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.engine.forget_calls();
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
    assert_eq!(status.live, Some(Color::Blue));
    assert_eq!(status.proxy.version.as_deref(), Some("1.2.3"));
    assert_eq!(status.colors[&Color::Green].services.len(), 4);
    assert_eq!(status.colors[&Color::Blue].tested, Some(true));
    assert_eq!(status.durable[0].service.service, "db");
    assert_eq!(status.lock, None);
    assert_eq!(status.addresses.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_proxy_stopped_or_gone_its_state_is_still_read() {
    use crate::engine::Engine as _;
    let stage = Stage::new();
    stage.up().await.unwrap();
    let history = stage.history().await;
    stage.engine.stop("shop-devlocal-proxy", None).await.unwrap();
    assert_eq!(stage.history().await, history);
    stage.engine.remove("shop-devlocal-proxy").await.unwrap();
    assert_eq!(stage.history().await, history);
    let status = ops::status(&stage.session()).await.unwrap();
    assert_eq!(status.live, Some(Color::Blue));
    assert!(!stage.standing().iter().any(|line| line.contains("-state-")));
    stage.up().await.unwrap();
    assert!(stage.standing().contains(&"shop-devlocal-proxy runs".to_owned()));
    assert_eq!(&stage.history().await[..3], &history[..]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_deploy_and_cleanup_changes_nothing() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.forget_calls();
    let plan = ops::plan_deploy(&stage.session(), ops::DeployOptions::default()).await.unwrap();
    assert!(plan.to_string().contains("create green/web"));
    assert!(ops::plan_cleanup(&stage.session(), None, false).await.unwrap().plan.is_empty());
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_access_log_of_a_stopped_proxy_is_read_from_its_state() {
    use crate::engine::Engine as _;
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.engine.stop("shop-devlocal-proxy", None).await.unwrap();
    for (name, text) in [("access.log", "c\n"), ("access-20261121T080000000Z.log", "a\nb\n")] {
        let file = format!("access/{name}");
        stage.engine.set_volume_file("shop-devlocal-proxy-state", &file, text.as_bytes());
    }
    let (lines, mark) = ops::access_log(&stage.session(), 2, None).await.unwrap();
    assert_eq!((lines, mark), (vec!["b".to_owned(), "c".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn maintenance_takes_the_projects_page_along_and_is_told_by_status_and_history() {
    let stage = Stage::of(&format!("{PROJECT}proxy: {{ maintenance: soon.html }}\n"), APP);
    assert!(matches!(ops::pause(&stage.session(), PAUSE).await, Err(OpsError::NothingLive)));
    stage.up().await.unwrap();
    let none = ops::maintenance(&stage.session(), true).await.unwrap_err().to_string();
    assert!(none.contains("soon.html"), "{none}");
    stage.file("soon.html", "<h1>soon</h1>");
    ops::maintenance(&stage.session(), true).await.unwrap();
    let page = stage.routing().maintenance.unwrap().page;
    assert_eq!(page.as_deref(), Some("<h1>soon</h1>"));
    assert!(ops::status(&stage.session()).await.unwrap().maintenance.is_some());
    ops::maintenance(&stage.session(), false).await.unwrap();
    assert_eq!(stage.routing().maintenance, None);
    let all = commands(&stage).await;
    assert_eq!(all[all.len() - 2..], ["maintenance on: done", "maintenance off: done"]);
    assert_eq!(ops::pause(&stage.session(), PAUSE).await.unwrap(), 0);
    assert_eq!(ops::resume(&stage.session()).await.unwrap(), 0);
    crate::engine::Engine::stop(&stage.engine, "shop-devlocal-proxy", None).await.unwrap();
    let stopped = ops::maintenance(&stage.session(), true).await.unwrap_err();
    assert!(matches!(stopped, OpsError::ProxyStopped), "{stopped}");
}

const PAUSE: ops::PauseOptions = ops::PauseOptions {
    limit: std::time::Duration::from_secs(60),
    hold: std::time::Duration::from_secs(30),
    most: 10,
};
