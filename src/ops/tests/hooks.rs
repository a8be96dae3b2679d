//! Hooks and workers around a switch, undisturbed and with each call going wrong; test services.

use std::time::Duration;

use super::stage::Stage;
use crate::{
    engine::memory::{Behaviour, Fault},
    model::{Color, Outcome},
    ops::{self, OpsError},
    plan::Conflict,
};

const PROJECT: &str = "name: shop\n\
    app: { workers: [worker, mailer] }\n\
    hooks:\n\
    \x20 before_switch: [{ service: migrate, timeout: 20s }]\n\
    \x20 after_switch: [notify]\n";

const APP: &str = r#"
services:
  web: { image: nginx, ports: ["8000:80"] }
  worker: { image: nginx, restart: always }
  mailer: { image: redis }
  migrate: { image: tool, profiles: [tasks] }
  notify: { image: tool, restart: always }
"#;

const MIGRATE: &str = "shop-devlocal-green-migrate-1";
const NOTIFY: &str = "shop-devlocal-green-notify-1";

/// Blue live, green deployed.
async fn both() -> Stage {
    let stage = Stage::of(PROJECT, APP);
    stage.engine.behave("notify", Behaviour::exits(0));
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.engine.forget_calls();
    stage
}

fn starts(stage: &Stage, name: &str) -> usize {
    stage.engine.calls().iter().filter(|call| **call == format!("start {name}")).count()
}

