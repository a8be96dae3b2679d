//! Pipelines on several machines: two that deploy at once, and jobs that are cancelled. Another machine is one whose
//! processes are not seen: a process namespace of its own.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    program::{self, Outcome, Running},
    wait,
};

const SOON: Duration = Duration::from_secs(60);
/// What a cancelled job may cost the next one.
const TAKEN_OVER: Duration = Duration::from_secs(30);

/// What a command that only looks may take beside one that holds the lock.
const LOOK: Duration = Duration::from_secs(10);

fn runs(name: &str) -> bool {
    engine::docker(&format!("inspect --format {{{{.State.Running}}}} {name}")).stdout.trim()
        == "true"
}

fn deploying(sandbox: &Sandbox) -> Running {
    let job = sandbox.envctl("deploy green").start();
    wait::until_true(SOON, "green's container runs", || runs(&sandbox.thing("green-web-1")));
    job
}

/// The command, as on another machine.
fn elsewhere(sandbox: &Sandbox, words: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(env!("CARGO_BIN_EXE_envctl")).args(words.split_whitespace());
    sandbox.surround(&mut command);
    command.current_dir(sandbox.path(""));
    command
}

/// The container that is the lock now; empty where there is none.
fn lock(sandbox: &Sandbox) -> String {
    let id = format!("inspect --format {{{{.Id}}}} {}", sandbox.thing("lock"));
    engine::docker(&id).stdout.trim().to_owned()
}

/// Blue served all the time, and the next job on another machine gets the lock in time; `tells` where it is known to have
/// been left behind.
#[track_caller]
fn the_next_job_goes_on(sandbox: &Sandbox, cancelled: Instant, tells: bool) -> Outcome {
    assert_eq!(sandbox.ask("/mark"), "first");
    sandbox.edit("compose.yaml", "/ready", "/serve.pl");
    let left = lock(sandbox);
    let mut next = Running::start(&mut elsewhere(sandbox, "deploy green"));
    if tells {
        next.wait_for("died under way", TAKEN_OVER);
    }
    wait::until_true(TAKEN_OVER, "another has the lock", || {
        let now = lock(sandbox);
        now != left || next.is_over()
    });
    let taken_over = cancelled.elapsed();
    println!("from the cancellation to the next job's lock: {taken_over:?}");
    assert!(taken_over < TAKEN_OVER, "{taken_over:?}");
    let next = next.end(program::LIMIT).ok();
    assert_eq!(engine::container(&sandbox.thing("lock")), None);
    let _ = sandbox.ok("switch green").says("green is live");
    next
}

#[test]
fn a_cancelled_job_costs_the_next_one_30_seconds_at_most() {
    let sandbox = Sandbox::waiting();
    let job = deploying(&sandbox);
    let cancelled = Instant::now();
    // As a runner does it, with no moment between: it may give the lock back, and it may not.
    job.signal("TERM");
    let _ = job.kill();
    let _ = the_next_job_goes_on(&sandbox, cancelled, false);
    let history = sandbox.ok("history").stdout;
    assert!(history.contains("interrupted after") || history.contains("crashed"), "{history}");
}

#[test]
fn the_lock_of_a_killed_job_is_taken_over_from_another_machine_within_30_seconds() {
    let sandbox = Sandbox::waiting();
    let job = deploying(&sandbox);
    let beat = format!("cp {}:/beat -", sandbox.thing("lock"));
    wait::until_true(SOON, "the journal tells of the wait", || {
        let beat = engine::docker(&beat).stdout;
        beat.contains("\"running\":[") && beat.contains("start green/web")
    });
    let cancelled = Instant::now();
    assert_eq!(job.kill().code, None);
    let next = the_next_job_goes_on(&sandbox, cancelled, true);
    let _ = next.says("`deploy green` of tester@").says("died under way, at step ");
    let _ = sandbox.ok("history").shows("crashed at step ");
}

#[test]
fn of_two_pipelines_that_deploy_at_once_one_waits_and_both_end_well() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    // Two checkouts of two revisions, on two machines.
    let other = tempfile::tempdir().unwrap();
    for file in ["envctl.yaml", "compose.yaml", "web/serve.pl", "web/Dockerfile"] {
        let to = other.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(sandbox.path(file), to).unwrap();
    }
    sandbox.mark_web("left");
    let text = std::fs::read_to_string(other.path().join("compose.yaml")).unwrap();
    std::fs::write(other.path().join("compose.yaml"), text.replace("first", "right")).unwrap();
    let mut second = elsewhere(&sandbox, "up");
    second.current_dir(other.path());
    let first = sandbox.envctl("up").start();
    let second = Running::start(&mut second);
    let (first, second) = (first.end(program::LIMIT).ok(), second.end(program::LIMIT).ok());
    let waited = |outcome: &Outcome| outcome.stderr.contains("waiting for the lock: `up` of ");
    assert!(waited(&first) != waited(&second), "{first}\n{second}");
    // The one that waited came last, on the color that the other had left.
    let last = if waited(&first) { "left" } else { "right" };
    assert_eq!(sandbox.ask("/mark"), last);
    assert_eq!(sandbox.color(), "blue");
    assert_eq!(engine::container(&sandbox.thing("lock")), None);
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("")).len(), 3);
    let outcomes = sandbox.ok("history --json").json();
    assert!(outcomes.as_array().unwrap().iter().all(|change| change["outcome"] == "done"));
}

#[test]
fn the_ci_job_that_holds_the_lock_is_told_to_who_waits_is_refused_or_looks() {
    const JOB: &str = "https://gitlab.example/shop/-/jobs/7";
    let sandbox = Sandbox::waiting();
    let job = sandbox.envctl("deploy green").env("CI_JOB_URL", JOB).start();
    wait::until_true(SOON, "green's container runs", || runs(&sandbox.thing("green-web-1")));
    let by = format!("({JOB}) ");

    let refused = sandbox.envctl("switch --lock-wait 0s").run().code(7);
    let _ = refused.says("`deploy green` of tester@").says(&format!("{by}holds the lock since"));
    let _ = sandbox.ok("status").shows("under way: `deploy green` of tester@").shows(&by);
    assert_eq!(sandbox.ok("status --json").json()["lock"]["job"], JOB);
    for looks in ["history", "plan deploy green", "logs blue --tail 1", "doctor", "config"] {
        let looked = sandbox.envctl(looks).run();
        assert!(looked.code != Some(7) && looked.took < LOOK, "{looked}");
        assert!(!looked.stderr.contains("waiting for"), "{looked}");
    }
    let mut waits = sandbox.envctl("deploy green").start();
    waits.wait_for(&format!("{by}holds it since"), SOON);
    drop(waits);

    let _ = job.kill();
    let _ = sandbox.ok("status").shows("broken off: `deploy green` of tester@").shows(&by);
    sandbox.edit("compose.yaml", "/ready", "/serve.pl");
    let next = sandbox.ok("deploy green");
    let _ = next.says(&format!("{by}(since ")).says("died under way");
    let all = sandbox.ok("history --json").json();
    let jobs: Vec<_> =
        all.as_array().unwrap().iter().map(|change| change["job"].as_str()).collect();
    assert_eq!(jobs, [None, None, Some(JOB), None]);
    let _ = sandbox.ok("history show 3").shows(JOB).shows("crashed");
}
