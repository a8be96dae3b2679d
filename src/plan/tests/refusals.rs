//! What stands in the way of a deployment.

use super::{stage::Stage, world::World};
use crate::{
    model::{Color, Container, Names, State, labels},
    plan::Conflict,
};

fn labelled(name: &str, project: &str, layer: &str) -> Container {
    Container {
        name: name.to_owned(),
        labels: [
            (labels::PROJECT, project),
            (labels::ENVIRONMENT, "devlocal"),
            (labels::LAYER, layer),
            (labels::COLOR, "blue"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..Container::default()
    }
}

fn web() -> Stage {
    Stage::app_only("services: { web: { image: a } }")
}

#[test]
fn an_external_network_or_volume_has_to_be_there() {
    let stage = Stage::app_only(
        r#"
services: { web: { image: a, networks: [shared], volumes: ["assets:/srv"] } }
networks: { shared: { external: true, name: corporate } }
volumes: { assets: { external: true } }
"#,
    );
    let mut world = World::default();
    let refused = |world: &World| stage.deploy(world, Color::Blue, "r1").unwrap_err();
    let (kind, name) = ("network", "corporate".to_owned());
    assert_eq!(refused(&world), Conflict::NoExternal { kind, name });
    world.add_network("corporate");
    let (kind, name) = ("volume", "assets".to_owned());
    assert_eq!(refused(&world), Conflict::NoExternal { kind, name });
    world.add_volume("assets");
    let plan = stage.deploy(&world, Color::Blue, "r1").unwrap();
    world.apply(&plan);
    let plan = stage.cleanup(&world, Color::Blue).unwrap();
    world.apply(&plan);
    assert!(world.observed.network("corporate").is_some());
    assert!(world.observed.volume("assets").is_some());
}

#[test]
fn a_container_of_the_same_name_that_is_anothers_is_refused_and_its_owner_named() {
    let mut world = World::default();
    world.observed.containers.push(labelled("shop-devlocal-blue-web-1", "other", "app"));
    assert_eq!(
        web().deploy(&world, Color::Blue, "r1").unwrap_err().to_string(),
        "the container `shop-devlocal-blue-web-1` is there and not envctl's own \
         (of the envctl project `other`, devlocal, app)"
    );
    world.observed.containers[0].labels.clear();
    assert!(
        web()
            .deploy(&world, Color::Blue, "r1")
            .unwrap_err()
            .to_string()
            .contains("no label of an owner")
    );
}

#[test]
fn a_durable_container_under_a_name_of_the_app_or_the_proxy_is_refused_and_never_replaced() {
    for name in ["shop-devlocal-blue-web-1", "shop-devlocal-proxy"] {
        let mut world = World::default();
        world.observed.containers.push(labelled(name, "shop", "durable"));
        let refused = web().deploy(&world, Color::Blue, "r1");
        assert!(matches!(refused, Err(Conflict::NotOurs { kind: "container", .. })), "{name}");
    }
}

#[test]
fn a_durable_container_that_its_files_label_with_a_color_is_not_of_that_color() {
    let stage = web();
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    let mut db = labelled("db", "shop", "durable");
    db.state = State::Running { health: None };
    world.observed.containers.push(db);
    for plan in [stage.cleanup(&world, Color::Blue), stage.deploy(&world, Color::Blue, "r2")] {
        world.clone().apply(plan.as_ref().unwrap());
        assert!(!plan.unwrap().to_string().contains("stop db"));
    }
}

#[test]
fn what_envctl_does_not_support_is_refused_with_the_way_out() {
    let stage = Stage::app_only(
        r#"
services:
  web: { image: a, pre_stop: [{ command: "true" }], cpu_count: 2 }
  db: { image: a, post_start: [{ command: "true" }] }
  none: { image: a, ports: ["80"] }
"#,
    );
    let problems = stage.try_app(Color::Blue, "r1").unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems.iter().any(|text| text.contains("only Windows") && text.contains("`cpus`")));
}

#[test]
fn two_environments_whose_names_run_together_do_not_touch_each_other() {
    let names = (Names::new("a", "b-c"), Names::new("a-b", "c"));
    assert_eq!(names.0.proxy(), names.1.proxy());
    let mut world = World::default();
    let mut other = labelled("a-b-c-durable-db", "a-b", "durable");
    other.labels.insert(labels::ENVIRONMENT.to_owned(), "c".to_owned());
    world.observed.containers.push(other);
    assert!(crate::plan::durable_down(&names.0, &world.observed, true).unwrap().is_empty());
    assert!(!crate::plan::durable_down(&names.1, &world.observed, true).unwrap().is_empty());
}
