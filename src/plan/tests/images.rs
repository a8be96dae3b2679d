//! What a container is made after: its own image, networks and volumes, and nothing else.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::model::Color;

#[test]
fn a_container_is_made_as_soon_as_its_own_image_networks_and_volumes_are_there() {
    let stage = Stage::app_only(
        r#"
services:
  api: { build: ., networks: [back], volumes: ["data:/data"], depends_on: [cache] }
  cache: { image: redis, networks: [front] }
networks: { front: , back: }
volumes: { data: }
"#,
    );
    let nothing = Stage::app_only("services: { none: { image: a, scale: 0 } }");
    let mut world = World::default();
    nothing.deployed(&mut world, Color::Green, "r1");
    let plan = stage.deploy(&world, Color::Blue, "r1").unwrap();
    assert_snapshot!(plan.to_string(), @"
    [1]          build image shop-api:api000000000                api needs it
    [2]          pull image redis                                 cache needs it
    [3]          create network shop-devlocal-blue-network-back   not found
    [4]          create network shop-devlocal-blue-network-front  not found
    [5]          create volume shop-devlocal-blue-data            not found
    [6]  ←2,4    create blue/cache (redis)                        a fresh stack
    [7]  ←6      start blue/cache                                 depends on nothing
    [8]  ←7      wait until blue/cache is healthy                 api depends on it
    [9]  ←1,3,5  create blue/api (shop-api:api000000000)          a fresh stack
    [10] ←7,9    start blue/api                                   after cache
    [11] ←10     wait until blue/api is healthy                   it is part of the stack
    [12] ←8,11   make blue known to the proxy                     its preview leads to it from here on
    ");
    world.apply(&plan);
}

#[test]
fn an_image_is_built_after_those_that_it_is_built_on_also_where_no_service_runs_them() {
    let stage = Stage::app_only(
        r#"
services:
  api: { build: { context: ., additional_contexts: { base: "service:base" } } }
  base: { build: ., scale: 0 }
  tool: { build: { context: ., additional_contexts: { api: "service:api" } } }
"#,
    );
    let plan = stage.deploy(&World::default(), Color::Blue, "r1").unwrap();
    let builds: Vec<String> =
        plan.lines().into_iter().filter(|line| line.contains("build image")).collect();
    assert_snapshot!(builds.join("\n"), @"
    [7]            build image shop-base:base00000000          shop-api:api000000000 is built on it
    [8]  ←7        build image shop-api:api000000000           api needs it
    [9]  ←8        build image shop-tool:tool00000000          tool needs it
    ");
}