/// The colors whose workers run, one entry a container.
fn working(stage: &Stage) -> Vec<String> {
    let standing = stage.standing();
    let works = |line: &&String| {
        line.ends_with("runs") && (line.contains("-worker-") || line.contains("-mailer-"))
    };
    standing.iter().filter(works).map(|line| line.split('-').nth(2).unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_hooks_run_once_for_a_release_and_the_last_ones_at_each_switch() {
    let stage = both().await;
    stage.switch(None).await.unwrap();
    assert_eq!((starts(&stage, MIGRATE), starts(&stage, NOTIFY)), (1, 1));
    assert_eq!(working(&stage), ["green", "green"]);
    ops::rollback(&stage.session(), &ops::RollbackOptions::default()).await.unwrap();
    assert_eq!(working(&stage), ["blue", "blue"]);
    assert_eq!(starts(&stage, "shop-devlocal-blue-notify-1"), 1);
    stage.switch(Some(Color::Green)).await.unwrap();
    assert_eq!((starts(&stage, MIGRATE), starts(&stage, NOTIFY)), (1, 2));
    assert!(stage.switch(Some(Color::Green)).await.unwrap().already);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_deployed_again_has_its_hooks_but_those_before_its_first_switch() {
    let stage = both().await;
    stage.switch(None).await.unwrap();
    ops::cleanup(&stage.session(), None, false).await.unwrap();
    stage.engine.forget_calls();
    ops::rollback(&stage.session(), &ops::RollbackOptions::default()).await.unwrap();
    assert_eq!(stage.routing().live, Some(Color::Blue));
    assert_eq!(starts(&stage, "shop-devlocal-blue-migrate-1"), 0);
    assert_eq!(starts(&stage, "shop-devlocal-blue-notify-1"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_hook_is_told_as_it_comes() {
    let stage = both().await;
    let says = "one\ntwo\n";
    let slow = Behaviour::exits_after(Duration::from_secs(3), 0).saying(says);
    stage.engine.behave("migrate", slow);
    stage.switch(None).await.unwrap();
    let told = stage.notes.all();
    assert!(told.contains("green/migrate | one\ngreen/migrate | two"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_runs_again_tells_the_lines_of_that_run() {
    let stage = both().await;
    stage.engine.behave("notify", Behaviour::exits(0).saying("told all\n"));
    stage.switch(None).await.unwrap();
    ops::rollback(&stage.session(), &ops::RollbackOptions::default()).await.unwrap();
    stage.switch(Some(Color::Green)).await.unwrap();
    let told = stage.notes.all();
    assert_eq!(starts(&stage, NOTIFY), 2);
    assert_eq!(told.matches("green/notify | told all").count(), 2, "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_is_named_like_a_secret_is_blotted_out_of_the_log_of_a_hook() {
    let mut stage = both().await;
    stage.project.variables.insert("MAIL_TOKEN".to_owned(), "t0ken-of-the-mail".to_owned());
    let says = "sent with t0ken-of-the-mail\n";
    let migrate = Behaviour::exits_after(Duration::from_secs(3), 0).saying(says);
    stage.engine.behave("migrate", migrate);
    stage.switch(None).await.unwrap();
    let told = stage.notes.all();
    assert!(told.contains("green/migrate | sent with") && !told.contains("t0ken"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_runs_too_long_is_stopped_and_the_switch_with_it() {
    let stage = both().await;
    stage.engine.behave("migrate", Behaviour::runs());
    let error = stage.switch(None).await.unwrap_err().to_string();
    assert!(error.contains("green/migrate did not end within 20 s"), "{error}");
    assert!(stage.engine.calls().contains(&format!("stop {MIGRATE}")));
    assert_eq!(stage.routing().live, Some(Color::Blue));
    assert_eq!(working(&stage), ["blue", "blue"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_a_killed_switch_left_running_is_waited_for_and_not_started_again() {
    let stage = both().await;
    let slow = Behaviour::exits_after(Duration::from_secs(15), 0);
    stage.engine.behave("migrate", slow);
    stage.engine.fault_on(&format!("start {MIGRATE}"), Fault::StopAfter);
    assert!(stage.engine.until_stopped(stage.switch(None)).await.is_none());
    stage.next_process().await;
    stage.switch(None).await.unwrap();
    assert_eq!(starts(&stage, MIGRATE), 1);
    assert_eq!(stage.routing().live, Some(Color::Green));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_after_the_switch_is_told_and_nothing_is_switched_back() {
    let stage = both().await;
    stage.engine.behave("notify", Behaviour::exits(4));
    let error = stage.switch(None).await.unwrap_err();
    assert!(matches!(error, OpsError::Unfinished { color: Color::Green, .. }), "{error}");
    assert!(error.to_string().contains("green/notify ended with exit code 4"), "{error}");
    assert_eq!(stage.routing().live, Some(Color::Green));
    assert_eq!(working(&stage), ["green", "green"]);
    let last = stage.history().await.pop().unwrap();
    assert_eq!(last.command, "switch");
    assert!(matches!(last.outcome, Outcome::Failed { reason } if reason.contains("notify")));

    stage.engine.behave("notify", Behaviour::exits(0));
    stage.engine.forget_calls();
    stage.switch(Some(Color::Green)).await.unwrap();
    assert_eq!(starts(&stage, NOTIFY), 1);
    assert!(stage.switch(Some(Color::Green)).await.unwrap().already);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_start_is_told_and_the_way_back_starts_the_old_ones() {
    let stage = both().await;
    let name = "shop-devlocal-green-worker-1";
    stage.engine.behave(name, Behaviour::cannot_start("no such program"));
    let error = stage.switch(None).await.unwrap_err();
    assert!(matches!(error, OpsError::Unfinished { color: Color::Green, .. }), "{error}");
    ops::switch(
        &stage.session(),
        ops::SwitchOptions { color: Some(Color::Blue), ..ops::SwitchOptions::default() },
    )
    .await
    .unwrap();
    assert_eq!(working(&stage), ["blue", "blue"]);
}

async fn every_call(fault: Fault) {
    let whole = both().await;
    whole.switch(None).await.unwrap();
    let (expected, calls) = (whole.standing(), whole.engine.calls().len());
    for n in 1..=calls {
        let stage = both().await;
        stage.engine.fault_at(n, fault);
        let _ = stage.engine.until_stopped(stage.switch(Some(Color::Green))).await;
        let struck = stage.engine.calls().get(n - 1).cloned().unwrap_or_default();
        let at = format!("{fault:?} at call {n}, `{struck}`");
        if stage.routing().live == Some(Color::Blue) {
            assert_eq!(working(&stage), ["blue", "blue"], "{at}: nothing was moved");
        }
        stage.next_process().await;
        stage.switch(Some(Color::Green)).await.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(stage.standing(), expected, "{at}");
        assert!(stage.switch(Some(Color::Green)).await.unwrap().already, "{at}");
        assert!(starts(&stage, NOTIFY) > 0, "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_with_hooks_and_workers_survives_a_refusal_of_any_call() {
    Box::pin(every_call(Fault::Fail)).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_with_hooks_and_workers_survives_a_lost_answer_of_any_call() {
    Box::pin(every_call(Fault::LoseAnswer)).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_with_hooks_and_workers_survives_a_kill_before_any_call() {
    Box::pin(every_call(Fault::Stop)).await;
}

#[tokio::test(start_paused = true)]
async fn a_switch_with_hooks_and_workers_survives_a_kill_after_any_call() {
    Box::pin(every_call(Fault::StopAfter)).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_after_a_killed_switch_moves_the_workers_first() {
    let stage = both().await;
    stage.engine.fault_on("stop", Fault::Stop);
    assert!(stage.engine.until_stopped(stage.switch(None)).await.is_none());
    assert_eq!(stage.routing().live, Some(Color::Green));
    assert_eq!(working(&stage), ["blue", "blue"]);
    stage.next_process().await;
    assert_eq!(stage.deploy().await.unwrap().color, Color::Blue);
    assert_eq!(working(&stage), ["green", "green"]);
    assert_eq!(starts(&stage, NOTIFY), 1);
    assert!(stage.notes.all().contains("going on with the switch to green"));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_before_a_cleanup_stops_it_but_for_force() {
    let project = "name: shop\napp: {}\nhooks: { before_cleanup: [migrate] }\n";
    let stage = Stage::of(project, APP);
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.engine.behave("migrate", Behaviour::exits(2));
    let tags = || -> Vec<_> { stage.engine.seen_images().into_iter().map(|it| it.tags).collect() };
    let before = (stage.routing(), tags());
    let error = ops::cleanup(&stage.session(), None, false).await.unwrap_err().to_string();
    assert!(error.contains("green/migrate ended with exit code 2"), "{error}");
    assert_eq!((stage.routing(), tags()), before);
    assert!(stage.standing().contains(&"shop-devlocal-green-web-1 runs".to_owned()));
    stage.engine.forget_calls();
    ops::cleanup(&stage.session(), None, true).await.unwrap();
    assert_eq!(starts(&stage, MIGRATE), 0);
    assert!(!stage.standing().iter().any(|line| line.contains("green")));
    assert!(stage.history().await.pop().unwrap().forced);
}

const TESTED: &str = "name: shop\napp: {}\nchecks: [{ service: e2e, timeout: 20s }]\n";
const WITH_TEST: &str = r#"
services:
  web: { image: nginx, ports: ["8000:80"] }
  e2e: { image: tool, profiles: [test], depends_on: [web] }
"#;
const E2E: &str = "shop-devlocal-blue-e2e-1";

#[tokio::test(start_paused = true)]
async fn a_test_service_runs_in_the_color_for_each_test_and_its_exit_code_is_the_result() {
    let stage = Stage::of(TESTED, WITH_TEST);
    stage.engine.behave("e2e", Behaviour::exits(3).saying("1 of 9 failed\n"));
    stage.deploy().await.unwrap();
    assert!(!stage.standing().iter().any(|line| line.contains("e2e")), "no part of the release");
    let refused = stage.switch(None).await.unwrap_err();
    assert!(matches!(refused, OpsError::Conflict(Conflict::NotTested { .. })), "{refused}");

    let tested = ops::test(&stage.session(), None, &ops::Only::default()).await.unwrap();
    assert_eq!((tested.passed, tested.checks[0].name.as_str()), (false, "service e2e"));
    let reason = tested.checks[0].reason.clone().unwrap();
    assert!(reason.contains("exit code 3") && reason.contains("1 of 9 failed"), "{reason}");
    let refused = stage.switch(None).await.unwrap_err();
    assert!(matches!(refused, OpsError::Conflict(Conflict::TestsFailed { .. })), "{refused}");

    stage.engine.behave("e2e", Behaviour::exits(0));
    stage.engine.forget_calls();
    assert!(ops::test(&stage.session(), None, &ops::Only::default()).await.unwrap().passed);
    let of_test = |call: &String| call.contains(E2E) && !call.starts_with("inspect");
    let calls: Vec<_> = stage.engine.changes().into_iter().filter(of_test).collect();
    assert_eq!(calls, [format!("remove {E2E}"), format!("create {E2E}"), format!("start {E2E}")]);
    stage.switch(None).await.unwrap();
    let up = stage.up().await.unwrap();
    assert!(up.deployed.is_none(), "a test that stands makes nothing different");
}

#[tokio::test(start_paused = true)]
async fn tests_may_be_shared_out_and_count_when_all_of_them_have_passed() {
    let stage = Stage::of(
        "name: shop\napp: {}\nchecks: [{ service: e2e }, { service: smoke }]\n",
        r#"
services:
  web: { image: nginx, ports: ["8000:80"] }
  e2e: { image: tool, profiles: [test] }
  smoke: { image: tool, profiles: [test] }
"#,
    );
    stage.engine.behave("e2e", Behaviour::exits(0));
    stage.deploy().await.unwrap();
    let only =
        |service: &str| ops::Only { services: vec![service.to_owned()], ..ops::Only::default() };
    let test = async |service| ops::test(&stage.session(), None, &only(service)).await;

    let first = test("e2e").await.unwrap();
    assert_eq!((first.checks.len(), first.passed, first.release_passed), (1, true, None));
    let refused = stage.switch(None).await.unwrap_err();
    assert!(matches!(refused, OpsError::Conflict(Conflict::NotTested { .. })), "{refused}");

    stage.engine.behave("smoke", Behaviour::exits(1));
    assert_eq!(test("smoke").await.unwrap().release_passed, Some(false));
    assert_eq!(test("e2e").await.unwrap().release_passed, Some(false), "the other one failed");
    let refused = stage.switch(None).await.unwrap_err();
    assert!(matches!(refused, OpsError::Conflict(Conflict::TestsFailed { .. })), "{refused}");

    stage.engine.behave("smoke", Behaviour::exits(0));
    assert_eq!(test("smoke").await.unwrap().release_passed, Some(true));
    stage.switch(None).await.unwrap();

    let unknown = test("e3e").await.unwrap_err().to_string();
    assert!(unknown.contains("`e3e`") && unknown.contains("e2e, smoke"), "{unknown}");

    // Both at one time, each keeping the other's result; the lock is not held meanwhile.
    stage.deploy().await.unwrap();
    let run = Duration::from_secs(20);
    stage.engine.behave("e2e", Behaviour::exits_after(run, 0));
    stage.engine.behave("smoke", Behaviour::exits_after(run, 0));
    let begun = tokio::time::Instant::now();
    let (e2e, smoke) = tokio::join!(test("e2e"), test("smoke"));
    assert!(begun.elapsed() < 2 * run, "{:?}", begun.elapsed());
    let mut whole = [e2e.unwrap().release_passed, smoke.unwrap().release_passed];
    whole.sort_unstable();
    assert_eq!(whole, [None, Some(true)]);

    // What was found of a release that is gone is nobody's.
    let (found, deployed) = tokio::join!(test("e2e"), async {
        #[expect(clippy::disallowed_methods, reason = "the tests are under way by then")]
        tokio::time::sleep(run / 2).await;
        stage.deploy().await
    });
    deployed.unwrap();
    let replaced = found.unwrap_err();
    assert!(matches!(replaced, OpsError::Replaced { .. }), "{replaced}");
}

#[tokio::test(start_paused = true)]
async fn a_forced_switch_to_what_was_not_tested_is_warned_of_and_recorded() {
    let stage = Stage::of(TESTED, WITH_TEST);
    stage.deploy().await.unwrap();
    let options = ops::SwitchOptions { force: true, ..ops::SwitchOptions::default() };
    ops::switch(&stage.session(), options).await.unwrap();
    assert!(stage.notes.all().contains("blue was not tested"), "{}", stage.notes.all());
    assert!(stage.history().await.pop().unwrap().forced);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_fails_the_deployment_with_its_exit_code_and_runs_again_with_the_next() {
    let app = "services:\n  web: { image: nginx, ports: [\"8000:80\"], depends_on: { seed: { condition: service_completed_successfully } } }\n  seed: { image: tool }\n";
    let stage = Stage::of("name: shop\napp: {}\n", app);
    stage.engine.behave("seed", Behaviour::exits(5).saying("no rows\n"));
    let error = stage.deploy().await.unwrap_err().to_string();
    assert!(error.contains("exit code 5") && error.contains("no rows"), "{error}");
    assert!(!stage.engine.calls().contains(&"start shop-devlocal-blue-web-1".to_owned()));
    stage.engine.behave("seed", Behaviour::exits(0));
    stage.deploy().await.unwrap();
    assert_eq!(starts(&stage, "shop-devlocal-blue-seed-1"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_is_no_service_is_said_before_the_durable_layer_is_brought_up() {
    let stage = Stage::of(
        "name: shop\ndurable: { compose: [db.yaml] }\napp: {}\nhooks: { before_switch: [migrat] }\n",
        APP,
    );
    let error = stage.up().await.unwrap_err().to_string();
    assert!(error.contains("migrat"), "{error}");
    assert_eq!(stage.standing(), Vec::<String>::new());
}
