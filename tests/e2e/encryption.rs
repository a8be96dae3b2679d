//! Encryption at rest: a known text is in no file of an encrypted database, and in those of a plain one.

use crate::support::{Sandbox, engine};

const KNOWN: &str = "known-plaintext-of-a-test-4711";
const KEY: &str = "MARIADB_ENCRYPTION_KEY";

/// The files of the volume that hold a text.
fn holding(sandbox: &Sandbox, text: &str) -> Vec<String> {
    let volume = format!("{}:/data:ro", sandbox.thing("durable-mariadb-data"));
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
    let client = "MYSQL_PWD=\"$MARIADB_PASSWORD\" exec mariadb --user=\"$MARIADB_USER\" --execute=\"$0\" \"$MARIADB_DATABASE\"";
    let container = sandbox.thing("durable-mariadb");
    let _ = engine::ask(&["exec", &container, "sh", "-c", client, &statement]);
    sandbox
}

#[test]
fn a_known_text_is_in_the_files_of_a_plain_database_alone() {
    let plain = written(false);
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
}
