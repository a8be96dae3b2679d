//! `durable up` in every state that it may find.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{Health, State, labels},
    plan::Conflict,
};

pub const PROJECT: &str = "name: shop\ndurable: { compose: [db.yaml] }\napp: {}\n";

pub const DB: &str = r#"
services:
  db:
    image: mariadb:11.8
    volumes: ["data:/var/lib/mysql"]
    ports: ["3306:3306"]
    healthcheck: { test: [CMD, mariadb-admin, ping] }
  hub:
    image: mercure:1
    depends_on: { db: { condition: service_healthy } }
volumes: { data: }
"#;

pub fn stage() -> Stage {
    stage_of(DB)
}

pub fn stage_of(db: &str) -> Stage {
    Stage::with(
        PROJECT,
        &[("db.yaml", db), ("compose.yaml", "services: { web: { image: nginx } }")],
    )
}

pub fn up(stage: &Stage) -> World {
    let mut world = World::default();
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    world.apply(&plan);
    world
}

/// The plan, which is checked to do what it says and to leave nothing to do.
fn plan(stage: &Stage, world: &World) -> String {
    let (plan, differences) = stage.durable_up(world, false).unwrap();
    assert_eq!(differences, []);
    let mut after = world.clone();
    after.apply(&plan);
    let (again, _) = stage.durable_up(&after, false).unwrap();
    assert!(again.is_empty(), "{again}");
    let all: Vec<_> =
        ["db", "hub"].map(|service| (format!("shop-devlocal-durable-{service}"), true)).into();
    let mut running = after.durable();
    running.sort();
    assert_eq!(running, all);
    plan.to_string()
}

