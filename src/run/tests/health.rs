//! Waiting for containers, and what is told of those that do not come up.

use insta::assert_snapshot;
use tokio::time::Instant;

use super::{Told, run, spec, start, wait};
use crate::{
    engine::{
        Engine as _, Output,
        memory::{Behaviour, Memory},
    },
    model::{
        Healthcheck, Restart, ServiceSpec, Test,
        control::{Answer, Line, Request},
    },
    plan::{Plan, Until},
    run::{Failure, RunError},
};

fn shell() -> Test {
    Test::Shell("ping".into())
}

/// Starts a container and waits for it.
async fn comes_up(engine: &Memory, spec: &ServiceSpec, until: Until) -> Result<(), Failure> {
    engine.have_image("a").create(spec).await.unwrap();
    let mut plan = Plan::default();
    let started = start(&mut plan, &spec.name, &[]);
    wait(&mut plan, &spec.name, until, &[started]);
    run(engine, &Told::default(), &plan).await
}

async fn evidence(behaviour: Behaviour, spec: &ServiceSpec, until: Until) -> String {
    let engine = Memory::new();
    engine.behave(&spec.name, behaviour);
    let failure = comes_up(&engine, spec, until).await.unwrap_err();
    assert!(matches!(failure.source, RunError::NotHealthy(_)), "{failure}");
    failure.to_string()
}

#[tokio::test(start_paused = true)]
async fn without_a_health_check_a_container_is_ready_when_it_runs() {
    let engine = Memory::new();
    comes_up(&engine, &spec("web", None), Until::Healthy).await.unwrap();
    assert!(!engine.calls().iter().any(|call| call.starts_with("exec")));
}

#[tokio::test(start_paused = true)]
async fn a_health_check_is_asked_at_once_and_until_it_passes() {
    let engine = Memory::new();
    engine.behave("web", Behaviour::healthy_after(4));
    let started = Instant::now();
    comes_up(&engine, &spec("web", Some(shell())), Until::Healthy).await.unwrap();
    let probes: Vec<String> =
        engine.calls().into_iter().filter(|call| call.starts_with("exec")).collect();
    assert_eq!(probes.len(), 5);
    assert_eq!(probes[0], "exec web: /bin/sh -c ping");
    assert!(started.elapsed().as_secs() < 2, "no wait for an interval of 30 s");
}

