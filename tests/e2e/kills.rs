//! kill -9 of what moves, removes and scales at random moments: the live color answers all the time, the next command says
//! what was under way and ends well, and nothing is left over.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http::Connection,
    random::Random,
    sandbox::PROJECT,
    wait,
};

const KILLS: u64 = 4;

/// Web services with a volume and a network, a worker, and hooks around a switch and before a cleanup. Blue is live, green
/// stands.
fn project() -> Sandbox {
    let sandbox = Sandbox::small();
    sandbox.edit("compose.yaml", "    ports:", "    volumes: [data:/data]\n    ports:");
    let service = |name: &str, command: &str| {
        format!(
            "  {name}:\n    build: web\n    init: true\n    stop_grace_period: 2s\n    command: [sh, -c, {command:?}]\n"
        )
    };
    let more = [
        service("beat", "while :; do sleep 1; done"),
        service("notify", "echo told by $$ENVCTL_COLOR"),
        service("farewell", "echo goodbye of $$ENVCTL_COLOR"),
        "volumes: { data: }\n".to_owned(),
    ];
    let compose = sandbox.read("compose.yaml");
    sandbox.write("compose.yaml", &(compose + &more.concat()));
    let yaml = sandbox.read("envctl.yaml");
    let hooks =
        "  workers: [beat]\nhooks: { after_switch: [notify], before_cleanup: [farewell] }\n";
    sandbox.write("envctl.yaml", &(yaml + hooks));
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    sandbox
}

/// Asks the live color without a pause, each time on a connection of its own; every answer has to be one of a color's.
struct Visitor<'a> {
    sandbox: &'a Sandbox,
    over: AtomicBool,
    answered: AtomicU64,
}

impl Visitor<'_> {
    fn visit(&self) {
        let port = self.sandbox.ports.get(0);
        while !self.over.load(Relaxed) {
            let answer = Connection::open(port).and_then(|mut connection| connection.get("/"));
            let answer = answer.unwrap_or_else(|error| panic!("no answer: {error}"));
            assert_eq!(answer.status, 200, "{answer}");
            let _ = answer.color();
            self.answered.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Does `work` while somebody visits, who is answered all the time.
fn visited(sandbox: &Sandbox, work: impl FnOnce()) {
    let visitor = Visitor { sandbox, over: AtomicBool::new(false), answered: AtomicU64::new(0) };
    thread::scope(|scope| {
        let visits = scope.spawn(|| visitor.visit());
        let ends = Ends(&visitor);
        work();
        drop(ends);
        visits.join().expect("the live color answers all the time");
    });
    println!("{} answers", visitor.answered.load(Relaxed));
}

struct Ends<'a>(&'a Visitor<'a>);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Relaxed);
    }
}

/// What a kill met.
#[derive(Clone, Copy)]
struct Kill {
    /// It was before the command's end.
    hit: bool,
    /// It left the lock behind: the next command knows of it.
    left: bool,
}

/// Kills a command at a random moment of the time that it takes.
fn killed(sandbox: &Sandbox, words: &str, random: &mut Random, takes: Duration) -> Kill {
    let after = random.below(takes);
    let started = Instant::now();
    let command = sandbox.envctl(words).start();
    wait::until_true(after + Duration::from_secs(1), "the moment has come", || {
        started.elapsed() >= after
    });
    let killed = command.kill();
    let last = killed.stderr.lines().last().unwrap_or_default();
    println!(
        "{words}: {} of {} ms, {:?}: {last}",
        after.as_millis(),
        takes.as_millis(),
        killed.code
    );
    Kill { hit: killed.code.is_none(), left: engine::leaves(&sandbox.thing("lock")) }
}

/// Runs what comes next, which says that something was broken off unless that was killed before it had its lock or as it
/// gave it back.
#[track_caller]
fn next(sandbox: &Sandbox, words: &str, kill: Kill) {
    let next = sandbox.ok(words);
    let told = next.stderr.contains("died under way");
    assert!(told || !kill.left, "it says nothing of what it found: {next}");
    assert!(kill.hit || !told, "a command that had ended is told of: {next}");
}

