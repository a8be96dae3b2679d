//! Each use case goes wrong or dies at each of its calls of the engine: what serves goes on, nothing durable is lost, and the
//! next run ends well with nothing left over.

use std::time::Duration;

use super::{
    bake, clone,
    stage::{APP, DB, PROJECT, Stage},
    undo,
};
use crate::{
    engine::memory::{Behaviour, Fault},
    model::{Color, Container},
    ops::{self, OpsError},
};

const VOLUME: &str = "shop-devlocal-durable-data";
const LIVE_VOLUME: &str = "shop-devlocal-blue-files";
const IDLE_VOLUME: &str = "shop-devlocal-green-files";
const FAULTS: [Fault; 5] =
    [Fault::Fail, Fault::LoseAnswer, Fault::Stop, Fault::StopAfter, Fault::TakeBack];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    FirstUp,
    UpOverALiveRelease,
    FirstDeploy,
    DeployOverAnOldRelease,
    Switch,
    Rollback,
    RollbackToWhatIsGone,
    Cleanup,
    DurableUp,
    DurableApply,
    DurableDown,
    ScaleUp,
    ScaleDown,
    DeployWithClone,
    DeployOverAClone,
    SwitchToAClone,
    CleanupOfAClone,
    Down,
    DeployOverAVolume,
    DeployOfABuild,
    CleanupWithAHook,
    CleanupBeyondTheRetained,
    DeployBeyondTheRetained,
    Test,
    Share,
    BakeThatGoesBack,
    UndoneDeploy,
    DurableDownWithVolumes,
}

impl Case {
    fn stage(self) -> Stage {
        let service = |service: &str| APP.to_owned() + service;
        match self {
            Self::DeployOverAVolume => {
                let app = APP.replace("ports: [", "volumes: [\"files:/files\"], ports: [");
                Stage::of(PROJECT, &(app + "volumes: { files: }\n"))
            }
            Self::DeployOfABuild => {
                let stage = Stage::of(PROJECT, &service("  built: { build: ./built }\n"));
                stage.file("built/Dockerfile", "FROM scratch\nCOPY . /\n");
                stage
            }
            Self::CleanupWithAHook => {
                let project = PROJECT.replace("hooks: {", "hooks: { before_cleanup: [farewell],");
                let stage = Stage::of(&project, &service("  farewell: { image: tool }\n"));
                stage.engine.behave("farewell", Behaviour::exits(0));
                stage
            }
            Self::CleanupBeyondTheRetained | Self::DeployBeyondTheRetained => {
                Stage::of(&PROJECT.replace("app: {", "app: { retain: 1,"), APP)
            }
            Self::Test => {
                let project = format!("{PROJECT}checks: [{{ service: e2e }}]\n");
                let test = "  e2e: { image: tool, profiles: [test] }\n";
                let stage = Stage::of(&project, &service(test));
                stage.engine.behave("e2e", Behaviour::exits(0));
                stage
            }
            Self::DeployWithClone
            | Self::DeployOverAClone
            | Self::SwitchToAClone
            | Self::CleanupOfAClone => clone::stage(),
            _ => Stage::new(),
        }
    }

    async fn prepare(self, stage: &mut Stage) {
        if matches!(self, Self::FirstUp | Self::FirstDeploy | Self::DurableUp) {
            return;
        }
        stage.up().await.unwrap();
        stage.engine.set_volume_file(VOLUME, "ibdata1", b"rows");
        let changed = APP.replace("image: nginx, ports", "image: tool, ports");
        match self {
            Self::UpOverALiveRelease => stage.with_app(&changed),
            Self::DeployOverAnOldRelease | Self::Switch | Self::Share => {
                stage.with_app(&changed);
                stage.deploy().await.unwrap();
            }
            Self::BakeThatGoesBack => {
                stage.deploy().await.unwrap();
                bake::had(stage, 500, 6);
                stage.engine.behave("worker", Behaviour::stops_within(Duration::from_secs(2)));
            }
            Self::UndoneDeploy => {
                stage.engine.behave("shop-devlocal-green-cache-1", Behaviour::exits(1));
            }
            Self::Rollback | Self::RollbackToWhatIsGone | Self::Cleanup | Self::Down => {
                stage.with_app(&changed);
                stage.up().await.unwrap();
                if self == Self::RollbackToWhatIsGone {
                    ops::cleanup(&stage.session(), None, false).await.unwrap();
                }
            }
            Self::DurableApply => {
                stage.with_db(&DB.replace("    image:", "    tty: true\n    image:"));
            }
            Self::ScaleDown => {
                stage.scale("web", 3).await.unwrap();
            }
            Self::DeployWithClone | Self::Test | Self::CleanupWithAHook => {
                stage.deploy().await.unwrap();
            }
            Self::DeployOverAVolume => {
                stage.deploy().await.unwrap();
                stage.engine.set_volume_file(LIVE_VOLUME, "upload", b"a picture");
                stage.engine.set_volume_file(IDLE_VOLUME, "upload", b"of the last release");
            }
            Self::DeployOfABuild => stage.file("built/file", "changed"),
            Self::CleanupBeyondTheRetained | Self::DeployBeyondTheRetained => {
                for image in ["tool", "redis"] {
                    let image = format!("image: {image}, ports");
                    stage.with_app(&APP.replace("image: nginx, ports", &image));
                    stage.up().await.unwrap();
                }
            }
            Self::DeployOverAClone | Self::SwitchToAClone | Self::CleanupOfAClone => {
                clone::deploy(stage).await.unwrap();
            }
            _ => {}
        }
    }

