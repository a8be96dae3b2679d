//! The durable layer from every state that it can be found in, with a real MariaDB.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
};

/// What the database of an environment answers to a question, asked with the client that `durable shell` opens.
#[track_caller]
fn sql(sandbox: &Sandbox, environment: &str, question: &str) -> String {
    let container = format!("{}-{environment}-durable-mariadb", sandbox.name);
    let client = "MYSQL_PWD=\"$MARIADB_PASSWORD\" exec mariadb --user=\"$MARIADB_USER\" \
                  --batch --skip-column-names --execute=\"$0\" \"$MARIADB_DATABASE\"";
    engine::ask(&["exec", &container, "sh", "-c", client, question])
}

fn remember(sandbox: &Sandbox, environment: &str, email: &str) {
    let insert = format!("INSERT INTO users (email, password_hash) VALUES ('{email}', 'x')");
    let _ = sql(sandbox, environment, &insert);
}

fn remembered(sandbox: &Sandbox, environment: &str) -> Vec<String> {
    let all = sql(sandbox, environment, "SELECT email FROM users ORDER BY id");
    all.lines().map(str::to_owned).collect()
}

#[test]
fn durable_up_converges_from_every_state_and_keeps_the_data() {
    let sandbox = Sandbox::small_with_database();
    let thing = |rest: &str| sandbox.thing(rest);
    let (container, network) = (thing("durable-mariadb"), thing("durable-network"));

    // Nothing there.
    let up = sandbox.ok("durable up").says("the durable layer is up: mariadb (").says("made ");
    println!("`durable up` from nothing: {:.1} s", up.took.as_secs_f64());
    assert_eq!(engine::named(Kind::Container, &thing("durable")), [container.as_str()]);
    assert_eq!(engine::named(Kind::Network, &thing("durable")), [network.as_str()]);
    assert_eq!(engine::named(Kind::Volume, &thing("durable")), [thing("durable-mariadb-data")]);
    let tables = sql(&sandbox, "devlocal", "SHOW TABLES");
    assert!(
        tables.contains("users") && tables.contains("orders"),
        "init SQL did not run: {tables}"
    );
    remember(&sandbox, "devlocal", "first@example.org");

    // The passwords are their owner's alone.
    let credentials = sandbox.path(".envctl/devlocal.credentials");
    assert_eq!(fs::metadata(&credentials).unwrap().permissions().mode() & 0o777, 0o600);
    let passwords = fs::read_to_string(&credentials).unwrap();
    let _ = sandbox.ok("credentials");
    assert_eq!(fs::read_to_string(&credentials).unwrap(), passwords);

    // All there: nothing is done, and that is said.
    let id = engine::container(&container);
    let again = sandbox.ok("durable up").says("the durable layer was up already");
    println!("`durable up` again: {} ms", again.took.as_millis());
    assert_eq!(engine::container(&container), id);
    let _ = sandbox.envctl("plan durable --exit-code").run().ok();

    // Stopped; container gone; network gone; all gone but the volume; killed.
    let _ = engine::docker(&format!("stop {container}")).ok();
    let _ = sandbox.envctl("plan durable --exit-code").run().code(4);
    let _ = sandbox.ok("durable up").says("is up");
    assert_eq!(engine::container(&container), id, "a stopped container is started, not replaced");
    remember(&sandbox, "devlocal", "second@example.org");

    let _ = engine::docker(&format!("rm --force {container}")).ok();
    let _ = sandbox.ok("durable up");
    assert_eq!(remembered(&sandbox, "devlocal").len(), 2);

    let _ = engine::docker(&format!("network disconnect --force {network} {container}")).ok();
    let _ = engine::docker(&format!("network rm {network}")).ok();
    let _ = sandbox.ok("durable up");
    let joined = format!("{{{{index .NetworkSettings.Networks \"{network}\"}}}}");
    assert_ne!(engine::ask(&["inspect", "--format", &joined, &container]), "<nil>");
    assert_eq!(remembered(&sandbox, "devlocal").len(), 2);

    let _ = sandbox.ok("durable down").says("the durable layer is down; its data stays");
    assert_eq!(engine::named(Kind::Container, &thing("durable")), [""; 0]);
    assert_eq!(engine::named(Kind::Network, &thing("durable")), [""; 0]);
    let _ = sandbox.ok("durable down").says("was down already");
    let _ = sandbox.ok("durable up");
    assert_eq!(remembered(&sandbox, "devlocal"), ["first@example.org", "second@example.org"]);

    // A changed definition is told, and applied when asked for, on the same data.
    let id = engine::container(&container);
    let file = sandbox.path("durable/.env.devlocal");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}MARIADB_MAX_CONNECTIONS=77\n")).unwrap();
    let _ = sandbox.ok("durable up").says("another definition").says("durable up --apply");
    assert_eq!(engine::container(&container), id);
    let status = sandbox.ok("durable status --json").json();
    assert_eq!(status["differences"][0]["service"], "mariadb");
    let _ = sandbox.ok("durable up --apply");
    assert_ne!(engine::container(&container), id);
    assert_eq!(sql(&sandbox, "devlocal", "SELECT @@max_connections"), "77");
    assert_eq!(remembered(&sandbox, "devlocal").len(), 2);

    // Only the environment's name deletes data.
    for words in ["durable down --volumes", "durable down --volumes --confirm ci"] {
        let _ = sandbox.envctl(words).run().code(2).says("devlocal");
        assert_eq!(remembered(&sandbox, "devlocal").len(), 2);
    }
    let _ =
        sandbox.envctl("durable down --confirm ci").run().code(2).says("that is not `devlocal`");
    let _ = engine::docker(&format!("stop {container}")).ok();
    let stopped = sandbox.envctl("durable down --volumes --confirm devlocal").run().code(1);
    let _ = stopped.says("without a last snapshot").says("--no-snapshot");
    let _ = sandbox.ok("durable up");
    let down = sandbox.ok("durable down --volumes --confirm devlocal").says("its data deleted");
    let _ = down.says("a last snapshot is in `");
    let list = sandbox.ok("durable snapshots --json").json();
    assert_eq!(list["snapshots"][0]["why"], "before its data was deleted");
    assert_eq!(engine::named(Kind::Volume, &thing("durable")), [""; 0]);
    assert_eq!(fs::read_to_string(&credentials).unwrap(), passwords, "passwords outlive the data");
}