/// What stands of the project is this and nothing else: the proxy's, and of each color its web replicas and the rest.
#[track_caller]
fn stands(sandbox: &Sandbox, live: &str, replicas: &[(&str, usize)]) {
    assert_eq!(sandbox.live().as_deref(), Some(live));
    assert_eq!(sandbox.color(), live);
    let mut expected = [
        vec!["proxy".to_owned()],
        vec!["proxy-network".to_owned()],
        vec!["proxy-state".to_owned()],
    ];
    let [containers, networks, volumes] = &mut expected;
    for (color, count) in replicas {
        containers.extend((1..=*count).map(|number| format!("{color}-web-{number}")));
        containers.extend(["beat", "notify", "farewell"].map(|it| format!("{color}-{it}-1")));
        networks.push(format!("{color}-network"));
        volumes.push(format!("{color}-data"));
    }
    for (kind, names) in Kind::ALL.into_iter().zip(expected) {
        let mut names: Vec<String> = names.iter().map(|name| sandbox.thing(name)).collect();
        names.sort();
        assert_eq!(engine::named(kind, &sandbox.thing("")), names);
        assert_eq!(engine::labelled(kind, &format!("{PROJECT}={}", sandbox.name)), names);
    }
    let ps = format!("ps --format {{{{.Names}}}} --filter label={PROJECT}={}", sandbox.name);
    let mut running = engine::lines(&ps);
    running.retain(|name| name.contains("-beat-"));
    assert_eq!(running, [sandbox.thing(&format!("{live}-beat-1"))], "the worker of the live color");
}

/// Repeats `round` until so many commands were killed before their end, of which some left their lock behind.
fn rounds(mut round: impl FnMut(u64) -> Kill) {
    let (mut count, mut hits, mut left) = (0, 0, 0);
    while hits < KILLS || left == 0 {
        assert!(
            count < 3 * KILLS,
            "of {count}, {hits} were killed before their end, {left} with the lock"
        );
        let kill = round(count);
        hits += u64::from(kill.hit);
        left += u64::from(kill.left);
        count += 1;
    }
    println!("{left} of {hits} were told of");
}

const BOTH: [(&str, usize); 2] = [("blue", 1), ("green", 1)];

fn other(color: &str) -> &'static str {
    if color == "blue" { "green" } else { "blue" }
}

#[test]
fn a_switch_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let (mut random, sandbox) = (Random::seeded(), project());
    let takes = sandbox.ok("switch green").took;
    visited(&sandbox, || {
        let mut live = "green";
        rounds(|_| {
            let to = other(live);
            let kill = killed(&sandbox, &format!("switch {to}"), &mut random, takes);
            let now = sandbox.color();
            assert!(now == live || now == to, "{now} answers");
            next(&sandbox, &format!("switch {to}"), kill);
            stands(&sandbox, to, &BOTH);
            live = to;
            kill
        });
    });
}

#[test]
fn a_rollback_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let (mut random, sandbox) = (Random::seeded(), project());
    let _ = sandbox.ok("switch green");
    let standing = sandbox.ok("rollback").took;
    let _ = sandbox.ok("cleanup");
    let gone = sandbox.ok("rollback").took;
    visited(&sandbox, || {
        let mut live = "green";
        rounds(|round| {
            // Every other release that it goes back to stands no more.
            let takes = if round % 2 == 0 { standing } else { gone };
            if round % 2 == 1 {
                let _ = sandbox.ok("cleanup");
            }
            let to = other(live);
            let kill = killed(&sandbox, "rollback", &mut random, takes);
            let now = sandbox.color();
            assert!(now == live || now == to, "{now} answers");
            // Once the traffic has moved, another rollback would be the way forth.
            let again = if now == to { format!("switch {to}") } else { "rollback".to_owned() };
            next(&sandbox, &again, kill);
            stands(&sandbox, to, &BOTH);
            live = to;
            kill
        });
    });
}

#[test]
fn a_cleanup_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let (mut random, sandbox) = (Random::seeded(), project());
    let takes = sandbox.ok("cleanup").took;
    visited(&sandbox, || {
        rounds(|_| {
            let _ = sandbox.ok("deploy green");
            stands(&sandbox, "blue", &BOTH);
            let kill = killed(&sandbox, "cleanup", &mut random, takes);
            assert_eq!(sandbox.color(), "blue");
            next(&sandbox, "cleanup", kill);
            stands(&sandbox, "blue", &[("blue", 1)]);
            kill
        });
    });
}

#[test]
fn a_change_of_scale_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let (mut random, sandbox) = (Random::seeded(), project());
    let takes = [3, 1].map(|replicas| sandbox.ok(&format!("scale web={replicas}")).took);
    visited(&sandbox, || {
        rounds(|round| {
            let (replicas, takes) = if round % 2 == 0 { (3, takes[0]) } else { (1, takes[1]) };
            let scale = format!("scale web={replicas}");
            let kill = killed(&sandbox, &scale, &mut random, takes);
            assert_eq!(sandbox.color(), "blue");
            next(&sandbox, &scale, kill);
            stands(&sandbox, "blue", &[("blue", replicas), ("green", 1)]);
            kill
        });
    });
}
