//! kill -9 of `envctl up` at random moments: the next `up` ends well, the data is there, nothing is left over.

use std::time::{Duration, Instant};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    random::Random,
    sandbox::PROJECT,
    wait,
};

const KILLS: u64 = 30;

/// What stands before the `up` that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The live color, which is out of date.
    Live,
    /// Volumes only: the engine lost its containers and networks.
    Volumes,
    /// Nothing: the data was deleted too, and the database makes its files anew.
    Nothing,
}

#[test]
fn an_up_that_is_killed_at_any_moment_is_made_good_by_the_next() {
    let mut random = Random::seeded();
    let sandbox = Sandbox::small_with_database();
    // Images are not the matter here, and are there from now on.
    let _ = sandbox.ok("up");
    let mut rows: Vec<u64> = vec![];
    let takes = [Before::Live, Before::Volumes, Before::Nothing].map(|before| {
        prepare(&sandbox, before, &mut rows);
        sandbox.mark_web(&format!("{before:?}"));
        sandbox.ok("up").took
    });
    println!("an `up` takes {takes:?}");

    let (mut round, mut hits) = (0, 0);
    while hits < KILLS {
        assert!(round < 2 * KILLS, "only {hits} of {round} were killed before their end");
        let before = match round % 5 {
            1 => Before::Volumes,
            3 => Before::Nothing,
            _ => Before::Live,
        };
        prepare(&sandbox, before, &mut rows);
        let mark = format!("round {round}");
        let old = (before == Before::Live).then(|| sandbox.ask("/mark"));
        sandbox.mark_web(&mark);

        let after = random.below(takes[before as usize]);
        let started = Instant::now();
        let up = sandbox.envctl("up").start();
        wait::until_true(after + Duration::from_secs(1), "the moment has come", || {
            started.elapsed() >= after
        });
        let killed = up.kill();
        hits += u64::from(killed.code.is_none());
        let last = killed.stderr.lines().last().unwrap_or_default().to_owned();
        println!("{round:2}: {before:?}, {} ms, {:?}: {last}", after.as_millis(), killed.code);

        // What was live serves on, or the new one does.
        if let Some(old) = old {
            let now = sandbox.ask("/mark");
            assert!(now == old || now == mark, "{now:?} is neither {old:?} nor {mark:?}");
            assert_eq!(remembered(&sandbox), rows);
        }
        let left = engine::leaves(&sandbox.thing("lock"));
        let next = sandbox.ok("up");
        assert!(!left || next.stderr.contains("died under way"), "it says nothing of it: {next}");
        in_order(&sandbox, &mark, &rows);
        remember(&sandbox, round);
        rows.push(round);
        round += 1;
    }
}

fn prepare(sandbox: &Sandbox, before: Before, rows: &mut Vec<u64>) {
    if before == Before::Live {
        return;
    }
    let containers = sandbox.things(Kind::Container).join(" ");
    let _ = engine::docker(&format!("rm --force --volumes {containers}")).ok();
    let networks = sandbox.things(Kind::Network).join(" ");
    let _ = engine::docker(&format!("network rm {networks}")).ok();
    if before == Before::Nothing {
        let _ = sandbox.ok("durable down --volumes --no-snapshot --confirm devlocal");
        rows.clear();
    }
}

/// The live color is the new one, all rows are there, and so is nothing that should not be.
#[track_caller]
fn in_order(sandbox: &Sandbox, mark: &str, rows: &[u64]) {
    let live = sandbox.color();
    assert_eq!(sandbox.ask("/mark"), mark);
    assert_eq!(remembered(sandbox), rows);
    assert_eq!(sandbox.live().as_deref(), Some(live.as_str()));

    let colors = ["blue", "green"];
    let all = |rest: &str| colors.map(|color| sandbox.thing(&format!("{color}-{rest}")));
    for (kind, needed, allowed) in [
        (
            Kind::Container,
            vec![
                sandbox.thing("durable-mariadb"),
                sandbox.thing("proxy"),
                sandbox.thing(&format!("{live}-web-1")),
            ],
            all("web-1"),
        ),
        (
            Kind::Network,
            vec![
                sandbox.thing("durable-network"),
                sandbox.thing("proxy-network"),
                sandbox.thing(&format!("{live}-network")),
            ],
            all("network"),
        ),
        (
            Kind::Volume,
            vec![sandbox.thing("durable-mariadb-data"), sandbox.thing("proxy-state")],
            [String::new(), String::new()],
        ),
    ] {
        let found = engine::named(kind, &sandbox.thing(""));
        for name in &needed {
            assert!(found.contains(name), "no {kind:?} {name}: {found:?}");
        }
        for name in &found {
            assert!(needed.contains(name) || allowed.contains(name), "left over: {kind:?} {name}");
        }
        let ours = engine::labelled(kind, &format!("{PROJECT}={}", sandbox.name));
        assert_eq!(found, ours, "{kind:?}: some carry no label");
    }
}

fn sql(sandbox: &Sandbox, question: &str) -> String {
    let client = "MYSQL_PWD=\"$MARIADB_PASSWORD\" exec mariadb --user=\"$MARIADB_USER\" \
                  --batch --skip-column-names --execute=\"$0\" \"$MARIADB_DATABASE\"";
    engine::ask(&["exec", &sandbox.thing("durable-mariadb"), "sh", "-c", client, question])
}

fn remember(sandbox: &Sandbox, round: u64) {
    let email = format!("{round}@example.org");
    let insert = format!("INSERT INTO users (email, password_hash) VALUES ('{email}', 'x')");
    let _ = sql(sandbox, &insert);
}

fn remembered(sandbox: &Sandbox) -> Vec<u64> {
    let all = sql(sandbox, "SELECT email FROM users ORDER BY id");
    all.lines().map(|email| email.split('@').next().unwrap().parse().unwrap()).collect()
}
