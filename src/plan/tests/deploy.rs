//! `deploy` from first to last, of stacks with a database of their own and without.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{Color, State, control::Request, labels},
    plan::{Action, Conflict},
};

const COMPOSE: &str = r#"
services:
  web:
    image: nginx:1.27
    ports: ["8000:80"]
    depends_on:
      cache: { condition: service_healthy }
  cache:
    image: redis:8
    healthcheck: { test: [CMD, redis-cli, ping] }
"#;

#[test]
fn the_first_deploy_makes_all_there_is_and_the_proxy() {
    let stage = Stage::app_only(COMPOSE);
    let plan = stage.deploy(&World::default(), Color::Blue, "r1").unwrap();
    assert_snapshot!(plan, @"
    [1]            make image envctl-proxy:1                   the proxy runs from it
    [2]            create network shop-devlocal-proxy-network  not found
    [3]            create volume shop-devlocal-proxy-state     not found
    [4]            create volume envctl-ca                     not found
    [5]  ←1,2,3,4  create the proxy                            not found
    [6]  ←5        start the proxy                             it carries the traffic
    [7]            pull image redis:8                          cache needs it
    [8]            pull image nginx:1.27                       web needs it
    [9]            create network shop-devlocal-blue-network   not found
    [10] ←7,9      create blue/cache (redis:8)                 a fresh stack
    [11] ←10       start blue/cache                            depends on nothing
    [12] ←11       wait until blue/cache is healthy            web depends on it
    [13] ←2,8,9    create blue/web (nginx:1.27)                a fresh stack
    [14] ←12,13    start blue/web                              after cache
    [15] ←6,14     wait until blue/web is ready                a route leads to it
    [16] ←6,12,15  make blue known to the proxy                its preview leads to it from here on
    ");
}

#[test]
fn the_other_color_comes_up_beside_the_live_one_without_touching_it() {
    let stage = Stage::app_only(COMPOSE);
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    stage.switched(&mut world, Color::Blue);
    let plan = stage.deploy(&world, Color::Green, "r2").unwrap();
    assert_snapshot!(plan, @"
    [1]       create network shop-devlocal-green-network  not found
    [2] ←1    create green/cache (redis:8)                a fresh stack
    [3] ←2    start green/cache                           depends on nothing
    [4] ←3    wait until green/cache is healthy           web depends on it
    [5] ←1    create green/web (nginx:1.27)               a fresh stack
    [6] ←4,5  start green/web                             after cache
    [7] ←6    wait until green/web is ready               a route leads to it
    [8] ←4,7  make green known to the proxy               its preview leads to it from here on
    ");
}

#[test]
fn a_deploy_over_an_idle_color_takes_its_last_release_away_once_nothing_is_open_on_it() {
    let stage = Stage::app_only(COMPOSE);
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    let plan = stage.deploy(&world, Color::Blue, "r2").unwrap();
    assert_snapshot!(plan, @"
    [1]           wait until nothing is open on blue           it is replaced
    [2]  ←1       take blue off the proxy                      it is replaced
    [3]  ←2       stop shop-devlocal-blue-cache-1              of the color's last release
    [4]  ←3       remove container shop-devlocal-blue-cache-1  of the color's last release
    [5]  ←2       stop shop-devlocal-blue-web-1                of the color's last release
    [6]  ←5       remove container shop-devlocal-blue-web-1    of the color's last release
    [7]  ←4       create blue/cache (redis:8)                  a fresh stack
    [8]  ←7       start blue/cache                             depends on nothing
    [9]  ←8       wait until blue/cache is healthy             web depends on it
    [10] ←6       create blue/web (nginx:1.27)                 a fresh stack
    [11] ←9,10    start blue/web                               after cache
    [12] ←11      wait until blue/web is ready                 a route leads to it
    [13] ←2,9,12  make blue known to the proxy                 its preview leads to it from here on
    ");
    world.apply(&plan);
    assert_eq!(world.routing.stacks[&Color::Blue].release, "r2");
}

#[test]
fn a_stopped_container_of_the_last_release_is_removed_without_being_stopped() {
    let stage = Stage::app_only(COMPOSE);
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    world.container("shop-devlocal-blue-web-1").state = State::Exited { code: 1 };
    let plan = stage.deploy(&world, Color::Blue, "r2").unwrap().to_string();
    assert!(!plan.contains("stop shop-devlocal-blue-web-1"), "{plan}");
    assert!(plan.contains("stop shop-devlocal-blue-cache-1"), "{plan}");
}

#[test]
fn a_network_is_made_anew_only_when_its_definition_changed() {
    let before = Stage::app_only(COMPOSE);
    let mut world = World::default();
    before.deployed(&mut world, Color::Blue, "r1");
    let after = Stage::app_only(&format!("{COMPOSE}networks: {{ default: {{ internal: true }} }}"));
    let plan = after.deploy(&world, Color::Blue, "r2").unwrap();
    assert_snapshot!(plan, @"
    [1]            wait until nothing is open on blue           it is replaced
    [2]  ←1        take blue off the proxy                      it is replaced
    [3]  ←2        stop shop-devlocal-blue-cache-1              of the color's last release
    [4]  ←3        remove container shop-devlocal-blue-cache-1  of the color's last release
    [5]  ←2        stop shop-devlocal-blue-web-1                of the color's last release
    [6]  ←5        remove container shop-devlocal-blue-web-1    of the color's last release
    [7]  ←4,6      remove network shop-devlocal-blue-network    its definition changed
    [8]  ←7        create network shop-devlocal-blue-network    its definition changed
    [9]  ←4,8      create blue/cache (redis:8)                  a fresh stack
    [10] ←9        start blue/cache                             depends on nothing
    [11] ←10       wait until blue/cache is healthy             web depends on it
    [12] ←6,8      create blue/web (nginx:1.27)                 a fresh stack
    [13] ←11,12    start blue/web                               after cache
    [14] ←13       wait until blue/web is ready                 a route leads to it
    [15] ←2,11,14  make blue known to the proxy                 its preview leads to it from here on
    ");
    world.apply(&plan);
}

#[test]
fn a_named_volume_is_fresh_with_each_release_and_one_for_each_color() {
    let stage = Stage::app_only(
        "services: { web: { image: nginx, volumes: ['uploads:/srv'] } }\nvolumes: { uploads: }",
    );
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    stage.deployed(&mut world, Color::Green, "r1");
    let plan = stage.deploy(&world, Color::Blue, "r2").unwrap();
    assert_snapshot!(plan, @"
    [1]        wait until nothing is open on blue         it is replaced
    [2]  ←1    take blue off the proxy                    it is replaced
    [3]  ←2    stop shop-devlocal-blue-web-1              of the color's last release
    [4]  ←3    remove container shop-devlocal-blue-web-1  of the color's last release
    [5]  ←4    remove volume shop-devlocal-blue-uploads   of the color's last release
    [6]  ←5    create volume shop-devlocal-blue-uploads   not found
    [7]  ←4,6  create blue/web (nginx)                    a fresh stack
    [8]  ←7    start blue/web                             depends on nothing
    [9]  ←8    wait until blue/web is healthy             it is part of the stack
    [10] ←2,9  make blue known to the proxy               its preview leads to it from here on
    ");
    world.apply(&plan);
    assert!(world.observed.volume("shop-devlocal-green-uploads").is_some());
}

#[test]
fn replicas_each_have_their_own_steps() {
    let stage = Stage::app_only(
        r#"
services:
  web: { image: nginx, ports: ["8000:80"], deploy: { replicas: 2 } }
  none: { image: nginx, scale: 0 }
"#,
    );
    let plan = stage.deploy(&World::default(), Color::Green, "r1").unwrap();
    assert_snapshot!(plan, @"
    [1]            make image envctl-proxy:1                   the proxy runs from it
    [2]            create network shop-devlocal-proxy-network  not found
    [3]            create volume shop-devlocal-proxy-state     not found
    [4]            create volume envctl-ca                     not found
    [5]  ←1,2,3,4  create the proxy                            not found
    [6]  ←5        start the proxy                             it carries the traffic
    [7]            pull image nginx                            none needs it
    [8]            create network shop-devlocal-green-network  not found
    [9]  ←2,7,8    create green/web-1 (nginx)                  a fresh stack
    [10] ←9        start green/web-1                           depends on nothing
    [11] ←6,10     wait until green/web-1 is ready             a route leads to it
    [12] ←2,7,8    create green/web-2 (nginx)                  a fresh stack
    [13] ←12       start green/web-2                           depends on nothing
    [14] ←6,13     wait until green/web-2 is ready             a route leads to it
    [15] ←6,11,14  make green known to the proxy               its preview leads to it from here on
    ");
}

#[test]
fn images_are_pulled_built_or_either_and_each_only_once() {
    let stage = Stage::app_only(
        r#"
services:
  a: { image: redis:8 }
  b: { image: redis:8 }
  c: { build: . }
  d: { image: "shop/d:1", build: . }
  e: { image: "shop/e:1", build: ., pull_policy: build }
"#,
    );
    let mut world = World::default();
    let app = stage.app(Color::Blue, "r1");
    let images = |world: &World| {
        let plan = stage.deploy_app(world, &app, false).unwrap();
        let lines = plan.lines().into_iter().filter(|line| line.contains("needs it"));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(images(&world), @"
    [7]                     pull image redis:8                          a needs it
    [8]                     build image shop-c:c00000000000             c needs it
    [9]                     pull or build image shop/d:1-d00000000000   d needs it
    [10]                    build image shop/e:1-e00000000000           e needs it
    ");
    stage.deployed(&mut world, Color::Blue, "r1");
    assert_eq!(images(&world), "");
}

#[test]
fn a_failed_build_leaves_the_colors_last_release_standing() {
    let stage = Stage::app_only(COMPOSE);
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    world.images.remove("redis:8");
    let plan = stage.deploy(&world, Color::Blue, "r2").unwrap();
    let is_image = |action: &Action| matches!(action, Action::GetImage(_));
    let image = plan.steps().iter().find(|step| is_image(&step.action)).unwrap().id;
    for step in plan.steps() {
        let takes = matches!(step.action, Action::Stop(_) | Action::Remove(_))
            || matches!(&step.action, Action::Tell(r) if matches!(**r, Request::Forget { .. }));
        assert!(!takes || comes_after(&plan, step.id, image), "{}\n{plan}", step.title);
    }
}

fn comes_after(plan: &crate::plan::Plan, step: crate::plan::Id, other: crate::plan::Id) -> bool {
    step == other || plan.step(step).after.iter().any(|before| comes_after(plan, *before, other))
}

#[test]
fn a_color_is_known_to_the_proxy_only_when_all_of_it_is_there() {
    let stage = Stage::new(
        "name: shop\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n",
        "services: { web: { image: a }, worker: { image: a }, migrate: { image: a } }",
    );
    let plan = stage.deploy(&World::default(), Color::Blue, "r1").unwrap();
    let put = plan.steps().last().unwrap();
    assert!(matches!(&put.action, Action::Tell(r) if matches!(**r, Request::Put { .. })));
    for step in plan.steps() {
        assert!(comes_after(&plan, put.id, step.id), "{} is not awaited\n{plan}", step.title);
    }
}

#[test]
fn the_live_color_is_refused_unless_it_is_meant() {
    let stage = Stage::new(
        "name: shop\napp: {}\n",
        "services: { web: { image: nginx, volumes: ['data:/srv'] } }\nvolumes: { data: }",
    );
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    stage.switched(&mut world, Color::Blue);
    let refused = stage.deploy(&world, Color::Blue, "r2").unwrap_err();
    assert_eq!(refused, Conflict::Live { color: Color::Blue });
    let plan = stage.deploy_app(&world, &stage.app(Color::Blue, "r2"), true).unwrap();
    assert_snapshot!(plan, @"
    [1]     stop shop-devlocal-blue-web-1              of the color's last release
    [2] ←1  remove container shop-devlocal-blue-web-1  of the color's last release
    [3] ←2  create blue/web (nginx)                    a fresh stack
    [4] ←3  start blue/web                             depends on nothing
    [5] ←4  wait until blue/web is healthy             it is part of the stack
    [6] ←5  make blue known to the proxy               its preview leads to it from here on
    ");
    world.apply(&plan);
}

#[test]
fn a_color_that_runs_what_the_files_say_is_up_to_date_and_any_other_is_not() {
    use crate::plan::is_up_to_date;
    let stage = Stage::new(
        "name: shop\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n",
        "services: { web: { image: a }, worker: { image: a }, migrate: { image: a } }",
    );
    let app = stage.app(Color::Blue, "r1");
    let mut live = World::default();
    stage.deployed(&mut live, Color::Blue, "r1");
    stage.switched(&mut live, Color::Blue);
    let current =
        |world: &World| is_up_to_date(stage.names(), &app, &world.observed, &world.images);
    assert!(current(&live));

    let without = |name: &str| {
        let mut world = live.clone();
        world.remove_container(name);
        current(&world)
    };
    for service in ["web", "worker", "migrate"] {
        assert!(!without(&format!("shop-devlocal-blue-{service}-1")), "{service} is gone");
    }
    let mut world = live.clone();
    world.container("shop-devlocal-blue-web-1").state = State::Exited { code: 0 };
    assert!(!current(&world), "a service is stopped");
    let mut world = live.clone();
    world.remove_network("shop-devlocal-blue-network");
    assert!(!current(&world), "its network is gone");
    let mut world = live.clone();
    world.images.get_mut("a").unwrap().id = "sha256:newer".to_owned();
    assert!(!current(&world), "its image was pulled anew");
    let other = Stage::app_only("services: { web: { image: b } }").app(Color::Blue, "r1");
    assert!(!is_up_to_date(stage.names(), &other, &live.observed, &live.images));
}

#[test]
fn a_release_whose_containers_are_lost_is_forgotten_before_the_next_is_made_known() {
    let stage = Stage::app_only(COMPOSE);
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    world.observed.containers.retain(|found| found.label(labels::COLOR).is_none());
    let plan = stage.deploy(&world, Color::Blue, "r2").unwrap();
    let step = |words: &str| plan.steps().iter().find(|step| step.title.contains(words)).unwrap();
    assert!(step("known to the proxy").after.contains(&step("off the proxy").id), "{plan}");
}