#[test]
fn with_nothing_there_all_is_made() {
    assert_snapshot!(plan(&stage(), &World::default()), @"
    [1]          pull image mariadb:11.8                       db needs it
    [2]          pull image mercure:1                          hub needs it
    [3]          create network shop-devlocal-durable-network  not found
    [4]          create volume shop-devlocal-durable-data      not found
    [5]  ←1,3,4  create db (mariadb:11.8)                      not found
    [6]  ←5      start db                                      depends on nothing
    [7]  ←6      wait until db is healthy                      hub depends on it
    [8]  ←2,3    create hub (mercure:1)                        not found
    [9]  ←7,8    start hub                                     after db
    [10] ←9      wait until hub is healthy                     it is part of the stack
    ");
}

#[test]
fn with_all_there_nothing_is_done() {
    assert_eq!(plan(&stage(), &up(&stage())), "");
}

#[test]
fn from_another_checkout_of_the_same_files_nothing_differs() {
    let (here, there) = (stage(), stage());
    assert_ne!(here.project.root, there.project.root);
    let world = up(&here);
    assert_eq!(world.observed.containers.len(), 2);
    assert_eq!(plan(&there, &world), "");
}

#[test]
fn what_is_stopped_is_started_in_order() {
    let mut world = up(&stage());
    for name in ["db", "hub"] {
        let found = world.container(&format!("shop-devlocal-durable-{name}"));
        found.state = State::Exited { code: 137 };
    }
    assert_snapshot!(plan(&stage(), &world), @"
    [1]     start db                   db is stopped
    [2] ←1  wait until db is healthy   hub depends on it
    [3] ←2  start hub                  hub is stopped
    [4] ←3  wait until hub is healthy  it is part of the stack
    ");
}

#[test]
fn what_was_never_started_is_started() {
    let mut world = up(&stage());
    world.container("shop-devlocal-durable-hub").state = State::Created;
    assert_snapshot!(plan(&stage(), &world), @"
    [1]     start hub                  never started
    [2] ←1  wait until hub is healthy  it is part of the stack
    ");
}

#[test]
fn what_is_paused_is_stopped_before_it_is_started() {
    let mut world = up(&stage());
    world.container("shop-devlocal-durable-hub").state = State::Paused;
    assert_snapshot!(plan(&stage(), &world), @"
    [1]     stop hub                   it is paused
    [2] ←1  start hub                  it is paused
    [3] ←2  wait until hub is healthy  it is part of the stack
    ");
}

#[test]
fn a_container_that_is_gone_is_made_on_the_volume_that_is_there() {
    let mut world = up(&stage());
    world.remove_container("shop-devlocal-durable-db");
    assert_snapshot!(plan(&stage(), &world), @"
    [1]     check that mariadb:11.8 may open the data of db  the data is there already
    [2] ←1  create db (mariadb:11.8)                         not found
    [3] ←2  start db                                         depends on nothing
    [4] ←3  wait until db is healthy                         hub depends on it
    ");
}

#[test]
fn with_the_network_gone_its_containers_are_made_anew_once_they_are_removed() {
    let mut world = up(&stage());
    world.remove_network("shop-devlocal-durable-network");
    for name in ["db", "hub"] {
        let found = world.container(&format!("shop-devlocal-durable-{name}"));
        found.state = State::Exited { code: 0 };
    }
    assert_snapshot!(plan(&stage(), &world), @"
    [1]        stop db                                         its network was gone
    [2]  ←1    remove the container of db (its volumes stay)   its network was gone
    [3]        stop hub                                        its network was gone
    [4]  ←3    remove the container of hub (its volumes stay)  its network was gone
    [5]  ←2,4  create network shop-devlocal-durable-network    not found
    [6]  ←2,5  create db (mariadb:11.8)                        its network was gone
    [7]  ←6    start db                                        depends on nothing
    [8]  ←7    wait until db is healthy                        hub depends on it
    [9]  ←4,5  create hub (mercure:1)                          its network was gone
    [10] ←8,9  start hub                                       after db
    [11] ←10   wait until hub is healthy                       it is part of the stack
    ");
}

#[test]
fn with_the_network_gone_a_kill_after_any_step_leaves_what_the_next_run_mends() {
    let stage = stage();
    let mut world = up(&stage);
    world.remove_network("shop-devlocal-durable-network");
    let (whole, _) = stage.durable_up(&world, false).unwrap();
    let old: Vec<String> = world.observed.containers.iter().map(|c| c.name.clone()).collect();
    for steps in 0..=whole.steps().len() {
        let mut killed = world.clone();
        killed.apply_first(&whole, steps);
        // A container that was made on the old network does not start on a new one of the same name.
        let network = killed.observed.network("shop-devlocal-durable-network").is_some();
        let removed = whole.steps()[..steps].iter().filter(|s| s.action.name() == "remove").count();
        assert!(!network || removed == old.len(), "after {steps} steps\n{whole}");
        plan(&stage, &killed);
    }
}

#[test]
fn a_volume_that_is_gone_is_made_again() {
    let mut world = up(&stage());
    world.remove_volume("shop-devlocal-durable-data");
    world.remove_container("shop-devlocal-durable-db");
    assert_snapshot!(plan(&stage(), &world), @"
    [1]     create volume shop-devlocal-durable-data  not found
    [2] ←1  create db (mariadb:11.8)                  not found
    [3] ←2  start db                                  depends on nothing
    [4] ←3  wait until db is healthy                  hub depends on it
    ");
}

#[test]
fn what_is_not_healthy_yet_is_awaited() {
    let stage = stage();
    for health in [Health::Starting, Health::Unhealthy] {
        let mut world = up(&stage);
        world.container("shop-devlocal-durable-db").state = State::Running { health: Some(health) };
        let (plan, _) = stage.durable_up(&world, false).unwrap();
        assert!(plan.only_waits());
        assert_eq!(
            plan.to_string(),
            "[1]   wait until db is healthy  hub depends on it\n",
            "{health:?}"
        );
    }
}

#[test]
fn a_kill_after_any_step_of_the_first_run_leaves_what_the_next_run_completes() {
    let stage = stage();
    let (whole, _) = stage.durable_up(&World::default(), false).unwrap();
    for steps in 0..=whole.steps().len() {
        let mut world = World::default();
        world.apply_first(&whole, steps);
        plan(&stage, &world);
    }
}

#[test]
fn networks_and_volumes_of_the_layer_carry_its_labels_and_no_config_hash() {
    let stage = stage();
    let world = up(&stage);
    let volume = world.observed.volume("shop-devlocal-durable-data").unwrap();
    let network = world.observed.network("shop-devlocal-durable-network").unwrap();
    for labels in [&volume.labels, &network.labels] {
        assert_eq!(labels[labels::LAYER], "durable");
        assert_eq!(labels[labels::compose::PROJECT], "shop-devlocal-durable");
        assert!(!labels.contains_key(labels::compose::CONFIG_HASH));
    }
}

#[test]
fn a_durable_service_gets_time_to_stop_restarts_with_the_engine_and_publishes_to_this_host() {
    let stage = stage();
    let durable = stage.durable();
    let db = &durable.services[0].replicas[0];
    assert_eq!(db.stop_grace, Some(std::time::Duration::from_secs(120)));
    assert_eq!(db.restart, crate::model::Restart::UnlessStopped);
    assert_eq!((db.ports[0].host_ip.as_str(), db.ports[0].host_port), ("127.0.0.1", Some(3306)));
    assert_eq!(db.networks[0].aliases, ["db"]);
    let own = stage_of(&DB.replace(
        "image: mariadb:11.8",
        "image: a\n    restart: always\n    stop_grace_period: 5s",
    ));
    let db = &own.durable().services[0].replicas[0];
    assert_eq!(db.stop_grace, Some(std::time::Duration::from_secs(5)));
    assert_eq!(db.restart, crate::model::Restart::Always);
}

#[test]
fn a_port_offset_moves_what_the_layer_publishes() {
    let stage = Stage::with(
        "name: shop\nenvironments: { ci: { port_offset: 100 } }\ndurable: { compose: [db.yaml] }\napp: {}\n",
        &[("db.yaml", DB), ("compose.yaml", "services: { web: { image: nginx } }")],
    );
    assert_eq!(stage.durable().services[0].replicas[0].ports[0].host_port, Some(3406));
    assert_eq!(stage.durable().services[0].replicas[0].name, "shop-ci-durable-db");
}

#[test]
fn a_renamed_database_gets_no_second_server_on_its_volume() {
    let mut world = up(&stage());
    let renamed = stage_of(&DB.replace("  db:", "  mariadb:").replace("{ db:", "{ mariadb:"));
    let (volume, holder) = ("shop-devlocal-durable-data", "shop-devlocal-durable-db");
    let refusal = Conflict::VolumeOfLeft { volume: volume.into(), holder: holder.into() };
    for state in [State::Running { health: None }, State::Exited { code: 0 }] {
        world.container(holder).state = state;
        assert_eq!(renamed.durable_up(&world, false).unwrap_err(), refusal);
    }
    world.remove_container(holder);
    renamed.durable_up(&world, false).unwrap();

    // A tool of the database's image beside it is what its files want.
    let beside = "  tool:\n    image: mariadb:11.8\n    volumes: [\"data:/data\"]\n  hub:";
    let stage = stage_of(&DB.replace("  hub:", beside));
    let mut world = up(&stage);
    world.container("shop-devlocal-durable-tool").state = State::Exited { code: 0 };
    stage.durable_up(&world, false).unwrap();
}
