//! `cleanup`: the idle color, and images that nothing uses.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{Color, Names, State, labels},
    plan::{Conflict, Plan},
};

fn stage() -> Stage {
    Stage::app_only(
        r#"
services:
  web: { image: "${ENVCTL_COLOR}:1", volumes: ["uploads:/srv"], networks: [default, back] }
  cache: { image: redis:8 }
volumes: { uploads: }
networks: { back: }
"#,
    )
}

/// Green live, blue deployed before it.
fn both(stage: &Stage) -> World {
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    stage.deployed(&mut world, Color::Green, "r2");
    stage.switched(&mut world, Color::Green);
    world
}

#[test]
fn the_idle_color_goes_once_nothing_is_open_on_it_and_its_images_with_it() {
    let stage = stage();
    let mut world = both(&stage);
    world.container("shop-devlocal-blue-cache-1").state = State::Exited { code: 0 };
    let plan = stage.cleanup(&world, Color::Blue).unwrap();
    assert_snapshot!(plan, @"
    [1]         wait until nothing is open on blue              its connections end in peace
    [2] ←1      take blue off the proxy                         blue is idle
    [3] ←2      remove container shop-devlocal-blue-cache-1     blue is idle
    [4] ←2      stop shop-devlocal-blue-web-1                   blue is idle
    [5] ←4      remove container shop-devlocal-blue-web-1       blue is idle
    [6] ←2,3,5  remove network shop-devlocal-blue-network       blue is idle
    [7] ←2,5    remove network shop-devlocal-blue-network-back  blue is idle
    [8] ←2,5    remove volume shop-devlocal-blue-uploads        blue is idle
    [9] ←2,5    remove image blue:1                             no container and no retained release uses it
    ");
    world.apply(&plan);
    assert!(stage.cleanup(&world, Color::Blue).unwrap().is_empty());
}

#[test]
fn the_live_color_is_refused() {
    let stage = stage();
    let refused = stage.cleanup(&both(&stage), Color::Green).unwrap_err();
    assert_eq!(refused, Conflict::Live { color: Color::Green });
}

#[test]
fn images_that_a_stopped_or_foreign_container_uses_stay() {
    let stage = stage();
    let mut world = both(&stage);
    world.add_image("old:1", (labels::PROJECT, "shop"));
    world.add_image("kept:1", (labels::PROJECT, "shop"));
    world.add_image("foreign:1", (labels::PROJECT, "other"));
    world.observed.containers.push(crate::model::Container {
        name: "stranger".into(),
        image: "kept:1".into(),
        ..Default::default()
    });
    let plan = stage.cleanup(&world, Color::Blue).unwrap();
    assert_eq!(removed_images(&plan), ["remove image blue:1", "remove image old:1"]);
}

fn removed_images(plan: &Plan) -> Vec<String> {
    let steps = plan.steps().iter().filter(|step| step.action.name() == "remove-image");
    steps.map(|step| step.title.clone()).collect()
}

#[test]
fn images_of_retained_releases_stay_in_any_environment_of_the_project() {
    let stage = stage();
    let mut world = both(&stage);
    let (retained, old) = ("20261121T081500.123Z-1f2e", "20261120T081500.123Z-1f2e");
    for (name, environment, release) in
        [("own:1", "devlocal", retained), ("own-old:1", "devlocal", old), ("of-ci:1", "ci", old)]
    {
        world.add_image(name, (labels::PROJECT, "shop"));
        let kept = Names::new("shop", environment).kept_image(release, "sha256:91ab01234567");
        world.images.get_mut(name).unwrap().tags.push(kept);
    }
    assert_eq!(
        removed_images(&stage.cleanup(&world, Color::Blue).unwrap()),
        [
            "remove image blue:1",
            "remove image own-old:1",
            "remove image shop-devlocal-release:20261120T081500.123Z-1f2e-91ab01234567",
        ]
    );
}

#[test]
fn no_image_goes_while_something_is_under_way_in_another_environment() {
    let stage = stage();
    let mut world = both(&stage);
    let lock = |environment: &str| crate::model::Container {
        name: format!("shop-{environment}-lock"),
        labels: [
            (labels::PROJECT, "shop"),
            (labels::ENVIRONMENT, environment),
            (labels::LAYER, "lock"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..Default::default()
    };
    world.observed.containers.push(lock("devlocal"));
    assert_eq!(removed_images(&stage.cleanup(&world, Color::Blue).unwrap()).len(), 1);
    world.observed.containers.push(lock("ci"));
    assert!(removed_images(&stage.cleanup(&world, Color::Blue).unwrap()).is_empty());
}

#[test]
fn with_the_proxy_stopped_the_containers_still_go() {
    let stage = stage();
    let mut world = both(&stage);
    world.container("shop-devlocal-proxy").state = State::Exited { code: 0 };
    let plan = stage.cleanup(&world, Color::Blue).unwrap();
    assert!(!plan.to_string().contains("proxy"), "{plan}");
    world.apply(&plan);
    assert_eq!(world.of_layer("app").count(), 2);
}

#[test]
fn a_service_that_the_files_have_no_more_goes_too() {
    let mut world = both(&stage());
    let now = Stage::app_only("services: { web: { image: a } }");
    let plan = now.cleanup(&world, Color::Blue).unwrap();
    world.apply(&plan);
    assert!(!world.observed.containers.iter().any(|c| c.name.contains("blue")));
}
