//! The rules that the engine in memory shares with a real one.

use std::{collections::BTreeMap, time::Duration};

use super::{Behaviour, Fault, Memory};
use crate::{
    engine::{Engine, EngineError, LogOptions, Output},
    model::{
        Attachment, FileSpec, Healthcheck, Mount, NetworkSpec, Publish, Restart, ServiceSpec,
        State, Test, VolumeSpec, labels,
    },
};

const LIMIT: Duration = Duration::from_secs(5);

fn spec(name: &str) -> ServiceSpec {
    ServiceSpec { name: name.into(), image: "a:1".into(), ..ServiceSpec::default() }
}

fn network(name: &str) -> NetworkSpec {
    NetworkSpec { name: name.into(), ..NetworkSpec::default() }
}

fn volume(name: &str) -> VolumeSpec {
    VolumeSpec { name: name.into(), ..VolumeSpec::default() }
}

fn on(network: &str) -> Attachment {
    Attachment { network: network.into(), ..Attachment::default() }
}

async fn run(engine: &Memory, spec: &ServiceSpec) {
    engine.create(spec).await.unwrap();
    engine.start(&spec.name).await.unwrap();
}

#[tokio::test]
async fn names_are_unique_and_what_a_container_needs_must_be_there() {
    let engine = Memory::new();
    let mut web = spec("web");
    assert!(matches!(engine.create(&web).await, Err(EngineError::NoImage { .. })));
    engine.have_image("a:1");
    web.networks = vec![on("n")];
    assert!(engine.create(&web).await.unwrap_err().to_string().contains("network n not found"));
    engine.create_network(&network("n")).await.unwrap();
    web.mounts = vec![Mount::Volume {
        source: Some("v".into()),
        target: "/v".into(),
        read_only: false,
        nocopy: false,
        subpath: None,
    }];
    assert!(engine.create(&web).await.unwrap_err().to_string().contains("volume v not found"));
    engine.create_volume(&volume("v")).await.unwrap();
    engine.create(&web).await.unwrap();
    for taken in [
        engine.create(&web).await,
        engine.create_network(&network("n")).await,
        engine.create_volume(&volume("v")).await,
    ] {
        assert!(matches!(taken, Err(EngineError::NameTaken { .. })));
    }
    engine.start("web").await.unwrap();
    assert!(engine.remove_network("n").await.is_err());
    assert!(engine.remove_volume("v").await.is_err());
    engine.remove("web").await.unwrap();
    engine.remove_network("n").await.unwrap();
    engine.remove_volume("v").await.unwrap();
    assert!(engine.seen().containers.is_empty() && engine.seen().volumes.is_empty());
}

#[tokio::test]
async fn a_port_is_bound_by_one_running_container() {
    let engine = Memory::new();
    engine.have_image("a:1");
    let publish = |ip: &str, port| Publish {
        host_ip: ip.into(),
        host_port: port,
        container_port: 80,
        protocol: "tcp".into(),
    };
    for (name, ip, port) in [
        ("a", "127.0.0.1", Some(80)),
        ("b", "0.0.0.0", Some(80)),
        ("c", "127.0.0.2", Some(80)),
        ("d", "127.0.0.1", None),
    ] {
        let spec = ServiceSpec { ports: vec![publish(ip, port)], ..spec(name) };
        engine.create(&spec).await.unwrap();
    }
    engine.start("a").await.unwrap();
    assert!(matches!(engine.start("b").await, Err(EngineError::PortTaken { port: 80, .. })));
    engine.start("c").await.unwrap();
    engine.start("d").await.unwrap();
    assert!(engine.inspect("d").await.unwrap().unwrap().ports[0].host_port.is_some());
    engine.stop("a", None).await.unwrap();
    engine.stop("c", None).await.unwrap();
    engine.start("b").await.unwrap();
}

