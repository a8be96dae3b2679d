//! `switch` and what goes before and after it.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{Color, State},
    plan::Conflict,
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
fn a_color_without_a_release_is_refused_also_by_force() {
    let stage = stage();
    let refused = stage.switch_as(&World::default(), Color::Green, false, true).unwrap_err();
    assert_eq!(refused.to_string(), "green has no release");
}
