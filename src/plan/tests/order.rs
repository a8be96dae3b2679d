//! The order that `depends_on` asks for, and the services that run to an end.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::model::Color;

/// The steps of services alone: the proxy, networks and images come before them all.
fn services(stage: &Stage) -> String {
    let mut world = World::default();
    let nothing = Stage::app_only("services: { none: { image: a, scale: 0 } }");
    stage.deployed(&mut world, Color::Blue, "r1");
    nothing.deployed(&mut world, Color::Green, "r1");
    let plan = stage.deploy(&world, Color::Green, "r2").unwrap();
    let mut checked = world.clone();
    checked.apply(&plan);
    plan.to_string()
}

#[test]
fn a_started_dependency_is_not_awaited() {
    let stage = Stage::app_only(
        r"
services:
  api: { image: a, depends_on: [cache] }
  cache: { image: a }
",
    );
    assert_snapshot!(services(&stage), @"
    [1]         wait until nothing is open on green  it is replaced
    [2] ←1      take green off the proxy             it is replaced
    [3]         create green/cache (a)               a fresh stack
    [4] ←3      start green/cache                    depends on nothing
    [5] ←4      wait until green/cache is healthy    api depends on it
    [6]         create green/api (a)                 a fresh stack
    [7] ←4,6    start green/api                      after cache
    [8] ←7      wait until green/api is healthy      it is part of the stack
    [9] ←2,5,8  make green known to the proxy        its preview leads to it from here on
    ");
}

#[test]
fn a_healthy_dependency_is_awaited() {
    let stage = Stage::app_only(
        r"
services:
  api: { image: a, depends_on: { cache: { condition: service_healthy } } }
  cache: { image: a, healthcheck: { test: ping } }
",
    );
    assert_snapshot!(services(&stage), @"
    [1]         wait until nothing is open on green  it is replaced
    [2] ←1      take green off the proxy             it is replaced
    [3]         create green/cache (a)               a fresh stack
    [4] ←3      start green/cache                    depends on nothing
    [5] ←4      wait until green/cache is healthy    api depends on it
    [6]         create green/api (a)                 a fresh stack
    [7] ←5,6    start green/api                      after cache
    [8] ←7      wait until green/api is healthy      it is part of the stack
    [9] ←2,5,8  make green known to the proxy        its preview leads to it from here on
    ");
}

#[test]
fn a_job_ends_well_before_what_awaits_it_starts() {
    let stage = Stage::app_only(
        r"
services:
  api: { image: a, depends_on: { seed: { condition: service_completed_successfully } } }
  seed: { image: a, depends_on: { cache: { condition: service_healthy } } }
  cache: { image: a }
",
    );
    assert_snapshot!(services(&stage), @"
    [1]             wait until nothing is open on green   it is replaced
    [2]  ←1         take green off the proxy              it is replaced
    [3]             create green/cache (a)                a fresh stack
    [4]  ←3         start green/cache                     depends on nothing
    [5]  ←4         wait until green/cache is healthy     seed depends on it
    [6]             create green/seed (a)                 a fresh stack
    [7]  ←5,6       start green/seed                      after cache
    [8]  ←7         wait until green/seed has ended well  api depends on it
    [9]             create green/api (a)                  a fresh stack
    [10] ←8,9       start green/api                       after seed
    [11] ←10        wait until green/api is healthy       it is part of the stack
    [12] ←2,5,8,11  make green known to the proxy         its preview leads to it from here on
    ");
}

#[test]
fn all_replicas_of_a_dependency_are_awaited() {
    let stage = Stage::app_only(
        r"
services:
  api: { image: a, depends_on: { cache: { condition: service_healthy } } }
  cache: { image: a, scale: 2 }
",
    );
    assert_snapshot!(services(&stage), @"
    [1]             wait until nothing is open on green  it is replaced
    [2]  ←1         take green off the proxy             it is replaced
    [3]             create green/cache-1 (a)             a fresh stack
    [4]  ←3         start green/cache-1                  depends on nothing
    [5]  ←4         wait until green/cache-1 is healthy  api depends on it
    [6]             create green/cache-2 (a)             a fresh stack
    [7]  ←6         start green/cache-2                  depends on nothing
    [8]  ←7         wait until green/cache-2 is healthy  api depends on it
    [9]             create green/api (a)                 a fresh stack
    [10] ←5,8,9     start green/api                      after cache
    [11] ←10        wait until green/api is healthy      it is part of the stack
    [12] ←2,5,8,11  make green known to the proxy        its preview leads to it from here on
    ");
}

#[test]
fn a_service_that_uses_anothers_network_or_ipc_starts_after_it() {
    let stage = Stage::app_only(
        r#"
services:
  side: { image: a, network_mode: "service:web" }
  web: { image: a }
"#,
    );
    assert_snapshot!(services(&stage), @"
    [1]         wait until nothing is open on green  it is replaced
    [2] ←1      take green off the proxy             it is replaced
    [3]         create green/web (a)                 a fresh stack
    [4] ←3      start green/web                      depends on nothing
    [5] ←4      wait until green/web is healthy      side depends on it
    [6]         create green/side (a)                a fresh stack
    [7] ←4,6    start green/side                     after web
    [8] ←7      wait until green/side is healthy     it is part of the stack
    [9] ←2,5,8  make green known to the proxy        its preview leads to it from here on
    ");
}

#[test]
fn workers_and_hooks_are_made_and_not_started() {
    let stage = Stage::new(
        "name: shop\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n",
        r"
services:
  web: { image: a, depends_on: [worker] }
  worker: { image: a, depends_on: [web2] }
  web2: { image: a }
  migrate: { image: a, depends_on: { web2: { condition: service_healthy } } }
",
    );
    assert_snapshot!(services(&stage), @"
    [1]               wait until nothing is open on green  it is replaced
    [2]  ←1           take green off the proxy             it is replaced
    [3]               create green/web2 (a)                a fresh stack
    [4]  ←3           start green/web2                     depends on nothing
    [5]  ←4           wait until green/web2 is healthy     migrate, worker depends on it
    [6]               create green/migrate (a)             runs when green is switched to or goes
    [7]               create green/worker (a)              starts when green goes live
    [8]               create green/web (a)                 a fresh stack
    [9]  ←8           start green/web                      after worker
    [10] ←9           wait until green/web is healthy      it is part of the stack
    [11] ←2,5,6,7,10  make green known to the proxy        its preview leads to it from here on
    ");
}

#[test]
fn a_routed_service_is_ready_when_the_proxy_reaches_it_and_another_when_it_is_healthy() {
    let stage = Stage::new(
        "name: shop\napp: {}\nproxy: { routes: [{ listen: 3000, paths: { /: web:80, /api: api:8080 } }] }\n",
        r#"
services:
  web: { image: a, ports: ["9999:99"] }
  api: { image: a }
  back: { image: a }
"#,
    );
    let plan = stage.deploy(&World::default(), Color::Blue, "r1").unwrap();
    let waits: Vec<String> = plan
        .steps()
        .iter()
        .filter_map(|step| match &step.action {
            crate::plan::Action::Await(wait) => Some(format!("{} {:?}", wait.service, wait.until)),
            _ => None,
        })
        .collect();
    assert_snapshot!(waits.join("\n"), @r#"
    blue/api Accepting { host: "blue-api", ports: [8080] }
    blue/back Healthy
    blue/web Accepting { host: "blue-web", ports: [80] }
    "#);
}

#[test]
fn a_wait_lasts_as_long_as_the_files_own_check_allows_within_the_users_limit() {
    let stage = Stage::app_only(
        r"
services:
  none: { image: a }
  short: { image: a, healthcheck: { test: ping, interval: 1s, timeout: 1s, retries: 1 } }
  middle: { image: a, healthcheck: { test: ping, interval: 5s, timeout: 5s, retries: 4, start_period: 10s } }
  long: { image: a, healthcheck: { test: ping, interval: 5m } }
  off: { image: a, healthcheck: { disable: true } }
",
    );
    let app = stage.app(Color::Blue, "r1");
    let limits: Vec<String> =
        app.services.iter().map(|s| format!("{} {} s", s.key, s.limit.as_secs())).collect();
    assert_eq!(limits, ["long 60 s", "middle 50 s", "none 60 s", "off 60 s", "short 30 s"]);
}