    async fn run(self, stage: &Stage) -> Result<(), OpsError> {
        let session = stage.session();
        match self {
            Self::FirstUp | Self::UpOverALiveRelease => stage.up().await.map(|_| ()),
            Self::FirstDeploy | Self::DeployOverAnOldRelease => stage.deploy().await.map(|_| ()),
            Self::DeployOverAVolume | Self::DeployOfABuild | Self::DeployBeyondTheRetained => {
                stage.deploy().await.map(|_| ())
            }
            Self::Test => ops::test(&session, None, &ops::Only::default()).await.map(|_| ()),
            Self::Switch => stage.switch(Some(Color::Green)).await.map(|_| ()),
            Self::Rollback | Self::RollbackToWhatIsGone => {
                ops::rollback(&session, &ops::RollbackOptions::default()).await.map(|_| ())
            }
            Self::Cleanup | Self::CleanupWithAHook | Self::CleanupBeyondTheRetained => {
                ops::cleanup(&session, None, false).await.map(|_| ())
            }
            Self::DurableUp => ops::durable_up(&session, ops::Apply::No).await.map(|_| ()),
            Self::DurableApply => {
                ops::durable_up(&session, ops::Apply::AfterSnapshot).await.map(|_| ())
            }
            Self::DurableDown => ops::durable_down(&session, ops::Data::Stays).await.map(|_| ()),
            Self::ScaleUp => stage.scale("web", 3).await.map(|_| ()),
            Self::ScaleDown => stage.scale("web", 1).await.map(|_| ()),
            Self::DeployWithClone => clone::deploy(stage).await.map(|_| ()),
            Self::DeployOverAClone => stage.deploy().await.map(|_| ()),
            Self::SwitchToAClone => clone::switch(stage, Color::Green).await.map(|_| ()),
            Self::CleanupOfAClone => ops::cleanup(&session, None, false).await.map(|_| ()),
            Self::Down => super::down::down(stage).await.map(|_| ()),
            Self::Share => {
                ops::share(&session, ops::SwitchOptions::default(), 10).await.map(|_| ())
            }
            Self::BakeThatGoesBack => match ops::switch(&session, bake::OPTIONS).await {
                Err(OpsError::Exceeded { .. }) if stage.routing().live == Some(Color::Blue) => {
                    Ok(())
                }
                done => failed(done),
            },
            Self::UndoneDeploy => match ops::deploy(&session, undo::UNDO).await {
                Err(OpsError::Undone { kept: None, .. }) => Ok(()),
                done => failed(done),
            },
            Self::DurableDownWithVolumes => {
                ops::durable_down(&session, ops::Data::Goes).await.map(|_| ())
            }
        }
    }

    /// What is on the engine before is there after it.
    const fn keeps_data(self) -> bool {
        !matches!(self, Self::DurableDownWithVolumes)
    }

    /// What a person does after it: the same again. After a rollback that took place, that would be the way forth: its workers
    /// are seen to by a switch to where it led.
    async fn again(self, stage: &Stage) -> Result<(), OpsError> {
        // Killed while it was watched: nobody takes the traffic back but that person.
        if self == Self::BakeThatGoesBack && stage.routing().live == Some(Color::Green) {
            return stage.switch(Some(Color::Blue)).await.map(|_| ());
        }
        let back = matches!(self, Self::Rollback | Self::RollbackToWhatIsGone);
        if back && stage.routing().live == Some(Color::Blue) {
            return stage.switch(Some(Color::Blue)).await.map(|_| ());
        }
        self.run(stage).await
    }

