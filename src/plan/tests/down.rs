//! `down`: the app goes, the durable layer and the history stay.

use insta::assert_snapshot;

use super::{durable, stage::Stage, world::World};
use crate::{
    model::{Color, Container, State, labels},
    plan::{Conflict, durable_down},
};

const PROJECT: &str = "name: shop\ndurable: { services: [db] }\napp: { workers: [worker] }\nhooks: { before_cleanup: [goodbye] }\n";
const COMPOSE: &str = r#"
services:
  web: { image: "${ENVCTL_COLOR}:1", depends_on: [db], volumes: ["uploads:/srv"], ports: ["8000:80"] }
  worker: { image: "${ENVCTL_COLOR}:1" }
  goodbye: { image: tool:1 }
  db: { image: db:1, volumes: ["data:/data"] }
volumes: { uploads: , data: }
"#;

/// Green live, blue deployed before it, beside a database.
fn both() -> (Stage, World) {
    let stage = Stage::new(PROJECT, COMPOSE);
    let mut world = durable::up(&stage);
    stage.deployed(&mut world, Color::Blue, "r1");
    stage.deployed(&mut world, Color::Green, "r2");
    stage.switched(&mut world, Color::Green);
    (stage, world)
}

#[test]
fn both_colors_go_once_the_workers_and_the_proxy_have_stopped_and_the_hooks_have_run() {
    let (stage, mut world) = both();
    world.remove_container("shop-devlocal-blue-web-1");
    let plan = stage.down(&world, true).unwrap();
    assert_snapshot!(plan, @"");
    let durable = |world: &World| {
        let volumes = world.observed.volumes.iter().map(|volume| volume.name.clone());
        (world.durable(), volumes.filter(|name| !name.contains("uploads")).collect::<Vec<_>>())
    };
    let before = durable(&world);
    world.apply(&plan);
    assert_eq!(durable(&world), before);
    assert!(world.images.contains_key("db:1"), "the durable layer uses it");
    world.routing = crate::model::Routing::default();
    assert!(stage.down(&world, true).unwrap().is_empty());

    // The whole way back.
    stage.deployed(&mut world, Color::Blue, "r3");
    stage.switched(&mut world, Color::Blue);
    assert_eq!(world.of_layer("app").filter(|found| found.is_running()).count(), 2);
}

#[test]
fn what_is_live_goes_only_when_the_name_was_typed() {
    let (stage, mut world) = both();
    let refused = stage.down(&world, false).unwrap_err();
    assert_eq!(refused, Conflict::Serves { color: Color::Green });
    // What does not run serves nobody.
    for found in &mut world.observed.containers {
        found.state = State::Exited { code: 0 };
    }
    assert!(!stage.down(&world, false).unwrap().is_empty());
}

#[test]
fn a_network_and_images_that_others_need_stay() {
    let (stage, mut world) = both();
    world.container("shop-devlocal-durable-db").networks.push("shop-devlocal-proxy-network".into());
    world.add_image("elsewhere:1", (labels::PROJECT, "shop"));
    let of_ci = Container {
        name: "shop-ci-lock".into(),
        labels: [(labels::PROJECT, "shop"), (labels::ENVIRONMENT, "ci"), (labels::LAYER, "lock")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Container::default()
    };
    world.observed.containers.push(of_ci);
    let plan = stage.down(&world, true).unwrap();
    assert!(!plan.to_string().contains("remove image"), "{plan}");
    world.apply(&plan);
    assert!(world.observed.network("shop-devlocal-proxy-network").is_some());
    // The last one on it takes it along.
    world.apply(&durable_down(stage.names(), &world.observed, false));
    assert!(world.observed.network("shop-devlocal-proxy-network").is_none());
}
