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
    assert_snapshot!(plan, @"
    [1]                    stop shop-devlocal-green-worker-1               the app goes
    [2]  ←1                stop the proxy                                  its requests end first
    [3]  ←2                run blue/goodbye                                hooks.before_cleanup
    [4]  ←3                wait until blue/goodbye has ended well          its failure keeps the color
    [5]  ←4                remove container shop-devlocal-blue-goodbye-1   the app goes
    [6]  ←4                remove container shop-devlocal-blue-worker-1    the app goes
    [7]  ←4,5,6            remove network shop-devlocal-blue-network       the app goes
    [8]  ←4                remove volume shop-devlocal-blue-uploads        the app goes
    [9]  ←2                run green/goodbye                               hooks.before_cleanup
    [10] ←9                wait until green/goodbye has ended well         its failure keeps the color
    [11] ←10               remove container shop-devlocal-green-goodbye-1  the app goes
    [12] ←10               stop shop-devlocal-green-web-1                  the app goes
    [13] ←12               remove container shop-devlocal-green-web-1      the app goes
    [14] ←10               remove container shop-devlocal-green-worker-1   the app goes
    [15] ←10,11,13,14      remove network shop-devlocal-green-network      the app goes
    [16] ←10,13            remove volume shop-devlocal-green-uploads       the app goes
    [17] ←2,5,6,11,13,14   remove container shop-devlocal-proxy            the app goes
    [18] ←5,6,11,13,14,17  remove network shop-devlocal-proxy-network      the app goes
    [19] ←5,6,11,13,14,17  remove image blue:1                             no container and no retained release uses it
    [20] ←5,6,11,13,14,17  remove image envctl-proxy:1                     no container and no retained release uses it
    [21] ←5,6,11,13,14,17  remove image green:1                            no container and no retained release uses it
    [22] ←5,6,11,13,14,17  remove image tool:1                             no container and no retained release uses it
    ");
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
    world.apply(&durable_down(stage.names(), &world.observed, false).unwrap());
    assert!(world.observed.network("shop-devlocal-proxy-network").is_none());
}
