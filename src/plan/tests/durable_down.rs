//! `durable down`: the data stays unless it is asked for.

use insta::assert_snapshot;

use super::{
    durable::{stage, up},
    world::World,
};
use crate::{
    model::{Container, State},
    plan::{Conflict, durable_down},
};

#[test]
fn the_data_stays() {
    let stage = stage();
    let mut world = up(&stage);
    let plan = durable_down(stage.names(), &world.observed, false).unwrap();
    assert_snapshot!(plan, @"
    [1]       stop shop-devlocal-durable-db                 durable down
    [2] ←1    remove container shop-devlocal-durable-db     its data is in volumes
    [3]       stop shop-devlocal-durable-hub                durable down
    [4] ←3    remove container shop-devlocal-durable-hub    its data is in volumes
    [5] ←2,4  remove network shop-devlocal-durable-network  nothing uses it any more
    ");
    world.apply(&plan);
    assert!(world.observed.volume("shop-devlocal-durable-data").is_some());
    assert!(durable_down(stage.names(), &world.observed, false).unwrap().is_empty());
}

#[test]
fn the_data_goes_when_it_is_asked_for() {
    let stage = stage();
    let mut world = up(&stage);
    world.add_volume("somebody-elses");
    world.container("shop-devlocal-durable-hub").state = State::Exited { code: 1 };
    let plan = durable_down(stage.names(), &world.observed, true).unwrap();
    assert_snapshot!(plan, @"
    [1]       stop shop-devlocal-durable-db                 durable down
    [2] ←1    remove container shop-devlocal-durable-db     its data is in volumes
    [3]       remove container shop-devlocal-durable-hub    its data is in volumes
    [4] ←2,3  remove network shop-devlocal-durable-network  nothing uses it any more
    [5] ←2,3  remove volume shop-devlocal-durable-data      asked for by name
    ");
    world.apply(&plan);
    assert_eq!(world.observed.volumes.len(), 1);
}

#[test]
fn a_network_that_an_app_still_uses_stays() {
    let stage = stage();
    let mut world = up(&stage);
    world.observed.containers.push(Container {
        name: "app".into(),
        networks: vec!["shop-devlocal-durable-network".into()],
        ..Container::default()
    });
    world.apply(&durable_down(stage.names(), &world.observed, false).unwrap());
    assert!(world.observed.network("shop-devlocal-durable-network").is_some());
    let (again, _) = stage.durable_up(&world, false).unwrap();
    world.apply(&again);
}

#[test]
fn what_another_container_holds_is_refused_before_anything_is_stopped() {
    let stage = stage();
    let mut world = up(&stage);
    let holder = "shop-devlocal-green-db-1";
    world.observed.containers.push(Container {
        name: holder.into(),
        volumes: vec!["shop-devlocal-durable-data".into()],
        ..Container::default()
    });
    let refused = durable_down(stage.names(), &world.observed, true).unwrap_err();
    let volume = "shop-devlocal-durable-data".to_owned();
    assert_eq!(refused, Conflict::VolumeHeld { volume, holder: holder.into() });
    world.apply(&durable_down(stage.names(), &world.observed, false).unwrap());
}

#[test]
fn another_environments_layer_is_not_touched() {
    let stage = stage();
    let world = up(&stage);
    let ci = crate::model::Names::new("shop", "ci");
    assert!(durable_down(&ci, &world.observed, true).unwrap().is_empty());
    assert!(durable_down(stage.names(), &World::default().observed, true).unwrap().is_empty());
}