#[tokio::test]
async fn containers_behave_as_told() {
    let engine = Memory::new();
    engine.have_image("a:1");
    let of = |name: &str, service: &str| ServiceSpec {
        labels: BTreeMap::from([(labels::SERVICE.to_owned(), service.to_owned())]),
        ..spec(name)
    };
    engine
        .behave("slow", Behaviour::healthy_after(2).probe_saying("not yet"))
        .behave("sick", Behaviour::never_healthy())
        .behave("job", Behaviour::exits(3).saying("one\ntwo\nthree"))
        .behave("eater", Behaviour::runs_out_of_memory())
        .behave("broken", Behaviour::cannot_start("no such program"));
    run(&engine, &of("p-slow-1", "slow")).await;
    run(&engine, &of("p-sick-1", "sick")).await;
    run(&engine, &of("p-job-1", "job")).await;
    let probe = async |name: &str| engine.exec(name, &["true".into()], LIMIT).await.unwrap();
    assert_eq!(probe("p-slow-1").await, Output { code: 1, text: "not yet".into() });
    assert_eq!(probe("p-slow-1").await.code, 1);
    assert_eq!(probe("p-slow-1").await.code, 0);
    assert_eq!(probe("p-sick-1").await.code, 1);
    assert_eq!(engine.wait("p-job-1").await.unwrap(), 3);
    assert!(engine.exec("p-job-1", &[], LIMIT).await.is_err());
    let mut log = engine
        .logs("p-job-1", &LogOptions { tail: Some(2), ..LogOptions::default() })
        .await
        .unwrap();
    let mut lines = vec![];
    while let Some(chunk) = futures_util::StreamExt::next(&mut log).await {
        lines.push(chunk.unwrap().bytes);
    }
    assert_eq!(lines, ["two\n", "three\n"]);

    let eater = ServiceSpec { restart: Restart::Always, ..of("eater", "eater") };
    run(&engine, &eater).await;
    let seen = engine.inspect("eater").await.unwrap().unwrap();
    assert_eq!((seen.state, seen.oom_killed, seen.restarts), (State::Restarting, true, 1));
    engine.create(&of("broken", "broken")).await.unwrap();
    assert!(engine.start("broken").await.unwrap_err().to_string().contains("no such program"));
}

#[tokio::test(start_paused = true)]
async fn time_passes_in_the_engine() {
    let engine = Memory::new();
    engine.have_image("a:1").slow("start", Duration::from_secs(2));
    engine.behave("job", Behaviour::exits_after(Duration::from_mins(1), 0));
    let start = tokio::time::Instant::now();
    run(&engine, &spec("job")).await;
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(engine.wait("job").await.unwrap(), 0);
    assert_eq!(start.elapsed(), Duration::from_secs(62));
    engine.create(&spec("web")).await.unwrap();
    engine.start("web").await.unwrap();
    let ended = async {
        tokio::task::yield_now().await;
        engine.end("web", 9);
    };
    assert_eq!(tokio::join!(engine.wait("web"), ended).0.unwrap(), 9);
}

#[tokio::test]
async fn files_under_a_volume_are_the_volumes() {
    let engine = Memory::new();
    engine.have_image("a:1");
    engine.create_volume(&volume("state")).await.unwrap();
    let file = |path: &str, text: &str| FileSpec {
        path: path.into(),
        content: text.into(),
        mode: 0o600,
        uid: 0,
        gid: 0,
    };
    let spec = ServiceSpec {
        mounts: vec![Mount::Volume {
            source: Some("state".into()),
            target: "/state".into(),
            read_only: false,
            nocopy: false,
            subpath: None,
        }],
        files: vec![file("/etc/own", "own")],
        ..spec("proxy")
    };
    engine.create(&spec).await.unwrap();
    assert_eq!(engine.read_folder("proxy", "/state").await.unwrap(), Some(vec![]));
    engine
        .write_files(
            "proxy",
            &[file("/state/a", "a"), file("/state/history/1", "1"), file("/etc/x", "x")],
        )
        .await
        .unwrap();
    engine.remove("proxy").await.unwrap();
    engine.create(&spec).await.unwrap();
    let read = async |path: &str| engine.read_file("proxy", path).await.unwrap();
    assert_eq!(read("/state/a").await, Some(b"a".to_vec()));
    assert_eq!(read("/etc/own").await, Some(b"own".to_vec()));
    assert_eq!(read("/etc/x").await, None);
    assert_eq!(
        engine.read_folder("proxy", "/state").await.unwrap(),
        Some(vec![("a".into(), b"a".to_vec())])
    );
    assert_eq!(
        engine.read_folder("proxy", "/state/history").await.unwrap(),
        Some(vec![("1".into(), b"1".to_vec())])
    );
    assert_eq!(engine.read_folder("proxy", "/none").await.unwrap(), None);
    engine.set_volume_file("state", "/a", b"b");
    assert_eq!(
        (read("/state/a").await, engine.volume_file("state", "history/1")),
        (Some(b"b".to_vec()), Some(b"1".to_vec()))
    );
    assert!(matches!(engine.read_file("nobody", "/a").await, Err(EngineError::NoContainer { .. })));
}

