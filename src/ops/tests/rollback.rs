//! The way back: to what stands, and to what was cleaned up or replaced.

use std::time::Duration;

use super::stage::{APP, PROJECT, Stage};
use crate::{
    engine::{
        Engine as _,
        memory::{Behaviour, Fault},
    },
    model::{Color, labels},
    ops::{self, OpsError, RollbackOptions},
};

const STATE: &str = "shop-devlocal-proxy-state";

async fn back(stage: &Stage) -> Result<ops::Switched, OpsError> {
    ops::rollback(&stage.session(), &RollbackOptions::default()).await
}

async fn back_to(stage: &Stage, to: &str) -> Result<ops::Switched, OpsError> {
    ops::rollback(&stage.session(), &RollbackOptions { to: Some(to.to_owned()) }).await
}

fn release(stage: &Stage, color: Color) -> String {
    stage.routing().stacks[&color].release.clone()
}

/// Blue was live, green is, and blue is cleaned up. The checkout is that of a third release.
async fn cleaned_up(project: &str, app: &str, prepare: impl Fn(&mut Stage)) -> (Stage, String) {
    let mut stage = Stage::of(project, app);
    prepare(&mut stage);
    stage.up().await.unwrap();
    let first = release(&stage, Color::Blue);
    stage.with_app(&app.replace("image: nginx", "image: tool"));
    stage.up().await.unwrap();
    ops::cleanup(&stage.session(), None, false).await.unwrap();
    stage.with_app("services: { web: { image: redis, ports: [\"8000:80\"] } }");
    (stage, first)
}

fn container(stage: &Stage, name: &str) -> crate::model::Container {
    let seen = stage.engine.seen();
    seen.container(&format!("shop-devlocal-{name}")).cloned().unwrap_or_else(|| panic!("{name}"))
}

#[tokio::test(start_paused = true)]
async fn a_release_that_was_cleaned_up_comes_back_from_its_own_images_and_its_own_stack() {
    let (stage, first) = cleaned_up(PROJECT, APP, |_| ()).await;
    let nginx = stage.engine.image("nginx").await.unwrap().unwrap().id;
    // The name stands for something newer by now.
    stage.engine.have_image("nginx");
    let back = back(&stage).await.unwrap();
    assert_eq!((back.from, back.to, &back.release), (Some(Color::Green), Color::Blue, &first));
    let web = container(&stage, "blue-web-1");
    assert_eq!((web.image_id.as_str(), web.is_running()), (nginx.as_str(), true));
    assert_eq!(web.label(labels::RELEASE), Some(first.as_str()));
    assert!(container(&stage, "blue-cache-1").is_running());
    assert!(container(&stage, "blue-worker-1").is_running());
    let commands: Vec<String> =
        stage.history().await.iter().rev().take(2).map(|change| change.command.clone()).collect();
    assert_eq!(commands, ["rollback", "deploy"]);
    // And forth again, to what was live before.
    assert_eq!(self::back(&stage).await.unwrap().to, Color::Green);
}

