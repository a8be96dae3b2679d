//! `switch` and what goes before and after it.

use std::time::Duration;

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{Color, Restart, State},
    plan::{Action, Conflict, Plan},
};

fn stage() -> Stage {
    Stage::new(
        "name: shop\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n",
        "services: { web: { image: a }, worker: { image: a, scale: 2 }, migrate: { image: a } }",
    )
}

/// Blue live, green deployed.
fn both(stage: &Stage) -> World {
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    stage.switched(&mut world, Color::Blue);
    stage.deployed(&mut world, Color::Green, "r2");
    world
}

#[test]
fn the_first_switch_runs_hooks_moves_the_traffic_and_starts_workers() {
    let stage = stage();
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    assert_snapshot!(stage.switch(&world, Color::Blue).unwrap(), @"
    [1]     run blue/migrate                        hooks.before_switch
    [2] ←1  wait until blue/migrate has ended well  its failure stops the switch
    [3] ←2  switch all routes from nothing to blue  release r1
    [4] ←3  start blue/worker                       blue is live
    [5] ←4  wait until blue/worker is healthy       it works from here on
    [6] ←3  start blue/worker                       blue is live
    [7] ←6  wait until blue/worker is healthy       it works from here on
    ");
}

#[test]
fn the_old_colors_workers_stop_before_the_new_ones_start() {
    let stage = stage();
    assert_snapshot!(stage.switch(&both(&stage), Color::Green).unwrap(), @"
    [1]         run green/migrate                        hooks.before_switch
    [2] ←1      wait until green/migrate has ended well  its failure stops the switch
    [3] ←2      switch all routes from blue to green     release r2
    [4] ←3      stop blue/worker                         blue is no longer live
    [5] ←3      stop blue/worker                         blue is no longer live
    [6] ←3,4,5  start green/worker                       green is live
    [7] ←6      wait until green/worker is healthy       it works from here on
    [8] ←3,4,5  start green/worker                       green is live
    [9] ←8      wait until green/worker is healthy       it works from here on
    ");
}

#[test]
fn the_way_back_runs_no_hook_again() {
    let stage = stage();
    let mut world = both(&stage);
    stage.switched(&mut world, Color::Green);
    assert_snapshot!(stage.switch(&world, Color::Blue).unwrap(), @"
    [1]         switch all routes from green to blue  release r1
    [2] ←1      stop green/worker                     green is no longer live
    [3] ←1      stop green/worker                     green is no longer live
    [4] ←1,2,3  start blue/worker                     blue is live
    [5] ←4      wait until blue/worker is healthy     it works from here on
    [6] ←1,2,3  start blue/worker                     blue is live
    [7] ←6      wait until blue/worker is healthy     it works from here on
    ");
}

#[test]
fn workers_that_run_while_their_color_is_idle_are_stopped_and_started_on_the_way_back() {
    let stage = stage();
    let mut world = both(&stage);
    let whole = stage.switch(&world, Color::Green).unwrap();
    // Killed while it stopped the second of blue's workers.
    world.apply_first(&whole, 4);
    assert_snapshot!(stage.switch(&world, Color::Blue).unwrap(), @"
    [1]       switch all routes from green to blue  release r1
    [2] ←1    stop blue/worker                      it may be stopping already
    [3] ←1,2  start blue/worker                     blue is live
    [4] ←3    wait until blue/worker is healthy     it works from here on
    [5] ←1,2  start blue/worker                     blue is live
    [6] ←5    wait until blue/worker is healthy     it works from here on
    ");
}

#[test]
fn a_hook_that_failed_is_run_again() {
    let stage = stage();
    let mut world = both(&stage);
    world.container("shop-devlocal-green-migrate-1").state = State::Exited { code: 1 };
    let plan = stage.switch(&world, Color::Green).unwrap().to_string();
    assert!(plan.contains("run green/migrate"), "{plan}");
}

#[test]
fn a_color_that_is_live_with_its_workers_leaves_nothing_to_do() {
    let stage = stage();
    let world = both(&stage);
    assert!(stage.switch(&world, Color::Blue).unwrap().is_empty());
}

#[test]
fn a_switch_that_was_killed_after_any_step_is_completed_by_the_next() {
    let stage = stage();
    let before = both(&stage);
    let whole = stage.switch(&before, Color::Green).unwrap();
    let mut done = before.clone();
    done.apply(&whole);
    for steps in 0..=whole.steps().len() {
        let mut world = before.clone();
        world.apply_first(&whole, steps);
        let rest = stage.switch(&world, Color::Green).unwrap();
        world.apply(&rest);
        assert_eq!(world, done, "after {steps} steps of\n{whole}\nthe rest is\n{rest}");
    }
}

#[test]
fn only_a_release_whose_tests_passed_is_switched_to_where_the_project_has_checks() {
    let stage = stage();
    let mut world = both(&stage);
    let to = |world: &World, force| stage.switch_as(world, Color::Green, true, force);
    let (color, release) = (Color::Green, "r2".to_owned());
    assert_eq!(to(&world, false), Err(Conflict::NotTested { color, release: release.clone() }));
    assert!(to(&world, true).is_ok());
    world.tested(color, false);
    assert_eq!(to(&world, false), Err(Conflict::TestsFailed { color, release }));
    assert!(to(&world, true).is_ok());
    world.tested(color, true);
    assert!(to(&world, false).is_ok());
}

#[test]
fn a_service_that_ended_is_looked_at_first_unless_another_replica_of_it_runs() {
    let stage = Stage::new(
        "name: shop\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n",
        "services: { web: { image: a, scale: 2 }, worker: { image: a }, migrate: { image: a } }",
    );
    let mut world = both(&stage);
    let usual = stage.switch(&world, Color::Green).unwrap();
    world.container("shop-devlocal-green-web-1").state = State::Exited { code: 3 };
    assert_eq!(stage.switch(&world, Color::Green).unwrap(), usual);
    world.container("shop-devlocal-green-web-2").state = State::Restarting;
    assert_snapshot!(stage.switch(&world, Color::Green).unwrap(), @"
    [1]       wait until green/web is healthy          it does not run
    [2]       wait until green/web is healthy          it does not run
    [3] ←1,2  run green/migrate                        hooks.before_switch
    [4] ←3    wait until green/migrate has ended well  its failure stops the switch
    [5] ←4    switch all routes from blue to green     release r2
    [6] ←5    stop blue/worker                         blue is no longer live
    [7] ←5,6  start green/worker                       green is live
    [8] ←7    wait until green/worker is healthy       it works from here on
    ");
    assert_eq!(stage.switch_as(&world, Color::Green, false, true).unwrap(), usual);
}

#[test]
fn a_color_without_a_release_is_refused_also_by_force() {
    let stage = stage();
    let refused = stage.switch_as(&World::default(), Color::Green, false, true).unwrap_err();
    assert_eq!(refused.to_string(), "green has no release");
}

fn with_all_hooks() -> Stage {
    Stage::new(
        "name: shop\napp: { workers: [worker] }\nhooks: { before_switch: [{ service: schema, timeout: 5m }, rows], after_switch: [notify], before_cleanup: [goodbye] }\n",
        "services: { web: { image: a }, worker: { image: a, restart: always }, rows: { image: a, restart: always }, schema: { image: a }, notify: { image: a, profiles: [tasks] }, goodbye: { image: a } }",
    )
}

#[test]
fn hooks_run_in_the_order_of_the_file_before_and_after_everything_else() {
    let stage = with_all_hooks();
    let world = both(&stage);
    assert_snapshot!(stage.switch(&world, Color::Green).unwrap(), @"
    [1]          run green/schema                        hooks.before_switch
    [2]  ←1      wait until green/schema has ended well  its failure stops the switch
    [3]  ←2      run green/rows                          hooks.before_switch
    [4]  ←3      wait until green/rows has ended well    its failure stops the switch
    [5]  ←4      switch all routes from blue to green    release r2
    [6]  ←5      stop blue/worker                        blue is no longer live
    [7]  ←5,6    start green/worker                      green is live
    [8]  ←7      wait until green/worker is healthy      it works from here on
    [9]  ←5,6,8  run green/notify                        hooks.after_switch
    [10] ←9      wait until green/notify has ended well  its failure does not switch back
    ");
    let limit = |container: &str| {
        let plan = stage.switch(&world, Color::Green).unwrap();
        plan.steps().iter().find_map(|step| match &step.action {
            Action::Follow(wait) if wait.container == container => Some(wait.limit),
            _ => None,
        })
    };
    assert_eq!(limit("shop-devlocal-green-schema-1"), Some(Duration::from_secs(300)));
    assert_eq!(limit("shop-devlocal-green-rows-1"), Some(super::stage::WAIT));
}

#[test]
fn the_engine_starts_no_hook_and_no_idle_worker_on_its_own() {
    let app = with_all_hooks().app(Color::Green, "r2");
    let restart = |key: &str| {
        app.services.iter().find(|service| service.key == key).unwrap().replicas[0].restart
    };
    assert_eq!(restart("rows"), Restart::No);
    assert_eq!(restart("worker"), Restart::UnlessStopped);
}

#[test]
fn of_a_worker_that_is_restarted_on_failure_the_engine_starts_none_that_was_stopped() {
    let policy = "deploy: { restart_policy: { condition: on-failure, max_attempts: 3 } }";
    for restart in ["restart: on-failure", "restart: \"on-failure:3\"", policy] {
        let stage = Stage::new(
            "name: shop\napp: { workers: [worker] }\n",
            &format!("services: {{ web: {{ image: a }}, worker: {{ image: a, {restart} }} }}"),
        );
        let app = stage.app(Color::Green, "r2");
        let worker = app.services.iter().find(|service| service.key == "worker").unwrap();
        assert_eq!(worker.replicas[0].restart, Restart::UnlessStopped, "{restart}");
    }
}

#[test]
fn the_last_hooks_run_again_on_the_way_back_and_the_first_ones_do_not() {
    let stage = with_all_hooks();
    let mut world = both(&stage);
    stage.switched(&mut world, Color::Green);
    let plan = stage.switch(&world, Color::Blue).unwrap().to_string();
    assert!(plan.contains("run blue/notify") && !plan.contains("run blue/schema"), "{plan}");
}

#[test]
fn a_switch_with_hooks_that_was_killed_after_any_step_is_completed_with_each_hook_run_once() {
    let stage = with_all_hooks();
    let before = both(&stage);
    let whole = stage.switch(&before, Color::Green).unwrap();
    let starts = |plan: &Plan, steps: usize| -> Vec<String> {
        let hook = |name: &String| !name.contains("worker");
        let done = plan.steps()[..steps].iter().filter_map(|step| match &step.action {
            Action::Start(name) => Some(name.clone()),
            _ => None,
        });
        done.filter(hook).collect()
    };
    for steps in 0..=whole.steps().len() {
        let mut world = before.clone();
        world.apply_first(&whole, steps);
        let rest = stage.switch(&world, Color::Green).unwrap();
        let mut ran = starts(&whole, steps);
        ran.extend(starts(&rest, rest.steps().len()));
        let all = ["schema", "rows", "notify"].map(|key| format!("shop-devlocal-green-{key}-1"));
        assert_eq!(ran, all, "after {steps} steps of\n{whole}\nthe rest is\n{rest}");
        world.apply(&rest);
        assert!(stage.switch(&world, Color::Green).unwrap().is_empty(), "after {steps} steps");
    }
}

#[test]
fn the_hooks_of_a_color_that_goes_run_once_nothing_is_open_on_it() {
    let stage = with_all_hooks();
    let mut world = both(&stage);
    stage.switched(&mut world, Color::Green);
    let plan = stage.cleanup(&world, Color::Blue).unwrap().to_string();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let first: Vec<String> = plan.lines().take(4).map(words).collect();
    assert_snapshot!(first.join("\n"), @"
    [1] wait until nothing is open on blue its connections end in peace
    [2] ←1 run blue/goodbye hooks.before_cleanup
    [3] ←2 wait until blue/goodbye has ended well its failure stops the cleanup
    [4] ←3 take blue off the proxy blue is idle
    ");
    // A cleanup that was killed after the hook does not run it again.
    world.container("shop-devlocal-blue-goodbye-1").state = State::Exited { code: 0 };
    let plan = stage.cleanup(&world, Color::Blue).unwrap().to_string();
    assert!(!plan.contains("run blue/goodbye"), "{plan}");
}

#[test]
fn a_stopped_container_of_somebody_else_that_has_the_proxys_name_is_not_started() {
    let stage = stage();
    let mut world = both(&stage);
    let proxy = world.container("shop-devlocal-proxy");
    proxy.state = State::Exited { code: 0 };
    assert!(stage.switch(&world, Color::Green).unwrap().to_string().contains("start the proxy"));
    world.container("shop-devlocal-proxy").labels.clear();
    let refused = stage.switch(&world, Color::Green).unwrap_err();
    assert!(matches!(refused, Conflict::NotOurs { kind: "container", .. }), "{refused}");
}
