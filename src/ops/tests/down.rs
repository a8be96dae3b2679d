//! `down` and the way back.

use super::stage::{APP, Stage};
use crate::{
    engine::memory::Behaviour,
    model::{Color, Routing},
    ops::{self, DownOptions, OpsError},
    plan::{Conflict, Plan},
};

/// Takes the app away as one who has typed the environment's name.
pub async fn down(stage: &Stage) -> Result<Plan, OpsError> {
    let options = DownOptions { confirmed: true, ..DownOptions::default() };
    ops::down(&stage.session(), options).await
}

fn tags(stage: &Stage) -> Vec<String> {
    let images = stage.engine.seen_images().into_iter();
    images.flat_map(|image| image.tags).filter(|tag| tag.contains("-release:")).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_app_is_left_and_up_brings_it_back() {
    let mut stage = Stage::new();
    stage.up().await.unwrap();
    stage.with_app(&APP.replace("image: nginx, ports", "image: tool, ports"));
    stage.up().await.unwrap();
    assert!(!tags(&stage).is_empty());
    let refused = ops::down(&stage.session(), DownOptions::default()).await.unwrap_err();
    assert!(matches!(refused, OpsError::Conflict(Conflict::Serves { color: Color::Green })));
    assert_eq!(stage.routing().live, Some(Color::Green));

    down(&stage).await.unwrap();
    assert_eq!(
        stage.standing(),
        [
            "envctl-ca (volume)",
            "shop-devlocal-durable-data (volume)",
            "shop-devlocal-durable-db runs",
            "shop-devlocal-durable-network",
            "shop-devlocal-proxy-state (volume)",
        ]
    );
    assert_eq!((stage.routing(), tags(&stage)), (Routing::default(), vec![]));
    let commands = |all: Vec<crate::model::Change>| -> Vec<String> {
        all.into_iter().map(|change| change.command).collect()
    };
    let history = commands(stage.history().await);
    assert_eq!(history.last().unwrap(), "down");
    assert!(down(&stage).await.unwrap().is_empty());
    assert_eq!(commands(stage.history().await), history, "nothing was done");

    stage.up().await.unwrap();
    assert_eq!(stage.routing().live, Some(Color::Blue));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_keeps_its_color_but_for_force() {
    let of = |image: &str| APP.replace("image: nginx, ports", &format!("image: {image}, ports"));
    let project = "name: shop\napp: {}\nhooks: { before_cleanup: [migrate] }\n";
    let mut stage = Stage::of(project, &of("first"));
    for image in ["first", "second", "third"] {
        stage.engine.pullable(image);
        stage.with_app(&of(image));
        stage.up().await.unwrap();
    }
    let kept = tags(&stage);
    assert!(kept.len() > 3, "{kept:?}");
    stage.engine.behave("migrate", Behaviour::exits(2));
    let error = down(&stage).await.unwrap_err().to_string();
    assert!(error.contains("blue/migrate ended with exit code 2"), "{error}");
    assert_eq!(stage.routing().live, Some(Color::Blue));
    assert!(stage.standing().contains(&"shop-devlocal-blue-web-1 runs".to_owned()));
    assert_eq!(tags(&stage), kept, "the releases before it can still be gone back to");
    // Its traffic comes back by a switch.
    stage.switch(Some(Color::Blue)).await.unwrap();
    assert!(stage.standing().contains(&"shop-devlocal-proxy runs".to_owned()));

    let options = DownOptions { force: true, confirmed: true };
    ops::down(&stage.session(), options).await.unwrap();
    assert!(!stage.standing().iter().any(|line| line.contains("blue")));
    assert!(stage.history().await.pop().unwrap().forced);
}