#[tokio::test]
async fn images_are_pulled_built_tagged_and_removed() {
    let engine = Memory::new();
    engine.pullable("a:1").unbuildable("bad", "no");
    assert!(matches!(engine.pull("b:1", None, &|_| {}).await, Err(EngineError::Pull { .. })));
    let image = engine.pull("a:1", None, &|_| {}).await.unwrap();
    engine.tag("a:1", "c:1").await.unwrap();
    assert_eq!(engine.image("c:1").await.unwrap().unwrap().id, image.id);
    let plan = |tag: &str| crate::model::BuildSpec {
        tag: tag.into(),
        labels: BTreeMap::from([("l".into(), "1".into())]),
        ..Default::default()
    };
    assert!(matches!(engine.build(&plan("bad:1"), &|_| {}).await, Err(EngineError::Build { .. })));
    let built = engine.build(&plan("good:1"), &|_| {}).await.unwrap();
    assert_eq!(engine.images("l", Some("1")).await.unwrap(), std::slice::from_ref(&built));
    let again = engine.build(&plan("good:1"), &|_| {}).await.unwrap();
    assert_ne!(again.id, built.id);
    engine.create(&spec("user")).await.unwrap();
    engine.remove_image("c:1").await.unwrap();
    engine.remove_image("a:1").await.unwrap();
    assert!(engine.image("a:1").await.unwrap().is_some(), "in use");
    engine.remove_image("good:1").await.unwrap();
    assert!(engine.image("good:1").await.unwrap().is_none());
}

#[tokio::test]
async fn an_images_check_is_effective_where_the_service_has_none() {
    let engine = Memory::new();
    let check = |test| Healthcheck {
        test,
        interval: None,
        timeout: None,
        retries: Some(3),
        start_period: None,
        start_interval: None,
    };
    engine.have_image_with_check("a:1", check(Test::Shell("image".into())));
    let with = async |name: &str, own: Option<Test>| {
        engine.create(&ServiceSpec { healthcheck: own.map(check), ..spec(name) }).await.unwrap();
        engine.inspect(name).await.unwrap().unwrap().healthcheck.unwrap().test
    };
    assert_eq!(with("a", None).await, Test::Shell("image".into()));
    assert_eq!(with("b", Some(Test::Inherit)).await, Test::Shell("image".into()));
    assert_eq!(with("c", Some(Test::None)).await, Test::None);
}

#[tokio::test]
async fn questions_are_answered_by_the_test() {
    let engine = Memory::new();
    engine.have_image("a:1").on_ask(|line| format!("noise\nanswer {line}\n"));
    let is_answer = |line: &str| line.starts_with("answer");
    engine.create(&ServiceSpec { stdin_open: true, ..spec("proxy") }).await.unwrap();
    assert!(engine.ask("proxy", "x", &is_answer, LIMIT).await.is_err(), "it does not run");
    engine.start("proxy").await.unwrap();
    assert_eq!(engine.ask("proxy", "x", &is_answer, LIMIT).await.unwrap(), "answer x");
    let none = engine.ask("proxy", "x", &|_| false, LIMIT).await;
    assert!(matches!(none, Err(EngineError::TimedOut { .. })));
}

#[tokio::test]
async fn faults_strike_where_they_are_told_to() {
    let work = async |engine: &Memory| -> Result<(), EngineError> {
        engine.create(&spec("a")).await?;
        engine.start("a").await
    };
    let engine = || {
        let engine = Memory::new();
        engine.have_image("a:1");
        engine
    };
    let state = |engine: &Memory| engine.seen().containers.first().map(|it| it.state);
    let running = Some(State::Running { health: None });

    let failing = engine();
    assert!(work(failing.fail_at(2)).await.is_err());
    assert_eq!(state(&failing), Some(State::Created));
    assert_eq!(failing.calls(), ["create a", "start a"]);

    let lost = engine();
    assert!(work(lost.fault_on("start a", Fault::LoseAnswer)).await.is_err());
    assert_eq!(state(&lost), running);

    let before = engine();
    assert!(before.until_stopped(work(before.stop_at(2))).await.is_none());
    assert_eq!(state(&before), Some(State::Created));
    before.heal().start("a").await.unwrap();
    assert_eq!(state(&before), running);

    let after = engine();
    assert!(after.until_stopped(work(after.fault_at(2, Fault::StopAfter))).await.is_none());
    assert_eq!(state(&after), running);
    assert_eq!(
        after.until_stopped(after.observe()).await.map(|_| ()),
        None,
        "a killed process calls no more"
    );
}
