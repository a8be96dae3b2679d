//! What is told of a failure: the cause, the evidence, what it holds back and what runs on; no secret.

use std::time::Duration;

use insta::assert_snapshot;

use super::{Told, run, run_with, spec, start, wait};
use crate::{
    engine::memory::{Behaviour, Memory},
    model::{BuildSpec, FileSpec, Restart, ServiceSpec, Stack, Test, control::Request},
    plan::{Action, Id, ImageJob, Plan, Until},
    run::{Cause, Failure, RunError},
};

/// Makes, starts and waits for a service.
fn service(plan: &mut Plan, spec: &ServiceSpec, until: Until, after: &[Id]) -> Id {
    let made = Action::Create(Box::new(spec.clone()));
    let made = plan.push([], made, format!("create {}", spec.name), "");
    let after: Vec<Id> = after.iter().copied().chain([made]).collect();
    let started = start(plan, &spec.name, &after);
    wait(plan, &spec.name, until, &[started])
}

async fn fails(engine: &Memory, plan: &Plan) -> Failure {
    engine.have_image("a");
    run(engine, &Told::default(), plan).await.unwrap_err()
}

fn cause(failure: &Failure) -> Cause {
    match &failure.source {
        RunError::NotHealthy(evidence) => evidence.cause,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_a_failure_is_told_once_and_what_runs_too() {
    let engine = Memory::new();
    engine.behave("db", Behaviour::exits(1).saying("no space\n"));
    let mut plan = Plan::default();
    let cache = service(&mut plan, &spec("cache", None), Until::Healthy, &[]);
    let db = service(&mut plan, &spec("db", None), Until::Healthy, &[cache]);
    let api = service(&mut plan, &spec("api", None), Until::Healthy, &[db]);
    service(&mut plan, &spec("web", None), Until::Healthy, &[api]);
    assert_snapshot!(fails(&engine, &plan).await, @"
    green/db ended with exit code 1
      its log ends with:
        no space
      not started: green/api, green/web
      still running: green/cache
    ");
}

#[tokio::test(start_paused = true)]
async fn a_memory_limit_that_is_too_low_is_named() {
    let engine = Memory::new();
    engine.behave("web", Behaviour::runs_out_of_memory());
    let mut web = spec("web", None);
    web.resources.memory = Some(16 << 20);
    web.restart = Restart::OnFailure { retries: Some(0) };
    let mut plan = Plan::default();
    service(&mut plan, &web, Until::Healthy, &[]);
    let failure = fails(&engine, &plan).await;
    assert_eq!(cause(&failure), Cause::OutOfMemory);
    assert_snapshot!(failure, @"
    green/web was killed (exit code 137): out of memory (its limit is 16.0 MiB)
      its log is empty
    ");
}

#[tokio::test(start_paused = true)]
async fn a_taken_port_is_told_with_the_network_that_is_shared() {
    let engine = Memory::new();
    let said = "Error: listen EADDRINUSE: address already in use :::8080\n";
    engine.behave("side", Behaviour::exits(1).saying(said));
    let side = ServiceSpec { network_mode: Some("container:web".to_owned()), ..spec("side", None) };
    let mut plan = Plan::default();
    let web = service(&mut plan, &spec("web", None), Until::Healthy, &[]);
    service(&mut plan, &side, Until::Healthy, &[web]);
    let failure = fails(&engine, &plan).await;
    assert_eq!(cause(&failure), Cause::PortInUse);
    assert_snapshot!(failure, @"
    green/side ended with exit code 1: port 8080 is in use in its network, the network of `web`
      its log ends with:
        Error: listen EADDRINUSE: address already in use :::8080
      still running: green/web
    ");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_after_it_was_ready_fails_the_plan_while_others_come_up() {
    let engine = Memory::new();
    engine.behave("web", Behaviour::exits_after(Duration::from_secs(5), 3));
    engine.behave("slow", Behaviour::never_healthy());
    let mut plan = Plan::default();
    service(&mut plan, &spec("web", None), Until::Healthy, &[]);
    let check = Some(Test::Shell("ping".into()));
    service(&mut plan, &spec("slow", check), Until::Healthy, &[]);
    let began = tokio::time::Instant::now();
    let failure = fails(&engine, &plan).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_snapshot!(failure, @"
    green/web was ready, then ended with exit code 3
      its log is empty
      still running: green/slow
    ");
}

#[tokio::test(start_paused = true)]
async fn a_stack_is_not_made_known_when_a_part_of_it_has_ended() {
    let engine = Memory::new();
    engine.behave("web", Behaviour::exits_after(Duration::from_secs(1), 3));
    engine.slow("start late", Duration::from_millis(1500));
    let mut plan = Plan::default();
    let web = service(&mut plan, &spec("web", None), Until::Healthy, &[]);
    let late = service(&mut plan, &spec("late", None), Until::Healthy, &[]);
    let put = Request::Put { color: crate::model::Color::Green, stack: stack(), drain_ms: 0 };
    plan.push([web, late], Action::Tell(Box::new(put)), "make green known", "");
    let failure = fails(&engine, &plan).await.to_string();
    assert!(failure.starts_with("green/web was ready, then ended with exit code 3"), "{failure}");
    assert!(!engine.calls().iter().any(|call| call.starts_with("ask")), "{:?}", engine.calls());
}

fn stack() -> Stack {
    Stack {
        release: "1".into(),
        revision: None,
        created: String::new(),
        images: std::collections::BTreeMap::new(),
        routes: vec![],
        replicas: std::collections::BTreeMap::new(),
        tests: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_image_lacks_is_told_as_that() {
    let engine = Memory::new();
    let oci = "OCI runtime create failed: unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown";
    engine.behave("web", Behaviour::cannot_start(oci));
    let mut plan = Plan::default();
    service(&mut plan, &spec("web", None), Until::Healthy, &[]);
    let failure = fails(&engine, &plan).await;
    assert_eq!(cause(&failure), Cause::CommandNotFound);
    assert_snapshot!(failure, @"green/web cannot be started: its image has no command `nope`");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_service_and_not_the_step() {
    let engine = Memory::new();
    engine.behave("web", Behaviour::cannot_start("cgroups are on strike"));
    let mut plan = Plan::default();
    service(&mut plan, &spec("web", None), Until::Healthy, &[]);
    assert_snapshot!(fails(&engine, &plan).await, @"green/web cannot be started: start container `web`: cgroups are on strike");
}

#[tokio::test(start_paused = true)]
async fn credentials_and_secret_files_are_blotted_out() {
    let engine = Memory::new();
    let said = "connecting to mysql://app:hunter2@db\ntoken abc123xyz refused\n";
    engine.behave("web", Behaviour::never_healthy().saying(said).probe_saying("hunter2?"));
    let check = Some(Test::Shell("ping".into()));
    let secret = FileSpec {
        path: "/run/secrets/token".into(),
        content: b"abc123xyz\n".to_vec(),
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    let web = ServiceSpec { files: vec![secret], ..spec("web", check) };
    let mut plan = Plan::default();
    service(&mut plan, &web, Until::Healthy, &[]);
    engine.have_image("a");
    let failure = run_with(&engine, &Told::default(), &plan, &["hunter2"]).await.unwrap_err();
    assert_snapshot!(failure, @"
    green/web did not get healthy within 20 s
      last probe: exit code 1: [redacted]?
      its log ends with:
        connecting to mysql://app:[redacted]@db
        token [redacted] refused
      still running: green/web
    ");

    engine.unbuildable("shop/api", "`--pass hunter2` is no flag");
    let build = BuildSpec { tag: "shop/api:1".into(), ..BuildSpec::default() };
    let job = ImageJob { tag: "shop/api:1".into(), build: Some(build), ..ImageJob::default() };
    let mut plan = Plan::default();
    plan.push([], Action::GetImage(Box::new(job)), "build image shop/api:1", "");
    let failure = run_with(&engine, &Told::default(), &plan, &["hunter2"]).await.unwrap_err();
    assert_snapshot!(failure, @"
    image `shop/api:1` cannot be built: `--pass [redacted]` is no flag
        Step 1/1 : FROM scratch
    ");
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_check_that_ends_at_once_is_never_taken_for_ready() {
    let engine = Memory::new();
    engine.behave("web", Behaviour::exits_after(Duration::from_millis(150), 9));
    let mut plan = Plan::default();
    service(&mut plan, &spec("web", None), Until::Healthy, &[]);
    assert_snapshot!(fails(&engine, &plan).await, @"
    green/web ended with exit code 9
      its log is empty
    ");
}