#[tokio::test(start_paused = true)]
async fn the_images_own_check_counts_where_the_files_have_none() {
    let engine = Memory::new();
    let check = Healthcheck {
        test: Test::Shell("own".into()),
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    };
    engine.have_image_with_check("checked", check);
    let web = ServiceSpec { image: "checked".into(), ..spec("web", None) };
    comes_up(&engine, &web, Until::Healthy).await.unwrap();
    assert!(engine.calls().contains(&"exec web: /bin/sh -c own".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_never_passes_is_told_with_its_last_output_and_the_log() {
    let sick = Behaviour::never_healthy().probe_saying("connection refused\n").saying("booting\n");
    assert_snapshot!(evidence(sick, &spec("web", Some(shell())), Until::Healthy).await, @"
    green/web did not get healthy within 20 s
      last probe: exit code 1: connection refused
      its log ends with:
        booting
      still running: green/web
    ");
}

#[tokio::test(start_paused = true)]
async fn the_log_is_cut_to_its_last_twenty_lines() {
    let log: String = (1..=50).map(|n| format!("line {n}\n")).collect();
    let text = evidence(Behaviour::exits(1).saying(&log), &spec("web", None), Until::Healthy).await;
    assert!(!text.contains("line 30\n") && text.contains("line 31\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_is_told_at_once() {
    let started = Instant::now();
    let web = spec("web", Some(shell()));
    let text = evidence(Behaviour::exits(3).saying("no config\n"), &web, Until::Healthy).await;
    assert!(started.elapsed().as_secs() < 2);
    assert_snapshot!(text, @"
    green/web ended with exit code 3
      its log ends with:
        no config
    ");
    let text = evidence(Behaviour::exits(0), &web, Until::Healthy).await;
    assert!(text.contains("ended with exit code 0, but is to run on"), "{text}");
    let text = evidence(Behaviour::runs_out_of_memory(), &web, Until::Healthy).await;
    assert!(text.contains("was killed (exit code 137): out of memory"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_restarts_is_not_said_to_be_unstarted() {
    let web = ServiceSpec { restart: Restart::Always, ..spec("web", None) };
    let text = evidence(Behaviour::exits(2), &web, Until::Healthy).await;
    assert!(text.contains("it ended with exit code 2 and restarts"), "{text}");
    assert!(text.contains("restarts: 1"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_job_is_done_when_it_ended_well() {
    let engine = Memory::new();
    engine.behave("seed", Behaviour::exits_after(std::time::Duration::from_secs(5), 0));
    let started = Instant::now();
    comes_up(&engine, &spec("seed", Some(shell())), Until::Completed).await.unwrap();
    assert!((5..8).contains(&started.elapsed().as_secs()));
    assert!(!engine.calls().iter().any(|call| call.starts_with("exec")), "its check is not asked");
    let text = evidence(Behaviour::exits(1), &spec("seed", None), Until::Completed).await;
    assert!(text.contains("ended with exit code 1"), "{text}");
    let text = evidence(Behaviour::runs(), &spec("seed", None), Until::Completed).await;
    assert!(text.contains("did not end within 20 s"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_removed_meanwhile_is_told() {
    let engine = Memory::new();
    engine.have_image("a").create(&spec("web", None)).await.unwrap();
    let mut plan = Plan::default();
    wait(&mut plan, "gone", Until::Healthy, &[]);
    let failure = run(&engine, &Told::default(), &plan).await.unwrap_err().to_string();
    assert!(failure.contains("green/gone is gone: its container was removed"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_routed_service_is_ready_when_its_check_passes_and_the_proxy_reaches_it() {
    let engine = Memory::new();
    let proxy = ServiceSpec { stdin_open: true, ..spec("proxy", None) };
    engine.have_image("a").create(&proxy).await.unwrap();
    engine.start("proxy").await.unwrap();
    let asked = std::sync::atomic::AtomicU32::new(0);
    engine.on_ask(move |line| {
        let line: Line<Request> = serde_json::from_str(line).unwrap();
        let Request::Probe { host, port } = line.body else { return String::new() };
        let target = format!("{host}:{port}");
        let body = match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            // The second port is asked once the first one answers.
            0 | 1 | 2 | 4 => Answer::NotHealthy { target, reason: "connection refused".into() },
            _ => Answer::Done,
        };
        serde_json::to_string(&Line { id: line.id, body }).unwrap()
    });
    engine.behave("web", Behaviour::healthy_after(2));
    let until = Until::Accepting { host: "green-web".into(), ports: vec![80, 81] };
    comes_up(&engine, &spec("web", Some(shell())), until.clone()).await.unwrap();
    let count = |word: &str| engine.calls().iter().filter(|call| call.starts_with(word)).count();
    assert_eq!((count("exec"), count("ask")), (7, 7));

    engine.on_ask(|line| {
        let line: Line<Request> = serde_json::from_str(line).unwrap();
        let (target, reason) = ("green-api:80".into(), "connection refused".into());
        let body = Answer::NotHealthy { target, reason };
        serde_json::to_string(&Line { id: line.id, body }).unwrap()
    });
    let failure = comes_up(&engine, &spec("api", None), until).await.unwrap_err().to_string();
    assert!(failure.contains("green-api:80: connection refused"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_ends_with_another_code_once_is_asked_again() {
    let engine = Memory::new();
    let asked = std::sync::atomic::AtomicU32::new(0);
    engine.on_exec(move |_, _| {
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        Some(Output { code: i64::from(first), text: "half-way".into() })
    });
    comes_up(&engine, &spec("web", Some(shell())), Until::Healthy).await.unwrap();
}
