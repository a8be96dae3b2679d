//! Encryption at rest: a known text is in no file of an encrypted database, and in those of a plain one.

use std::{fs, time::Duration};

use crate::support::{Sandbox, engine};

const KNOWN: &str = "known-plaintext-of-a-test-4711";
const KEY: &str = "MARIADB_ENCRYPTION_KEY";

/// The files of an environment's volume that hold a text.
fn holding_in(sandbox: &Sandbox, environment: &str, text: &str) -> Vec<String> {
    let volume = format!("{}-{environment}-durable-mariadb-data:/data:ro", sandbox.name);
    let base = engine::base();
    let found = engine::ask(&[
        "run",
        "--rm",
        "--volume",
        &volume,
        &base,
        "sh",
        "-c",
        "grep -rlF -- \"$0\" /data || true",
        text,
    ]);
    found.lines().map(str::to_owned).collect()
}

fn holding(sandbox: &Sandbox, text: &str) -> Vec<String> {
    holding_in(sandbox, "devlocal", text)
}

fn sql(sandbox: &Sandbox, environment: &str, statement: &str) -> String {
    let client = "MYSQL_PWD=\"$MARIADB_PASSWORD\" exec mariadb --user=\"$MARIADB_USER\" --batch --skip-column-names \
                  --execute=\"$0\" \"$MARIADB_DATABASE\"";
    let container = format!("{}-{environment}-durable-mariadb", sandbox.name);
    engine::ask(&["exec", &container, "sh", "-c", client, statement])
}