#[tokio::test(start_paused = true)]
async fn each_change_that_brings_a_release_up_or_live_tells_its_images_by_id_and_digest() {
    let (stage, first) = cleaned_up(PROJECT, APP, |_| ()).await;
    let nginx = stage.engine.image("nginx").await.unwrap().unwrap();
    back(&stage).await.unwrap();
    let mut changes = stage.history().await;
    changes.retain(|change| change.release.as_ref() == Some(&first));
    let commands: Vec<&str> = changes.iter().map(|change| change.command.as_str()).collect();
    assert_eq!(commands, ["deploy", "switch", "deploy", "rollback"]);
    for change in &changes {
        assert_eq!(change.image_ids.get("web"), Some(&nginx.id), "{change:?}");
        assert_eq!(change.digests.get("web"), nginx.digests.first(), "{change:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_a_killed_switch_was_stopping_runs_after_the_way_back() {
    let worker = "shop-devlocal-blue-worker-1";
    for by_switch in [false, true] {
        let stage = Stage::new();
        stage.up().await.unwrap();
        stage.deploy().await.unwrap();
        stage.engine.behave(worker, Behaviour::stops_within(Duration::from_secs(8)));
        stage.engine.fault_on(&format!("stop {worker}"), Fault::StopAfter);
        let green = stage.switch(Some(Color::Green));
        assert!(stage.engine.until_stopped(green).await.is_none(), "it was killed");
        assert_eq!(stage.routing().live, Some(Color::Green));
        assert!(container(&stage, "blue-worker-1").is_running(), "it is stopping still");
        stage.next_process().await;
        let way_back =
            if by_switch { stage.switch(Some(Color::Blue)).await } else { back(&stage).await };
        assert_eq!(way_back.unwrap().to, Color::Blue);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(container(&stage, "blue-worker-1").is_running(), "{by_switch}: it ended later");
        assert!(!container(&stage, "green-worker-1").is_running());
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_a_later_deployment_replaced_comes_back() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    let first = release(&stage, Color::Blue);
    stage.deploy().await.unwrap();
    stage.switch(None).await.unwrap();
    stage.deploy().await.unwrap();
    assert_ne!(release(&stage, Color::Blue), first);
    assert_eq!(back(&stage).await.unwrap().release, first);
    assert_eq!(release(&stage, Color::Blue), first);
}

#[tokio::test(start_paused = true)]
async fn images_that_are_gone_are_said_before_anything_is_touched() {
    let (stage, first) = cleaned_up(PROJECT, APP, |_| ()).await;
    let image = stage.engine.image("nginx").await.unwrap().unwrap();
    for tag in &image.tags {
        stage.engine.remove_image(tag).await.unwrap();
    }
    let before = stage.standing();
    let error = back(&stage).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("images of release `{first}` are gone: ")), "{text}");
    assert!(text.contains(&format!("web (nginx, {})", image.id)), "{text}");
    assert!(!text.contains("cache"), "{text}");
    assert!(matches!(error, OpsError::ImagesGone { revision: Some(_), .. }));
    assert_eq!(stage.standing(), before);
    assert_eq!(stage.routing().live, Some(Color::Green));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_has_no_credentials_and_takes_those_of_today() {
    let project = format!("{PROJECT}credentials: [PW]\n");
    let app = APP.replace(
        "image: redis,",
        "image: redis, command: \"serve --pass ${PW}\", environment: { DSN: \"app:${PW}@db\", ID: \"${APP_TOKEN}\", SIDE: \"${SIDE_TOKEN}\" },",
    );
    let set = |stage: &mut Stage, name: &str, value: &str| {
        stage.project.variables.insert(name.to_owned(), value.to_owned());
    };
    let (mut stage, _) = cleaned_up(&project, &app, |stage| {
        set(stage, "PW", "first-secret");
        set(stage, "APP_TOKEN", "t0ken");
        // Beside the Compose files; the project itself does not know it.
        stage.file(".env", "SIDE_TOKEN=besides\n");
    })
    .await;
    let kept = stage.engine.volume_file(STATE, "releases/0.json").unwrap();
    let kept = String::from_utf8(kept).unwrap();
    assert!(
        kept.contains("cache")
            && !kept.contains("secret")
            && !kept.contains("t0ken")
            && !kept.contains("besides"),
        "{kept}"
    );

    stage.project.variables.shift_remove("APP_TOKEN");
    let before = stage.standing();
    let missing = back(&stage).await.unwrap_err().to_string();
    assert!(missing.contains("no value for APP_TOKEN"), "{missing}");
    assert_eq!(stage.standing(), before);

    set(&mut stage, "APP_TOKEN", "t0ken");
    set(&mut stage, "PW", "second-secret");
    back(&stage).await.unwrap();
    let cache = stage.engine.inspect("shop-devlocal-blue-cache-1").await.unwrap().unwrap();
    assert!(cache.environment.contains(&"DSN=app:second-secret@db".to_owned()));
    assert!(cache.environment.contains(&"ID=t0ken".to_owned()));
    assert!(cache.environment.contains(&"SIDE=besides".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_never_served_is_no_way_back() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    let (blue, green) = (release(&stage, Color::Blue), release(&stage, Color::Green));
    let refused = back(&stage).await.unwrap_err();
    assert!(matches!(refused, OpsError::NothingToRollBack { release } if release == blue));
    assert!(matches!(back_to(&stage, &green).await, Err(OpsError::NeverServed { .. })));
    assert!(matches!(back_to(&stage, &blue).await, Err(OpsError::LiveAlready { .. })));
    assert_eq!(stage.routing().live, Some(Color::Blue));
}

#[tokio::test(start_paused = true)]
async fn an_older_release_is_named_by_its_change_and_comes_up_on_either_color() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    let first = release(&stage, Color::Blue);
    for image in ["tool", "redis"] {
        stage.with_app(&APP.replace("image: nginx, ports", &format!("image: {image}, ports")));
        stage.up().await.unwrap();
    }
    assert_eq!(stage.routing().live, Some(Color::Blue));
    let number = stage.history().await.iter().position(|c| c.release.as_ref() == Some(&first));
    let back = back_to(&stage, &(number.unwrap() + 1).to_string()).await.unwrap();
    assert_eq!((back.to, &back.release), (Color::Green, &first));
    let web = container(&stage, "green-web-1");
    assert_eq!(web.image, "nginx");
    assert!(web.networks.contains(&"shop-devlocal-green-network".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_the_deployment_and_changes_nothing() {
    let (stage, first) = cleaned_up(PROJECT, APP, |_| ()).await;
    stage.engine.forget_calls();
    let options = RollbackOptions::default();
    let rollback = ops::plan_rollback(&stage.session(), &options).await.unwrap();
    assert!(rollback.redeployed && rollback.release == first);
    assert!(rollback.plan.to_string().contains("start blue/web"));
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_releases_are_kept_and_cleanup_lets_their_images_go() {
    let mut stage = Stage::of(&PROJECT.replace("app: {", "app: { retain: 2,"), APP);
    stage.up().await.unwrap();
    let first = release(&stage, Color::Blue);
    for image in ["tool", "redis", "nginx", "tool", "redis"] {
        stage.with_app(&APP.replace("image: nginx, ports", &format!("image: {image}, ports")));
        stage.up().await.unwrap();
    }
    assert!(stage.engine.volume_file(STATE, "releases/3.json").is_none(), "slots are used again");
    assert!(matches!(back_to(&stage, &first).await, Err(OpsError::NotKept { .. })));
    ops::cleanup(&stage.session(), None, false).await.unwrap();
    let retained: Vec<String> =
        stage.history().await.iter().filter_map(|c| c.release.clone()).collect();
    for image in stage.engine.seen_images() {
        for tag in &image.tags {
            let Some((_, release)) = stage.project.names.kept_for(tag) else { continue };
            let age = retained.iter().rev().filter(|r| !r.is_empty()).position(|r| r == release);
            assert!(age.is_some_and(|age| age < 4), "{tag} of a release that is not retained");
        }
    }
    assert_eq!(back(&stage).await.unwrap().to, Color::Blue.other().other());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_cannot_be_kept_is_deployed_with_a_warning() {
    let stage = Stage::new();
    stage.engine.fault_on("tag", Fault::Fail);
    stage.up().await.unwrap();
    assert!(stage.notes.all().contains("is not kept for a rollback"), "{}", stage.notes.all());
}

#[tokio::test(start_paused = true)]
async fn a_failed_removal_keeps_nothing_else_from_going_and_all_failures_are_told() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    stage.switch(None).await.unwrap();
    for call in ["remove shop-devlocal-blue-cache-1", "remove shop-devlocal-blue-web-1"] {
        stage.engine.fault_on(call, Fault::Fail);
    }
    let error = ops::cleanup(&stage.session(), None, false).await.unwrap_err().to_string();
    assert!(error.starts_with("2 steps failed:"), "{error}");
    assert!(error.contains("blue-cache-1") && error.contains("blue-web-1"), "{error}");
    let left: Vec<String> =
        stage.standing().into_iter().filter(|line| line.contains("-blue-")).collect();
    assert_eq!(
        left,
        ["shop-devlocal-blue-cache-1", "shop-devlocal-blue-network", "shop-devlocal-blue-web-1"]
    );
    stage.engine.heal();
    ops::cleanup(&stage.session(), None, false).await.unwrap();
    assert!(!stage.standing().iter().any(|line| line.contains("-blue-")));
}
