//! The engine is killed and started again in the middle of a deployment or a restore, and restarted under a live color. It is an engine of the test's own, in a network
//! namespace of its own, so that nothing else on the machine notices. That takes root.

use std::{
    collections::BTreeSet,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{crashes::Writer, snapshots::CLIENT};
use crate::support::{
    Outcome, Sandbox, engine,
    program::{self, Running},
    wait,
};

/// It ends by SIGKILL when it is stopped, which is a failure.
const WORKER: &str = "  worker:\n    build: web\n    command: [sleep, infinity]\n    restart: on-failure\n    stop_grace_period: 1s\n";

const SOON: Duration = Duration::from_secs(60);

struct OwnEngine {
    folder: tempfile::TempDir,
    /// Holds the network namespace while no engine runs.
    namespace: Child,
    daemon: Option<Child>,
    /// Whether containers go on while the daemon is away.
    live_restore: bool,
}

impl OwnEngine {
    fn start(live_restore: bool) -> Self {
        let id = program::run(Command::new("id").arg("--user")).ok().stdout;
        assert_eq!(id.trim(), "0", "an engine of its own takes root");
        let namespace = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up; echo up; exec sleep 3600"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let folder = tempfile::Builder::new().prefix("envctl-test-engine-").tempdir().unwrap();
        std::fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let other = PathBuf::from(format!("/proc/{}/ns/net", namespace.id()));
        wait::until_true(SOON, "the network namespace is there", || {
            std::fs::read_link(&other).is_ok_and(|other| other != own)
        });
        let mut engine = Self { folder, namespace, daemon: None, live_restore };
        engine.run();
        engine
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Starts the daemon and waits until it answers.
    fn run(&mut self) {
        let driver = program::run(Command::new("docker").args(["info", "--format", "{{.Driver}}"]));
        let path = |name: &str| self.folder.path().join(name);
        // Those that were killed leave these, and later ones take any process of that number for them.
        for pid in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(path(pid));
        }
        let log = std::fs::File::options().create(true).append(true).open(path("log")).unwrap();
        let daemon = Command::new("nsenter")
            .args(["--target", &self.namespace.id().to_string(), "--net", "dockerd"])
            .args(self.live_restore.then_some("--live-restore"))
            .args(["--bridge=none", "--iptables=false", "--ip-masq=false"])
            .args(["--storage-driver", driver.ok().stdout.trim()])
            .arg("--config-file")
            .arg(path("daemon.json"))
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .args(["--host", &self.host()])
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        wait::until_true(SOON, "the engine of its own answers", || {
            let ended =
                self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().unwrap().is_some());
            assert!(!ended, "{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
            self.docker(&["version"]).code == Some(0)
        });
    }

    fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        let _ = daemon.wait().unwrap();
    }

    /// As a service manager stops it.
    fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        let stopped = Command::new("kill").arg(daemon.id().to_string()).status().unwrap();
        assert!(stopped.success());
        let _ = daemon.wait().unwrap();
    }

    fn with_base_image(self) -> Self {
        self.with_image("debian:trixie-slim")
    }

    /// An image comes from the machine's own engine.
    fn with_image(self, image: &str) -> Self {
        let copy = format!("docker save {image} | docker --host {} load", self.host());
        let _ = program::run(Command::new("sh").args(["-c", &copy])).ok();
        self
    }

    /// What a port of its network answers to a GET; empty where nothing does.
    fn get(&self, port: u16) -> String {
        let ask = format!(
            r"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3 && cat <&3"
        );
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.namespace.id().to_string(), "--net"]);
        program::run(inside.args(["timeout", "5", "bash", "-c", &ask])).stdout
    }

    fn docker(&self, words: &[&str]) -> Outcome {
        program::run(Command::new("docker").args(["--host", &self.host()]).args(words))
    }

    /// When a container was started.
    fn started(&self, name: &str) -> String {
        let format = "{{.Id}} {{.State.Running}} {{.State.StartedAt}}";
        self.docker(&["inspect", "--format", format, name]).stdout.trim().to_owned()
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        // Its containers go on without it: a test that failed between the two leaves them as well.
        if self.daemon.is_none() {
            let _ = panic::catch_unwind(AssertUnwindSafe(|| self.run()));
        }
        let all = self.docker(&["ps", "--all", "--quiet"]).stdout;
        let mut remove = vec!["rm", "--force"];
        remove.extend(all.split_whitespace());
        let _ = self.docker(&remove);
        if let Some(mut daemon) = self.daemon.take() {
            let _ = Command::new("kill").arg(daemon.id().to_string()).status();
            let _ = daemon.wait();
        }
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
    }
}