#[test]
fn two_environments_stand_side_by_side_and_know_nothing_of_each_other() {
    let sandbox = Sandbox::small_with_database();
    let _ = sandbox.ok("durable up");
    let _ = sandbox.ok("durable up --env ci");
    for (environment, port) in [("devlocal", 3), ("ci", 8)] {
        let container = format!("{}-{environment}-durable-mariadb", sandbox.name);
        let published = engine::ask(&["port", &container, "3306/tcp"]);
        assert_eq!(published, format!("127.0.0.1:{}", sandbox.ports.get(port)));
    }
    remember(&sandbox, "devlocal", "dev@example.org");
    remember(&sandbox, "ci", "ci@example.org");
    assert_eq!(remembered(&sandbox, "devlocal"), ["dev@example.org"]);
    assert_eq!(remembered(&sandbox, "ci"), ["ci@example.org"]);
    assert_ne!(
        sandbox.read(".envctl/devlocal.credentials"),
        sandbox.read(".envctl/ci.credentials")
    );

    let _ = sandbox
        .envctl("durable down --volumes --confirm devlocal")
        .env("ENVCTL_ENV", "ci")
        .run()
        .code(2);
    let _ = sandbox.ok("durable down --volumes --no-snapshot --confirm ci --env ci");
    assert_eq!(remembered(&sandbox, "devlocal"), ["dev@example.org"]);
    let _ = sandbox.envctl("durable status --env ci").run().ok().shows("absent");
}

#[test]
fn the_ports_of_the_demo_and_its_names_are_those_of_the_design() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let names = ["FRONTEND", "FRONTEND_TLS", "API", "LOCALSTACK", "MARIADB"];
    for (file, ports) in [
        ("durable/.env.devlocal", [3000, 3443, 3001, 4566, 3306]),
        ("durable/.env.ci", [3100, 3543, 3101, 4666, 3307]),
    ] {
        for (name, port) in names.iter().zip(ports) {
            let line = format!("{name}_PORT={port}");
            assert!(read(file).lines().any(|it| it == line), "{file}: {line}");
        }
    }
    let sandbox = Sandbox::demo();
    let plan = sandbox.envctl("plan durable --env ci").run();
    // The passwords are not made yet, and a plan makes nothing.
    let _ = plan.code(2).says("envctl credentials");
    let _ = sandbox.ok("credentials --env ci");
    let plan = sandbox.ok("plan durable --env ci");
    let prefix = format!("{}-ci-durable", sandbox.name);
    let plan = plan.shows(&format!("create network {prefix}-network"));
    let _ = plan.shows(&format!("create volume {prefix}-mariadb-data"));
    assert_eq!(sandbox.things(Kind::Container), [""; 0]);
}

