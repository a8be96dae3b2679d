//! `durable up` where definitions changed, and what it refuses.

use insta::assert_snapshot;

use super::{
    durable::{DB, stage, stage_of, up},
    stage::Stage,
    world::World,
};
use crate::{
    model::{Container, Mount, Publish, State, labels},
    plan::{self, Action, Conflict, Difference},
};

fn changed() -> Stage {
    stage_of(&DB.replace("mariadb:11.8", "mariadb:11.9"))
}

fn difference() -> Difference {
    Difference::new("db", "shop-devlocal-durable-db")
}

#[test]
fn a_changed_definition_is_told_and_not_applied() {
    let world = up(&stage());
    let (plan, differences) = changed().durable_up(&world, false).unwrap();
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(differences, [difference()]);
}

#[test]
fn a_changed_definition_is_applied_on_the_same_volume_with_its_image_at_hand_first() {
    let mut world = up(&stage());
    let (plan, differences) = changed().durable_up(&world, true).unwrap();
    assert_eq!(differences, []);
    assert_snapshot!(plan, @"
    [1]         pull image mariadb:11.9                          db needs it
    [2] ←1      check that mariadb:11.9 may open the data of db  the data is there already
    [3] ←2      stop db                                          its definition changed
    [4] ←3      remove the container of db (its volumes stay)    its definition changed
    [5] ←1,2,4  create db (mariadb:11.9)                         its definition changed
    [6] ←5      start db                                         depends on nothing
    [7] ←6      wait until db is healthy                         hub depends on it
    ");
    assert_snapshot!(plan::with_snapshots(&plan), @"
    [1]         pull image mariadb:11.9                          db needs it
    [2] ←1      check that mariadb:11.9 may open the data of db  the data is there already
    [3] ←2      take a snapshot of db                            if mariadb:11.9 is of a higher version than its data
    [4] ←3      stop db                                          its definition changed
    [5] ←4      remove the container of db (its volumes stay)    its definition changed
    [6] ←1,3,5  create db (mariadb:11.9)                         its definition changed
    [7] ←6      start db                                         depends on nothing
    [8] ←7      wait until db is healthy                         hub depends on it
    ");
    world.apply(&plan);
    assert_eq!(world.container("shop-devlocal-durable-db").image, "mariadb:11.9");
    assert!(changed().durable_up(&world, false).unwrap().0.is_empty());
}

#[test]
fn a_changed_definition_of_what_is_stopped_is_started_as_it_was() {
    let mut world = up(&stage());
    world.container("shop-devlocal-durable-db").state = State::Exited { code: 0 };
    let (plan, differences) = changed().durable_up(&world, false).unwrap();
    assert_eq!(differences, [difference()]);
    assert_snapshot!(plan, @"
    [1]     start db                  db is stopped
    [2] ←1  wait until db is healthy  hub depends on it
    ");
}

#[test]
fn apply_without_a_change_does_nothing() {
    let stage = stage();
    let (plan, differences) = stage.durable_up(&up(&stage), true).unwrap();
    assert!(plan.is_empty() && differences.is_empty(), "{plan}");
}

#[test]
fn a_change_of_labels_commands_or_ports_counts_and_one_of_the_release_does_not() {
    let world = up(&stage());
    let differs = |from: &str, to: &str| {
        let db = DB.replace(from, to);
        assert_ne!(db, DB);
        !stage_of(&db).durable_up(&world, false).unwrap().1.is_empty()
    };
    assert!(differs("3306:3306", "3307:3306"));
    assert!(differs("mariadb:11.8", "mariadb:11.8\n    command: [--skip-name-resolve]"));
    assert!(differs("mariadb:11.8", "mariadb:11.8\n    labels: { a: b }"));
    assert!(!differs("volumes: { data: }", "volumes: { data: }\nx-note: none of the engine's"));
}

#[test]
fn a_container_of_the_same_name_that_is_not_ours_is_refused_and_named() {
    let mut world = World::default();
    world.observed.containers.push(Container {
        name: "shop-devlocal-durable-db".into(),
        labels: [(labels::compose::PROJECT.to_owned(), "other".to_owned())].into(),
        ..Container::default()
    });
    let refused = stage().durable_up(&world, true).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the container `shop-devlocal-durable-db` is there and not envctl's own (of the Compose project `other`)"
    );
}

#[test]
fn a_network_or_volume_of_the_same_name_that_is_not_ours_is_refused() {
    let stage = stage();
    let mut world = World::default();
    world.add_volume("shop-devlocal-durable-data");
    assert!(matches!(
        stage.durable_up(&world, false),
        Err(Conflict::NotOurs { kind: "volume", .. })
    ));
    let mut world = World::default();
    world.add_network("shop-devlocal-durable-network");
    assert!(matches!(
        stage.durable_up(&world, false),
        Err(Conflict::NotOurs { kind: "network", .. })
    ));
}

fn holding(port: u16, host_ip: &str, state: State) -> Container {
    Container {
        name: "stranger".into(),
        state,
        ports: vec![Publish {
            host_ip: host_ip.into(),
            host_port: Some(port),
            container_port: 1,
            protocol: "tcp".into(),
        }],
        ..Container::default()
    }
}

#[test]
fn a_port_that_another_container_holds_is_refused_with_its_holder() {
    let stage = stage();
    let with = |holder: Container| {
        let mut world = World::default();
        world.observed.containers.push(holder);
        stage.durable_up(&world, false).map(|_| ())
    };
    let running = State::Running { health: None };
    let refused = with(holding(3306, "0.0.0.0", running)).unwrap_err();
    assert_eq!(refused.to_string(), "port 3306 of 127.0.0.1 is held by the container `stranger`");
    assert!(with(holding(3306, "127.0.0.1", running)).is_err());
    assert_eq!(with(holding(3306, "127.0.0.2", running)), Ok(()), "another address");
    assert_eq!(with(holding(3307, "0.0.0.0", running)), Ok(()), "another port");
    assert_eq!(with(holding(3306, "0.0.0.0", State::Created)), Ok(()), "it does not run");
}

#[test]
fn a_changed_port_that_is_held_is_refused_before_the_running_database_is_stopped() {
    let mut world = up(&stage());
    world.observed.containers.push(holding(3307, "0.0.0.0", State::Running { health: None }));
    let moved = stage_of(&DB.replace("3306:3306", "3307:3306"));
    assert!(matches!(moved.durable_up(&world, true), Err(Conflict::PortHeld { port: 3307, .. })));
}

#[test]
fn an_external_volume_or_network_has_to_be_there() {
    let stage = stage_of(
        r#"
services:
  db: { image: mariadb, volumes: ["data:/var/lib/mysql"], networks: [back] }
volumes: { data: { external: true, name: old-data } }
networks: { back: { external: true } }
"#,
    );
    let mut world = World::default();
    let refused = stage.durable_up(&world, false).unwrap_err().to_string();
    assert_eq!(refused, "the network `back`, which the files call external, is not there");
    world.add_network("back");
    let refused = stage.durable_up(&world, false).unwrap_err().to_string();
    assert_eq!(refused, "the volume `old-data`, which the files call external, is not there");
    world.add_volume("old-data");
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    let made =
        |action: &Action| matches!(action, Action::CreateVolume(_) | Action::CreateNetwork(_));
    assert!(!plan.steps().iter().any(|step| made(&step.action)), "{plan}");
    world.apply(&plan);
}

#[test]
fn a_volume_that_another_database_works_on_is_refused_with_its_holder() {
    let stage = stage_of(
        &DB.replace("volumes: { data: }", "volumes: { data: { external: true, name: shared } }"),
    );
    let holder = |state, image: &str, layer: Option<&str>| {
        let mut world = World::default();
        world.add_volume("shared");
        let of = [(labels::PROJECT, "shop"), (labels::ENVIRONMENT, "ci")];
        let labels = of.into_iter().chain(layer.map(|layer| (labels::LAYER, layer)));
        world.observed.containers.push(Container {
            name: "holder".into(),
            image: image.into(),
            state,
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            volumes: vec!["shared".into()],
            ..Container::default()
        });
        stage.durable_up(&world, false).map(|_| ())
    };
    let (runs, ended) = (State::Running { health: None }, State::Exited { code: 0 });
    assert_eq!(
        holder(ended, "own-build", Some("durable")).unwrap_err().to_string(),
        "the volume `shared` is in use by the container `holder` (of the envctl project `shop`, ci, durable)"
    );
    assert!(holder(runs, "mysql:9", None).is_err(), "a database of nobody's that runs");
    assert_eq!(holder(ended, "mysql:9", None), Ok(()), "it does not run");
    assert_eq!(holder(runs, "backup", None), Ok(()), "no database");
}

#[test]
fn a_container_on_another_volume_is_checked_against_the_data_there() {
    let mut world = up(&stage());
    world.add_volume("other");
    let moved = stage_of(
        &DB.replace("volumes: { data: }", "volumes: { data: { external: true, name: other } }"),
    );
    let (plan, _) = moved.durable_up(&world, true).unwrap();
    assert_snapshot!(plan, @"
    [1]       check that mariadb:11.8 may open the data of db  the data is there already
    [2] ←1    stop db                                          its definition changed
    [3] ←2    remove the container of db (its volumes stay)    its definition changed
    [4] ←1,3  create db (mariadb:11.8)                         its definition changed
    [5] ←4    start db                                         depends on nothing
    [6] ←5    wait until db is healthy                         hub depends on it
    ");
    let Action::CheckData(check) = &plan.steps()[0].action else { panic!("{plan}") };
    assert_eq!(check.last, None, "the same image");
    assert_eq!(check.look.volumes().collect::<Vec<_>>(), ["other"]);
    let only_reads =
        |mount: &Mount| matches!(mount, Mount::Volume { read_only: true, nocopy: true, .. });
    assert!(check.look.mounts.iter().all(only_reads));
    assert!(check.look.environment.is_empty() && check.look.ports.is_empty());
}