#[test]
fn an_engine_that_is_restarted_brings_the_proxy_back_with_the_same_live_color() {
    let sandbox = Sandbox::small();
    sandbox.edit("compose.yaml", "    ports:", "    restart: unless-stopped\n    ports:");
    let compose = sandbox.read("compose.yaml");
    sandbox.write("compose.yaml", &(compose + WORKER));
    sandbox.edit("envctl.yaml", "  compose:", "  workers: [worker]\n  compose:");
    let mut engine = OwnEngine::start(false).with_base_image();
    let host = engine.host();
    let envctl = |words: &str| sandbox.envctl(words).env("DOCKER_HOST", &host);
    let _ = envctl("up").run().ok().says("blue is live");
    let _ = envctl("deploy green").run().ok();
    let _ = envctl("switch green").run().ok().says("green is live");
    let port = sandbox.ports.get(0);
    let before = engine.get(port);
    assert!(before.contains("x-color: green"), "{before}");
    let (blue, green) = (sandbox.thing("blue-worker-1"), sandbox.thing("green-worker-1"));
    // As an idle color's worker that was never started.
    let policy = ["create", "--name", "never-started", "--restart", "unless-stopped"];
    let words = [&policy[..], &["debian:trixie-slim", "sleep", "infinity"]].concat();
    let _ = engine.docker(&words).ok();
    assert!(engine.started(&blue).contains(" false "), "{}", engine.started(&blue));

    let began = Instant::now();
    engine.stop();
    assert_eq!(engine.get(port), "", "its containers ended with it");
    let stopped = began.elapsed();
    engine.run();
    let answered = began.elapsed();
    let after = wait::until(SOON, "an answer of the proxy", || {
        Some(engine.get(port)).filter(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    println!(
        "the engine stopped in {} ms and answered again at {} ms, the proxy at {} ms",
        stopped.as_millis(),
        answered.as_millis(),
        began.elapsed().as_millis()
    );
    assert!(after.contains("x-color: green"), "{after}");
    wait::until_true(SOON, "the live color's worker runs", || {
        engine.started(&green).contains(" true ")
    });
    for idle in [blue.as_str(), "never-started"] {
        assert!(engine.started(idle).contains(" false "), "the engine started {idle}");
    }
    assert_eq!(envctl("status --json").run().ok().json()["live"], "green");
    let _ = envctl("switch blue").run().ok().says("blue is live");
}

#[test]
fn a_deployment_whose_engine_is_killed_says_so_and_the_next_one_converges() {
    let sandbox = Sandbox::small();
    let mut engine = OwnEngine::start(true).with_base_image();
    let host = engine.host();
    let envctl = |words: &str| sandbox.envctl(words).env("DOCKER_HOST", &host);
    let _ = envctl("up").run().ok().says("blue is live");
    let blue = engine.started(&sandbox.thing("blue-web-1"));
    assert!(blue.contains(" true "), "{blue}");

    sandbox.edit(
        "compose.yaml",
        "    ports:",
        "    healthcheck: { test: [CMD, test, -e, /ready], retries: 100 }\n    ports:",
    );
    let deploy: Running = envctl("deploy green").start();
    wait::until_true(SOON, "green's container runs", || {
        engine.started(&sandbox.thing("green-web-1")).contains(" true ")
    });
    engine.kill();
    let failed = deploy.end(SOON).code(5).says("no engine answers at `unix://");
    let _ = failed.says("is Docker running?").says("no traffic was moved");
    let _ = envctl("status").run().code(5).says("no engine answers at");

    engine.run();
    assert_eq!(engine.started(&sandbox.thing("blue-web-1")), blue, "it went on all the time");
    assert_eq!(envctl("status --json").run().ok().json()["live"], "blue");
    sandbox.edit("compose.yaml", "/ready", "/serve.pl");
    let next = envctl("up").run().ok().says("green is live");
    let _ = next.says("`deploy green` of tester@").says("died under way");
    let _ = envctl("history").run().ok().shows("crashed");
    assert_eq!(envctl("status --json").run().ok().json()["live"], "green");
    assert_eq!(engine.started(&sandbox.thing("lock")), "");
}

#[test]
fn a_restore_whose_engine_is_killed_leaves_the_old_data_or_the_whole_copy() {
    let sandbox = Sandbox::small_with_database();
    // Its image comes from the machine's own engine: this one has no network to build it with.
    let _ = sandbox.ok("durable up");
    let mariadb = sandbox.thing("durable-mariadb");
    let image = engine::ask(&["inspect", "--format", "{{.Config.Image}}", &mariadb]);
    let _ = sandbox.ok("durable down --volumes --no-snapshot --confirm devlocal");
    let mut engine = OwnEngine::start(true).with_image(&image);
    let host = engine.host();
    let envctl = |words: &str| sandbox.envctl(words).env("DOCKER_HOST", &host);
    let sql = |engine: &OwnEngine, statement: &str| {
        engine.docker(&["exec", &mariadb, "sh", "-c", CLIENT, statement]).ok().stdout
    };
    let rows = |engine: &OwnEngine| -> BTreeSet<u64> {
        sql(engine, "SELECT n FROM ticks").lines().map(|n| n.parse().unwrap()).collect()
    };
    let _ = envctl("durable up").run().ok();
    let _ = sql(&engine, "CREATE TABLE ticks (n BIGINT PRIMARY KEY)");
    let _ = sql(&engine, "INSERT INTO ticks (n) VALUES (1)");
    let _ = envctl("durable snapshot base").run().ok();

    let mut next = 2;
    for (round, step) in ["copy the data of mariadb", "put the copy"].into_iter().enumerate() {
        // A row that only the data from before has.
        let mark = next;
        let _ = sql(&engine, &format!("INSERT INTO ticks (n) VALUES ({mark})"));
        let writer = Writer::start(mariadb.clone(), Some(host.clone()), mark + 1);
        writer.goes_on();
        let mut restore = envctl("durable restore base").start();
        restore.wait_for(step, SOON);
        engine.kill();
        let failed = restore.end(SOON);
        assert_ne!(failed.code, Some(0), "{failed}");
        let untouched = "the data of `mariadb` is whole, and untouched";
        let failed = failed.says("the data of `mariadb` is whole");
        if round == 0 {
            let _ = failed.says(untouched);
        }

        engine.run();
        let _ = envctl("durable up").run().ok();
        writer.goes_on();
        let (acknowledged, after) = writer.end();
        next = after;
        let found = rows(&engine);
        let since = if found.contains(&mark) {
            println!("killed at `{step}`: the old data");
            mark
        } else {
            println!("killed at `{step}`: the copy");
            assert_ne!(round, 0, "it had not come to that");
            assert!(found.contains(&1), "the copy is whole");
            *found.range(2..).next().unwrap()
        };
        let lost: Vec<_> =
            acknowledged.iter().filter(|&&n| n >= since && !found.contains(&n)).collect();
        assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
        let list = envctl("durable snapshots --json").run().ok().json();
        let stored = list["snapshots"].as_array().unwrap();
        assert!(stored.iter().all(|stored| stored["whole"] == true), "{list}");
        let kept = list["kept"].as_array().unwrap().len();
        assert!(round > 0 || kept == 0, "{list}");
    }

    // A snapshot that the engine's end tore is not listed; one that was whole before is good.
    let folder = format!("../home/.local/share/envctl/snapshots/{}/devlocal", sandbox.name);
    let folder = sandbox.path(&folder);
    let mut snapshot = envctl("durable snapshot torn").start();
    wait::until_true(SOON, "the snapshot is being written", || {
        let mut files = folder.read_dir().unwrap();
        snapshot.is_over()
            || files.any(|file| file.unwrap().file_name().to_string_lossy().starts_with("torn."))
    });
    engine.kill();
    let _ = snapshot.end(SOON);
    engine.run();
    let _ = envctl("durable up").run().ok();
    let list = envctl("durable snapshots --json").run().ok().json();
    if list["snapshots"].as_array().unwrap().iter().any(|stored| stored["name"] == "torn") {
        let _ = envctl("durable snapshot verify torn").run().ok().says("is good");
    }
}