#[test]
fn an_upgrade_takes_a_snapshot_first_and_a_reset_a_last_one() {
    let sandbox = Sandbox::small_with_database();
    let _ = sandbox.ok("durable up");
    remember(&sandbox, "devlocal", "first@example.org");
    let snapshots = || {
        let list = sandbox.ok("durable snapshots --json").json();
        list["snapshots"].as_array().unwrap().clone()
    };

    // Another build of the same version needs none.
    let file = "durable/mariadb/Dockerfile";
    let dockerfile = sandbox.read(file);
    sandbox.write(file, &format!("{dockerfile}LABEL other=1\n"));
    let _ = sandbox.ok("durable up --apply");
    assert_eq!(snapshots().len(), 0);

    sandbox.write(file, &format!("{dockerfile}{}", Sandbox::says_version(98)));
    let plan = sandbox.ok("plan durable --apply").shows("take a snapshot of mariadb");
    let _ = plan.shows("is of a higher version than its data");
    assert_eq!(snapshots().len(), 0, "a plan takes none");
    let up = sandbox.ok("durable up --apply").says("before the upgrade from MariaDB 11.8.");
    let _ = up.says("to MariaDB 11.8.98, is in `");
    assert_eq!(snapshots().len(), 1);
    assert_eq!(remembered(&sandbox, "devlocal"), ["first@example.org"]);
    // Where none can be taken it is not upgraded, unless that is said to be fine.
    sandbox.write(file, &format!("{dockerfile}{}", Sandbox::says_version(99)));
    let _ = sandbox.ok("durable up").says("another definition");
    let _ = engine::docker(&format!("stop {}", sandbox.thing("durable-mariadb"))).ok();
    let refused = sandbox.envctl("durable up --apply").run().code(1);
    let _ = refused.says("it does not run").says("`--no-snapshot` upgrades all the same");
    let _ = sandbox.ok("durable up --apply --no-snapshot");
    assert_eq!(snapshots().len(), 1);
    assert_eq!(remembered(&sandbox, "devlocal"), ["first@example.org"]);

    // Anew, for who types the environment's name; the data is in a snapshot, where there is one of such data.
    let other = format!(
        "services:\n  notes: {{ image: {}, command: [sleep, infinity], init: true, volumes: [notes:/notes] }}\n\
         volumes: {{ notes: }}\n",
        engine::base()
    );
    sandbox.write("durable/other.yml", &other);
    sandbox.edit("envctl.yaml", "docker-compose.yml]", "docker-compose.yml, durable/other.yml]");
    let _ = sandbox.ok("durable up");
    for words in ["durable up --reset", "durable up --reset --confirm ci"] {
        let _ = sandbox.envctl(words).run().code(2).says("devlocal");
    }
    let _ = sandbox.envctl("durable up --no-snapshot").run().code(2).says("--reset");
    assert_eq!(remembered(&sandbox, "devlocal").len(), 1);
    let reset = sandbox.ok("durable up --reset --confirm devlocal").says("the durable layer is up");
    let reset = reset.says("before its data was deleted, is in `");
    let _ = reset.says("no snapshot keeps the data of `notes`: it is lost");
    assert_eq!(remembered(&sandbox, "devlocal"), [""; 0]);
    let all = snapshots();
    assert_eq!(all.len(), 2);
    let _ = sandbox.ok(&format!("durable restore {}", all[1]["name"].as_str().unwrap()));
    assert_eq!(remembered(&sandbox, "devlocal"), ["first@example.org"]);

    // A second one, of nothing that is worth a snapshot.
    let _ = sandbox.ok("durable up --reset --no-snapshot --confirm devlocal");
    assert_eq!(remembered(&sandbox, "devlocal"), [""; 0]);
    assert_eq!(snapshots().len(), 2);
}

#[test]
fn the_shell_is_the_databases_own_client_on_a_terminal_and_without_one() {
    let sandbox = Sandbox::small_with_database();
    let _ = sandbox.ok("durable up");
    let envctl = env!("CARGO_BIN_EXE_envctl");
    let typed = |program: &mut Command| {
        program.current_dir(sandbox.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
        sandbox.surround(program);
        let mut program = program.spawn().unwrap();
        let keys = b"SELECT 40 + 2 AS answer;\nexit\n";
        program.stdin.as_mut().unwrap().write_all(keys).unwrap();
        let said = program.wait_with_output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    // On a terminal it draws and asks.
    let line = format!("{envctl} durable shell");
    let script = ["--quiet", "--return", "--command", &line, "/dev/null"];
    let drawn = typed(Command::new("script").args(script));
    assert!(drawn.contains("MariaDB [") && drawn.contains("|     42 |"), "{drawn}");
    assert!(!drawn.contains("not a TTY"), "{drawn}");
    // Without one it answers.
    assert_eq!(typed(Command::new(envctl).args(["durable", "shell"])), "answer\n42\n");

    let one = sandbox.envctl("durable shell -c").arg("SELECT CURRENT_USER()").run().ok();
    let _ = one.shows("echobase@%");
    let _ =
        sandbox.envctl("durable shell -c").arg("SELECT nonsense").run().code(1).says("nonsense");
    let _ = sandbox.envctl("durable shell nowhere").run().code(2).says("mariadb");
}