    /// What serves and has to go on, whatever happens: names and ids of the running containers of the live color, and
    /// of the durable layer.
    fn serving(self, stage: &Stage) -> Vec<(String, String)> {
        let Some(live) = stage.routing().live else { return vec![] };
        let prefix = format!("shop-devlocal-{live}-");
        let moves = matches!(
            self,
            Self::Switch
                | Self::SwitchToAClone
                | Self::Rollback
                | Self::RollbackToWhatIsGone
                | Self::UpOverALiveRelease
                | Self::BakeThatGoesBack
        );
        let changes_durable =
            matches!(self, Self::DurableApply | Self::DurableDown | Self::DurableDownWithVolumes);
        let goes_on = |name: &str| match self {
            Self::Down => name.contains("-durable-"),
            // Workers move with the traffic.
            _ if moves && name.contains("-worker-") => false,
            Self::ScaleDown => !name.ends_with("web-2") && !name.ends_with("web-3"),
            _ => true,
        };
        let seen = stage.engine.seen().containers.into_iter();
        let durable = |name: &str| !changes_durable && name == "shop-devlocal-durable-db";
        seen.filter(|it| it.is_running() && (it.name.starts_with(&prefix) || durable(&it.name)))
            .filter(|it| goes_on(&it.name))
            .map(|it| (it.name, it.id))
            .collect()
    }
}

async fn survives(case: Case) {
    let mut stage = case.stage();
    case.prepare(&mut stage).await;
    stage.engine.forget_calls();
    case.run(&stage).await.unwrap();
    let (expected, live) = (stage.standing(), stage.routing().live);
    let calls = stage.engine.calls();
    for fault in FAULTS {
        for (n, call) in (1..).zip(&calls) {
            if fault != Fault::TakeBack || call.starts_with("create ") {
                Box::pin(struck(case, fault, (n, n == calls.len()), &expected, live)).await;
            }
        }
    }
}

/// Whether the process is dead after it.
const fn kills(fault: Fault) -> bool {
    !matches!(fault, Fault::Fail | Fault::LoseAnswer)
}

async fn struck(
    case: Case,
    fault: Fault,
    (n, last): (usize, bool),
    expected: &[String],
    live: Option<Color>,
) {
    let mut stage = case.stage();
    case.prepare(&mut stage).await;
    let (serving, was_live) = (case.serving(&stage), stage.routing().live);
    let files = |stage: &Stage| {
        [(VOLUME, "ibdata1"), (LIVE_VOLUME, "upload")]
            .map(|(volume, file)| stage.engine.volume_file(volume, file))
    };
    let data = files(&stage);
    stage.engine.forget_calls();
    stage.engine.fault_at(n, fault);
    let first = stage.engine.until_stopped(case.run(&stage)).await;
    let struck = stage.engine.calls().get(n - 1).cloned().unwrap_or_default();
    let at = format!("{case:?}, {fault:?} at call {n}, `{struck}`");
    // The number of polls differs by one from run to run, so the last call may not be made. Every other one is.
    if struck.is_empty() {
        assert!(last, "{at}: there is no such call");
        return;
    }
    if let Some(Ok(())) = first {
        assert!(!kills(fault), "{at}: it went on");
    }
    let still = |stage: &Stage| -> Vec<(String, String)> {
        let seen = stage.engine.seen().containers;
        seen.into_iter().filter(Container::is_running).map(|it| (it.name, it.id)).collect()
    };
    stage.engine.workers_of_one_color();
    let now = still(&stage);
    for one in &serving {
        assert!(now.contains(one), "{at}: {} serves no more", one.0);
    }
    let now_live = stage.routing().live;
    let may_be = case == Case::BakeThatGoesBack && now_live == Some(Color::Green);
    assert!(may_be || now_live == was_live || now_live == live, "{at}: {now_live:?} is live");

    if kills(fault) {
        for stack in stage.routing().stacks.values() {
            assert!(is_kept(&stage, &stack.release), "{at}: there is no way back to what is known");
        }
    }

    stage.next_process().await;
    let again = case.again(&stage).await;
    again.unwrap_or_else(|error| panic!("{at}: {error}\n{}", stage.notes.all()));
    // What the killed one had begun comes to its end.
    tokio::time::advance(Duration::from_secs(60)).await;
    // The volume of the history comes with the first record, which is no part of what was to be done.
    let shown = |standing: &[String]| -> Vec<String> {
        let history = |line: &&String| !line.contains("proxy-state") || case != Case::DurableUp;
        standing.iter().filter(history).cloned().collect()
    };
    assert_eq!(shown(&stage.standing()), shown(expected), "{at}");
    assert_eq!(stage.routing().live, live, "{at}");
    let data = if case.keeps_data() { data } else { [None, None] };
    assert_eq!(files(&stage), data, "{at}");
    assert_eq!(stage.engine.volume_file(IDLE_VOLUME, "upload"), None, "{at}: it is a fresh one");
    let removed = stage.engine.calls().contains(&format!("remove_volume {VOLUME}"));
    assert!(!removed || !case.keeps_data(), "{at}");
    if matches!(case, Case::FirstUp | Case::UpOverALiveRelease) {
        stage.engine.forget_calls();
        stage.up().await.unwrap();
        assert_eq!(stage.engine.changes(), Vec::<String>::new(), "{at}: the third has work left");
    }
}

