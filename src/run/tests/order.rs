//! Order, concurrency, failure.

use std::time::Duration;

use futures_util::{FutureExt as _, future::LocalBoxFuture};
use tokio::time::Instant;

use super::{Told, engine, run, spec, start};
use crate::{
    engine::{
        Engine as _, EngineError,
        memory::{Behaviour, Fault, Memory},
    },
    model::{
        Color, Mount, ServiceSpec, Stack, VolumeSpec,
        control::{Answer, Line, Request},
        labels,
    },
    plan::{Action, ImageJob, Plan},
    run::{Event, Executor, Reporter as _, RunError, Secrets},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_step_begins_when_all_that_it_waits_for_is_done() {
    let engine = engine(&["a", "b", "c"]).await;
    engine.slow("start a", SECOND * 2).slow("start b", SECOND);
    let mut plan = Plan::default();
    let a = start(&mut plan, "a", &[]);
    let b = start(&mut plan, "b", &[]);
    start(&mut plan, "c", &[a, b]);
    let told = Told::default();
    run(&engine, &told, &plan).await.unwrap();
    assert_eq!(told.all(), ["begin a", "begin b", "done b", "done a", "begin c", "done c"]);
}

#[tokio::test(start_paused = true)]
async fn steps_that_do_not_wait_for_each_other_take_the_time_of_the_longest() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let engine = engine(&names).await;
    engine.slow("start", SECOND);
    let mut plan = Plan::default();
    for name in names {
        start(&mut plan, name, &[]);
    }
    let started = Instant::now();
    run(&engine, &Told::default(), &plan).await.unwrap();
    assert!(started.elapsed() < SECOND * 2, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn images_are_had_three_at_a_time() {
    let engine = Memory::new();
    let mut plan = Plan::default();
    for tag in ["a", "b", "c", "d", "e", "f", "g"] {
        engine.pullable(tag);
        let job = ImageJob { tag: tag.into(), pull: Some(tag.into()), ..ImageJob::default() };
        plan.push([], Action::GetImage(Box::new(job)), tag, "");
    }
    engine.slow("pull", SECOND);
    let started = Instant::now();
    run(&engine, &Told::default(), &plan).await.unwrap();
    let rounds = started.elapsed();
    assert!(rounds >= SECOND * 3 && rounds < SECOND * 4, "{rounds:?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_is_built_where_it_can_be() {
    let engine = Memory::new();
    engine.pullable("there");
    let job = |pull: Option<&str>, build: bool| {
        let mut plan = Plan::default();
        let build = build.then(|| crate::model::BuildSpec {
            tag: "mine:1".into(),
            ..crate::model::BuildSpec::default()
        });
        let job = ImageJob {
            tag: "mine:1".into(),
            pull: pull.map(str::to_owned),
            build,
            ..ImageJob::default()
        };
        plan.push([], Action::GetImage(Box::new(job)), "image", "");
        plan
    };
    let told = Told::default();
    run(&engine, &told, &job(Some("gone"), true)).await.unwrap();
    assert_eq!(engine.calls(), ["pull gone", "build mine:1"]);
    // Why it is not pulled, and what the builder says.
    let progress = "progress image";
    assert_eq!(told.all(), ["begin image", progress, progress, "done image"]);
    run(&engine, &told, &job(Some("there"), true)).await.unwrap();
    assert!(engine.calls().last().unwrap().ends_with(" mine:1"), "the pulled one gets its name");
    assert!(engine.calls().last().unwrap().starts_with("tag "));
    assert!(run(&engine, &told, &job(Some("gone"), false)).await.is_err());
    assert!(run(&engine, &told, &job(None, false)).await.is_err());
}

/// Makes and starts `web` and tells the proxy of its stack, with something of two seconds to be done before that.
async fn makes_known(engine: &Memory, told: &Told) -> Result<Duration, RunError> {
    let proxy = ServiceSpec { stdin_open: true, ..spec("proxy", None) };
    engine.have_image("a").create(&proxy).await.unwrap();
    engine.start("proxy").await.unwrap();
    engine.on_ask(|line| {
        let line: Line<Request> = serde_json::from_str(line).unwrap();
        serde_json::to_string(&Line { id: line.id, body: Answer::Done }).unwrap()
    });
    let mut plan = Plan::default();
    let made = plan.push([], Action::Create(Box::new(spec("web", None))), "create web", "");
    let web = start(&mut plan, "web", &[made]);
    let stack: Stack =
        serde_json::from_str(r#"{ "release": "r1", "created": "", "routes": [] }"#).unwrap();
    let request = Request::Put { color: Color::Green, stack, drain_ms: 0 };
    plan.push([web], Action::Tell(Box::new(request)), "tell", "");
    #[expect(clippy::disallowed_methods, reason = "the clock is the test's")]
    let keep = || -> LocalBoxFuture<'_, ()> {
        told.on(Event::Note("keep"));
        tokio::time::sleep(SECOND * 2).map(|()| told.on(Event::Note("kept"))).boxed_local()
    };
    let executor = Executor {
        engine,
        proxy: "proxy",
        reporter: told,
        secrets: &Secrets::new(Vec::<&str>::new()),
        before_known: Some(&keep),
        heard: std::cell::RefCell::default(),
        outputs: std::cell::RefCell::default(),
        said: std::cell::RefCell::default(),
    };
    let started = Instant::now();
    executor.run(&plan).await.map_err(|failure| failure.source)?;
    Ok(started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_stack_is_known_is_done_while_its_services_start() {
    let (engine, told) = (Memory::new(), Told::default());
    engine.slow("create web", SECOND).slow("start web", SECOND * 4);
    let took = makes_known(&engine, &told).await.unwrap();
    assert!(took < SECOND * 6, "{took:?}");
    assert_eq!(
        told.all(),
        [
            "begin create web",
            "done create web",
            "note keep",
            "begin web",
            "note kept",
            "done web",
            "begin tell",
            "done tell"
        ]
    );
    // Where it takes longest, the proxy is told after it.
    let (engine, told) = (Memory::new(), Told::default());
    makes_known(&engine, &told).await.unwrap();
    assert_eq!(told.all()[4..], ["done web", "note kept", "begin tell", "done tell"]);
    // What has begun is ended also where a start fails.
    let (engine, told) = (Memory::new(), Told::default());
    engine.fault_on("start web", Fault::Fail);
    makes_known(&engine, &told).await.unwrap_err();
    assert_eq!(told.all()[3..], ["begin web", "failed web", "note kept"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_begins_and_what_runs_is_let_go() {
    let engine = engine(&["a", "b", "c", "d"]).await;
    engine.slow("start b", SECOND * 60).slow("start a", SECOND).fault_on("start a", Fault::Fail);
    let mut plan = Plan::default();
    let a = start(&mut plan, "a", &[]);
    let b = start(&mut plan, "b", &[]);
    start(&mut plan, "c", &[a]);
    start(&mut plan, "d", &[b]);
    let told = Told::default();
    let started = Instant::now();
    let failure = run(&engine, &told, &plan).await.unwrap_err();
    assert!(started.elapsed() < SECOND * 5, "it does not wait for `b`");
    assert_eq!(failure.title, "a");
    assert!(matches!(failure.source, RunError::Service { .. }), "{failure}");
    assert_eq!(told.all(), ["begin a", "begin b", "failed a"]);
    assert!(!engine.calls().iter().any(|call| call == "start c" || call == "start d"));
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_is_dropped_begins_nothing_more() {
    let engine = engine(&["a", "b"]).await;
    engine.slow("start a", SECOND * 5).behave("a", Behaviour::runs());
    let mut plan = Plan::default();
    let a = start(&mut plan, "a", &[]);
    start(&mut plan, "b", &[a]);
    let told = Told::default();
    let cut = tokio::time::timeout(SECOND, run(&engine, &told, &plan)).await;
    assert!(cut.is_err());
    assert_eq!(told.all(), ["begin a", "note stopped after 0 of 2 steps"]);
    assert!(!engine.calls().contains(&"start b".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn two_projects_that_start_at_once_share_the_authority_of_the_host_and_nothing_else() {
    let engine = Memory::new();
    let make = async |layer: &str| {
        let labels = [(labels::LAYER.to_owned(), layer.to_owned())].into();
        let spec = VolumeSpec { name: layer.to_owned(), labels, ..VolumeSpec::default() };
        let mut plan = Plan::default();
        plan.push([], Action::CreateVolume(Box::new(spec)), "create volume", "not found");
        run(&engine, &Told::default(), &plan).await
    };
    make("ca").await.unwrap();
    make("ca").await.unwrap();
    make("app").await.unwrap();
    let taken = make("app").await.unwrap_err().source;
    assert!(matches!(taken, RunError::Engine(EngineError::NameTaken { .. })), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_plan_is_done_at_once() {
    run(&Memory::new(), &Told::default(), &Plan::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_cut_short_tells_how_far_it_came_and_what_was_started() {
    let engine = engine(&["a", "b"]).await;
    engine.slow("start b", SECOND * 60);
    let mut plan = Plan::default();
    start(&mut plan, "a", &[]);
    start(&mut plan, "b", &[]);
    let told = Told::default();
    assert!(tokio::time::timeout(SECOND, run(&engine, &told, &plan)).await.is_err());
    assert_eq!(told.all().last().unwrap(), "note stopped after 1 of 2 steps; started: `a`");
}

#[tokio::test(start_paused = true)]
async fn what_never_ran_and_has_the_name_is_made_anew_and_what_ran_or_is_a_strangers_is_left() {
    let create = async |engine: &Memory, project: &str| {
        let labels = [(labels::PROJECT.to_owned(), project.to_owned())].into();
        let spec = ServiceSpec { labels, ..spec("a", None) };
        let mut plan = Plan::default();
        plan.push([], Action::Create(Box::new(spec)), "create a", "not found");
        run(engine, &Told::default(), &plan).await.map_err(|failure| failure.source.to_string())
    };
    let engine = engine(&[]).await;
    let id = |engine: &Memory| engine.seen().container("a").unwrap().id.clone();
    create(&engine, "shop").await.unwrap();
    let first = id(&engine);
    create(&engine, "shop").await.unwrap();
    let second = id(&engine);
    assert_ne!(first, second);
    let taken = "the name `a` is taken by another container";
    assert!(create(&engine, "other").await.unwrap_err().contains(taken));
    engine.start("a").await.unwrap();
    assert!(create(&engine, "shop").await.unwrap_err().contains(taken));
    assert_eq!(id(&engine), second);
}

#[tokio::test(start_paused = true)]
async fn what_ran_and_whose_removal_came_to_no_end_is_made_anew_and_its_unnamed_volumes_stay() {
    let engine = engine(&[]).await;
    let data = Mount::Volume {
        source: None,
        target: "/data".to_owned(),
        read_only: false,
        nocopy: false,
        subpath: None,
    };
    let spec = ServiceSpec { mounts: vec![data], ..spec("a", None) };
    let create = async || {
        let mut plan = Plan::default();
        plan.push([], Action::Create(Box::new(spec.clone())), "create a", "not found");
        run(&engine, &Told::default(), &plan).await.unwrap();
        engine.seen().container("a").unwrap().volumes.clone()
    };
    let never_ran = create().await;
    let ran = create().await;
    assert!(engine.seen().volume(&never_ran[0]).is_none());
    engine.start("a").await.unwrap();
    engine.set_volume_file(&ran[0], "rows", b"42");
    engine.dies("a");
    assert_ne!(create().await, ran);
    assert_eq!(engine.volume_file(&ran[0], "rows").unwrap(), b"42");
}
