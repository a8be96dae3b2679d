//! SIGKILL of envctl and of the database at random moments of what changes the durable layer, while rows are written: what
//! was acknowledged is there afterwards, or the data from before is whole and kept.
//!
//! `ENVCTL_TEST_CRASHES` says how many moments, `ENVCTL_TEST_SEED` which ones.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::snapshots::{CLIENT, nothing_left, sql};
use crate::support::{Sandbox, engine, program, wait};

const SOON: Duration = Duration::from_secs(120);

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// Numbers that follow from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Inserts one numbered row after the other, whatever happens to the database.
pub struct Writer {
    acknowledged: Arc<Mutex<Vec<u64>>>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Writer {
    /// `host` is the engine's address, where it is not the machine's own.
    pub fn start(container: String, host: Option<String>, first: u64) -> Self {
        let acknowledged = Arc::new(Mutex::new(vec![]));
        let over = Arc::new(AtomicBool::new(false));
        let (told, ends) = (Arc::clone(&acknowledged), Arc::clone(&over));
        let thread = thread::spawn(move || {
            let mut next = first;
            while !ends.load(Ordering::Relaxed) {
                let insert = format!("INSERT INTO ticks (n) VALUES ({next})");
                let mut docker = Command::new("docker");
                docker.args(["exec", &container, "sh", "-c", CLIENT, &insert]);
                docker.envs(host.iter().map(|host| ("DOCKER_HOST", host)));
                if program::run(&mut docker).code == Some(0) {
                    told.lock().unwrap().push(next);
                }
                next += 1;
            }
            next
        });
        Self { acknowledged, over, thread }
    }

    /// Waits until another row was acknowledged.
    pub fn goes_on(&self) {
        let count = || self.acknowledged.lock().unwrap().len();
        let before = count();
        wait::until_true(SOON, "another row is acknowledged", || count() > before);
    }

    /// The rows that were acknowledged, and the number of the next one.
    pub fn end(self) -> (Vec<u64>, u64) {
        self.over.store(true, Ordering::Relaxed);
        let next = self.thread.join().unwrap();
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        (acknowledged, next)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Restore,
    Snapshot,
    Apply,
    Upgrade,
}

impl Work {
    const ALL: [Self; 4] = [Self::Restore, Self::Snapshot, Self::Apply, Self::Upgrade];

    /// What it is to work on; returns the words of its command.
    fn prepare(self, sandbox: &Sandbox, round: u64) -> String {
        match self {
            Self::Restore => "durable restore base".to_owned(),
            Self::Snapshot => format!("durable snapshot k{round}"),
            Self::Apply => {
                let file = "durable/.env.devlocal";
                let text = sandbox.read(file);
                sandbox.write(file, &format!("{text}MARIADB_MAX_CONNECTIONS={}\n", 100 + round));
                "durable up --apply".to_owned()
            }
            Self::Upgrade => {
                says_version(sandbox, 50 + round);
                "durable up --apply".to_owned()
            }
        }
    }
}

/// Has the server say that it is of another patch of its version.
fn says_version(sandbox: &Sandbox, patch: u64) {
    let file = "durable/mariadb/Dockerfile";
    let text = sandbox.read(file);
    let (plain, _) = text.split_once("\n# Says").unwrap_or((&text, ""));
    sandbox.write(file, &format!("{plain}\n{}", Sandbox::says_version(patch)));
}

#[test]
fn what_was_acknowledged_outlives_a_kill_at_any_moment() {
    let rounds = number("ENVCTL_TEST_CRASHES").unwrap_or(8);
    let seed = number("ENVCTL_TEST_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).unwrap();
        u64::from(u32::from_le_bytes(bytes))
    });
    println!("ENVCTL_TEST_SEED={seed} ENVCTL_TEST_CRASHES={rounds}");
    let mut random = Random(seed | 1 << 40);

    let sandbox = Sandbox::small_with_database();
    let container = sandbox.thing("durable-mariadb");
    let _ = sandbox.ok("durable up");
    let _ = sql(&sandbox, "devlocal", "CREATE TABLE ticks (n BIGINT PRIMARY KEY)");
    let rows = || -> BTreeSet<u64> {
        let all = sql(&sandbox, "devlocal", "SELECT n FROM ticks");
        all.lines().map(|n| n.parse().unwrap()).collect()
    };
    let _ = sql(&sandbox, "devlocal", "INSERT INTO ticks (n) VALUES (1)");
    let snapshot = sandbox.ok("durable snapshot base").took;
    let base = BTreeSet::from([1]);
    let mut next = 2;
    let mut kept = 0;
    for round in 0..rounds {
        let work = Work::ALL[usize::try_from(round % 4).unwrap()];
        // A row that only the data from before has.
        let mark = next;
        let _ = sql(&sandbox, "devlocal", &format!("INSERT INTO ticks (n) VALUES ({mark})"));
        let before = rows();
        let words = work.prepare(&sandbox, round);
        let whole = snapshot
            * match work {
                Work::Snapshot => 1,
                Work::Apply => 2,
                Work::Restore | Work::Upgrade => 4,
            };
        let after = whole * u32::try_from(random.below(100)).unwrap() / 100;
        // Each kind of work with each victim.
        let database = round / 4 % 2 == 1;

        let writer = Writer::start(container.clone(), None, mark + 1);
        writer.goes_on();
        let mut running = sandbox.envctl(&words).start();
        let started = Instant::now();
        wait::until_true(after + SOON, "the moment has come", || {
            started.elapsed() >= after || running.is_over()
        });
        if database {
            let _ = engine::docker(&format!("kill --signal KILL {container}"));
        }
        let killed = if database { running.end(SOON * 3) } else { running.kill() };
        let last = killed.stderr.lines().last().unwrap_or_default().to_owned();
        let victim = if database { "database" } else { "envctl" };
        println!(
            "{round:2}: {words}, {victim} after {} ms, {:?}: {last}",
            after.as_millis(),
            killed.code
        );

        let _ = sandbox.ok("durable up");
        if matches!(work, Work::Apply | Work::Upgrade) {
            let _ = sandbox.ok("durable up --apply");
        }
        writer.goes_on();
        let (acknowledged, after_all) = writer.end();
        next = after_all;
        let found = rows();
        if found.contains(&mark) {
            assert!(before.is_subset(&found), "the data is whole");
            let lost: Vec<_> = acknowledged.iter().filter(|n| !found.contains(n)).collect();
            assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
        } else {
            assert_eq!(work, Work::Restore, "only a restore replaces data");
            let since: BTreeSet<u64> = found.difference(&base).copied().collect();
            assert!(base.is_subset(&found), "what is restored is whole");
            let first = *since.first().unwrap();
            let lost: Vec<_> =
                acknowledged.iter().filter(|&&n| n >= first && !found.contains(&n)).collect();
            assert!(lost.is_empty(), "acknowledged after the restore, and lost: {lost:?}");
            kept += 1;
        }
        let list = sandbox.ok("durable snapshots --json").json();
        let stored = list["snapshots"].as_array().unwrap();
        assert!(stored.iter().all(|stored| stored["whole"] == true), "{list}");
        if stored.iter().any(|stored| stored["name"] == format!("k{round}")) {
            let _ = sandbox.ok(&format!("durable snapshot verify k{round}"));
        }
        // The data from before is where it was said to be.
        assert_eq!(list["kept"].as_array().unwrap().len(), kept, "{list}");
    }
    // The next one clears away what all of them left, and keeps what is data.
    let _ = sandbox.ok("durable snapshot last");
    nothing_left(&sandbox, kept);
}