/// It was to end with an error of its own.
fn failed<T>(done: Result<T, OpsError>) -> Result<(), OpsError> {
    Err(done.err().expect("it ends with an error"))
}

/// Whether a release could be deployed again.
fn is_kept(stage: &Stage, release: &str) -> bool {
    let files = (0..10).filter_map(|slot| {
        stage.engine.volume_file("shop-devlocal-proxy-state", &format!("releases/{slot}.json"))
    });
    files.map(|file| String::from_utf8(file).unwrap()).any(|file| file.contains(release))
}

macro_rules! survives {
    ($($name:ident: $case:ident,)*) => {
        $(#[tokio::test(start_paused = true)]
        async fn $name() {
            Box::pin(survives(Case::$case)).await;
        })*
    };
}

survives! {
    the_first_up_survives_a_fault_or_a_kill_at_any_call: FirstUp,
    an_up_over_a_live_release_survives_a_fault_or_a_kill_at_any_call: UpOverALiveRelease,
    the_first_deploy_survives_a_fault_or_a_kill_at_any_call: FirstDeploy,
    a_deploy_over_an_old_release_survives_a_fault_or_a_kill_at_any_call: DeployOverAnOldRelease,
    a_switch_survives_a_fault_or_a_kill_at_any_call: Switch,
    a_rollback_survives_a_fault_or_a_kill_at_any_call: Rollback,
    a_rollback_that_deploys_again_survives_a_fault_or_a_kill_at_any_call: RollbackToWhatIsGone,
    a_cleanup_survives_a_fault_or_a_kill_at_any_call: Cleanup,
    durable_up_survives_a_fault_or_a_kill_at_any_call: DurableUp,
    durable_up_apply_survives_a_fault_or_a_kill_at_any_call: DurableApply,
    durable_down_survives_a_fault_or_a_kill_at_any_call: DurableDown,
    scaling_up_survives_a_fault_or_a_kill_at_any_call: ScaleUp,
    scaling_down_survives_a_fault_or_a_kill_at_any_call: ScaleDown,
    a_deploy_with_a_clone_survives_a_fault_or_a_kill_at_any_call: DeployWithClone,
    a_deploy_over_a_clone_survives_a_fault_or_a_kill_at_any_call: DeployOverAClone,
    a_switch_to_a_clone_survives_a_fault_or_a_kill_at_any_call: SwitchToAClone,
    a_cleanup_of_a_clone_survives_a_fault_or_a_kill_at_any_call: CleanupOfAClone,
    a_down_survives_a_fault_or_a_kill_at_any_call: Down,
    a_deploy_over_a_volume_survives_a_fault_or_a_kill_at_any_call: DeployOverAVolume,
    a_deploy_of_a_build_survives_a_fault_or_a_kill_at_any_call: DeployOfABuild,
    a_cleanup_with_a_hook_survives_a_fault_or_a_kill_at_any_call: CleanupWithAHook,
    a_cleanup_beyond_the_retained_survives_a_fault_or_a_kill_at_any_call: CleanupBeyondTheRetained,
    a_deploy_beyond_the_retained_survives_a_fault_or_a_kill_at_any_call: DeployBeyondTheRetained,
    a_test_survives_a_fault_or_a_kill_at_any_call: Test,
    a_share_survives_a_fault_or_a_kill_at_any_call: Share,
    a_bake_that_goes_back_survives_a_fault_or_a_kill_at_any_call: BakeThatGoesBack,
    a_deploy_that_is_undone_survives_a_fault_or_a_kill_at_any_call: UndoneDeploy,
    durable_down_with_volumes_survives_a_fault_or_a_kill_at_any_call: DurableDownWithVolumes,
}