/// What `durable status` says of a part: whether it is encrypted, and what of it is not.
fn told(sandbox: &Sandbox, part: &str) -> (String, String) {
    let status = sandbox.ok("durable status --json").json();
    let services = status["services"].as_array().unwrap();
    let service = services.iter().find(|service| service["service"] == "mariadb").unwrap();
    let all = service["encryption"].as_array().unwrap().clone();
    let found = all.iter().find(|each| each["part"] == part);
    let found = found.unwrap_or_else(|| panic!("{part}: {all:?}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("encrypted"), text("detail"))
}

const PARTS: [&str; 5] = ["tables", "system tables", "redo log", "temporary files", "binary logs"];

/// A database that was written to, on disk: rows changed, sorted and logged.
fn written(encrypted: bool) -> Sandbox {
    let sandbox = Sandbox::small_with_database();
    if encrypted {
        let both = "[durable/docker-compose.yml, durable/docker-compose.encrypted.yml]";
        sandbox.edit("envctl.yaml", "[durable/docker-compose.yml]", both);
        sandbox.edit("envctl.yaml", "MARIADB_PASSWORD]", &format!("MARIADB_PASSWORD, {KEY}]"));
    }
    let _ = sandbox.ok("durable up");
    let statement = format!(
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v TEXT);\n\
         INSERT INTO t (v) VALUES (REPEAT('{KNOWN} ', 40));\n\
         INSERT INTO t (v) SELECT v FROM t; INSERT INTO t (v) SELECT v FROM t;\n\
         UPDATE t SET v = CONCAT(id, v);\n\
         CREATE TEMPORARY TABLE tt AS SELECT * FROM t;\n\
         SET tmp_memory_table_size = 1024;\n\
         SELECT COUNT(*) FROM (SELECT DISTINCT v, id FROM t UNION SELECT v, id + 1 FROM tt) x;"
    );
    let _ = sql(&sandbox, "devlocal", &statement);
    sandbox
}

#[test]
fn a_known_text_is_in_the_files_of_a_plain_database_alone() {
    let plain = written(false);
    for part in PARTS {
        assert_eq!(told(&plain, part).0, "no", "{part}");
    }
    let _ = plain.ok("durable status").says("mariadb: in the clear: tables, ");
    let _ = plain.ok("durable down");
    let found = holding(&plain, KNOWN);
    for part in ["/t.ibd", "/ib_logfile0", "/binlog.000001"] {
        assert!(found.iter().any(|file| file.ends_with(part)), "{part}: {found:?}");
    }

    let encrypted = written(true);
    assert_eq!(holding(&encrypted, KNOWN), [""; 0], "while it runs");
    let _ = encrypted.ok("durable down");
    assert_eq!(holding(&encrypted, KNOWN), [""; 0], "after it stopped");

    // The key is in its file alone.
    let credentials = encrypted.read(".envctl/devlocal.credentials");
    let key = credentials.lines().find_map(|line| line.strip_prefix(&format!("{KEY}="))).unwrap();
    assert_eq!(key.len(), 64);
    assert_eq!(holding(&encrypted, key), [""; 0]);
    let _ = encrypted.ok("durable up");
    let container = encrypted.thing("durable-mariadb");
    assert!(!engine::ask(&["inspect", &container]).contains(key), "not in labels or variables");
    let log = engine::docker(&format!("logs {container}")).ok();
    assert!(!format!("{log}").contains(key));
    let mode = engine::ask(&[
        "exec",
        &container,
        "stat",
        "--format",
        "%a %U",
        "/run/secrets/mariadb-keys",
    ]);
    assert_eq!(mode, "400 mysql");

    // What is encrypted is told, and what is not.
    for part in PARTS {
        assert_eq!(told(&encrypted, part), ("yes".to_owned(), String::new()), "{part}");
    }
    let all = "mariadb: encrypted on the disk: tables, system tables, redo log, temporary files, binary logs";
    let _ = encrypted.ok("durable status").says(all);
    let _ = sql(&encrypted, "devlocal", "CREATE TABLE leaks (id INT) ENGINE = Aria");
    let aria = told(&encrypted, "tables that are not InnoDB");
    assert_eq!(aria.0, "no");
    assert!(aria.1.contains("echobase.leaks"), "{aria:?}");
    let _ = encrypted.ok("durable status").says("warning").says("Aria has a log of its own");
    let _ = sql(&encrypted, "devlocal", "DROP TABLE leaks");

    // A snapshot of files is as the files are, and comes back as such.
    let _ = encrypted.ok("durable snapshot files");
    let folder = format!("../home/.local/share/envctl/snapshots/{}/devlocal", encrypted.name);
    let file = fs::File::open(encrypted.path(&folder).join("files.mbstream.zst")).unwrap();
    let unpacked = zstd::decode_all(file).unwrap();
    assert!(unpacked.len() > 1 << 20);
    assert!(!unpacked.windows(KNOWN.len()).any(|window| window == KNOWN.as_bytes()));
    let _ = encrypted.ok("durable snapshot verify files").says("is good");
    let _ = sql(&encrypted, "devlocal", "DELETE FROM t");
    let _ = encrypted.ok("durable restore files");
    assert_eq!(sql(&encrypted, "devlocal", "SELECT COUNT(*) FROM t"), "4");
    assert_eq!(holding(&encrypted, KNOWN), [""; 0]);

    // The other environment has a key of its own: it gets statements, and encrypts them itself.
    let _ = encrypted.ok("durable up --env ci");
    let refused = encrypted.envctl("durable restore files --from devlocal --env ci").run().code(2);
    let _ = refused.says("encrypted by a key that `ci` has not got");
    let _ = encrypted.ok("durable clone devlocal ci");
    assert_eq!(sql(&encrypted, "ci", "SELECT COUNT(*) FROM t"), "4");
    assert_eq!(holding_in(&encrypted, "ci", KNOWN), [""; 0]);
}

fn key(sandbox: &Sandbox, name: &str) -> Option<String> {
    let credentials = sandbox.read(".envctl/devlocal.credentials");
    let value = credentials.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    value.map(str::to_owned)
}

/// Which key the server's data is encrypted by, as a snapshot tells it.
fn key_of_snapshot(sandbox: &Sandbox, name: &str) -> String {
    let _ = sandbox.ok(&format!("durable snapshot {name}"));
    let list = sandbox.ok("durable snapshots --json").json();
    let all = list["snapshots"].as_array().unwrap();
    let found = all.iter().find(|stored| stored["name"] == name).unwrap();
    found["key"].as_str().unwrap().to_owned()
}

#[test]
fn another_key_takes_all_of_the_data_over_also_after_a_kill() {
    let sandbox = written(true);
    let container = sandbox.thing("durable-mariadb");
    let root = |statement: &str| {
        let client = "MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\" exec mariadb --batch --skip-column-names --execute=\"$0\"";
        engine::ask(&["exec", &container, "sh", "-c", client, statement])
    };
    let _ = root(
        "CREATE USER extra@'%' IDENTIFIED BY 'secret'; GRANT SELECT ON echobase.t TO extra@'%'",
    );
    let (old, before) = (key(&sandbox, KEY).unwrap(), key_of_snapshot(&sandbox, "before"));

    let rotated =
        sandbox.ok("durable rotate-key").says("is encrypted by a new `MARIADB_ENCRYPTION_KEY`");
    println!("another key: {:.1} s", rotated.took.as_secs_f64());
    assert!(!rotated.stderr.contains(&old));
    let new = key(&sandbox, KEY).unwrap();
    assert!(new != old && new.len() == 64);
    assert_eq!(key(&sandbox, &format!("{KEY}_PREVIOUS")), Some(old.clone()));
    assert_eq!(key(&sandbox, &format!("{KEY}_NEXT")), None);
    let after = key_of_snapshot(&sandbox, "after");
    assert!(!after.is_empty() && after != before);
    assert_eq!(sql(&sandbox, "devlocal", "SELECT COUNT(*) FROM t"), "4");
    assert_eq!(root("SELECT @@read_only"), "0");
    assert!(root("SHOW GRANTS FOR extra@'%'").contains("GRANT SELECT ON `echobase`.`t`"));
    assert_eq!(holding(&sandbox, KNOWN), [""; 0]);
    for part in PARTS {
        assert_eq!(told(&sandbox, part).0, "yes", "{part}");
    }
    let _ = sandbox.ok("durable up").says("was up already");
    let _ = sandbox.envctl("durable restore before").run().code(2).says("encrypted by a key");

    // Killed at its steps: the data has the old key or the new one, and is written to.
    let mut known = new;
    // (The engine in memory has every step.)
    let steps = ["stop mariadb", "put the copy in the place"];
    for (round, step) in steps.into_iter().enumerate() {
        let mut running = sandbox.envctl("durable rotate-key").start();
        running.wait_for(step, Duration::from_secs(120));
        let killed = running.kill();
        println!("killed at `{step}`: {:?}", killed.code);
        let _ = sandbox.ok("durable up");
        let _ = sql(&sandbox, "devlocal", "INSERT INTO t (v) VALUES ('written')");
        let count = sql(&sandbox, "devlocal", "SELECT COUNT(*) FROM t");
        assert_eq!(count, (5 + round).to_string());
        assert_eq!(key(&sandbox, &format!("{KEY}_NEXT")), None);
        let now = key(&sandbox, KEY).unwrap();
        println!("  the key is {}", if now == known { "the old one" } else { "the new one" });
        known = now;
    }
    assert_ne!(known, old);
}
