//! Copies of the data of a real MySQL and a real PostgreSQL: snapshots, back to a second, clones, statements.

use super::{
    engines::{Database, mysql, postgres},
    snapshots::nothing_left,
};

fn add(database: &Database, environment: &str, text: &str) {
    let _ = database.sql_in(environment, &format!("INSERT INTO notes (text) VALUES ('{text}')"));
}

fn notes(database: &Database, environment: &str) -> Vec<String> {
    let all = database.sql_in(environment, "SELECT text FROM notes ORDER BY id");
    all.lines().map(str::to_owned).collect()
}

/// Snapshots of files and of statements, a clone, an export: each is taken while the database serves, and put back.
fn comes_back(database: &Database, engine: &str) {
    let sandbox = &database.sandbox;
    let _ = sandbox.ok("durable up");
    add(database, "devlocal", "one");
    add(database, "devlocal", "two");

    let status = sandbox.ok("durable status --json").json();
    let parts = status["services"][0]["encryption"].as_array().unwrap().clone();
    assert!(!parts.is_empty() && parts.iter().all(|part| part["encrypted"] == "no"), "{parts:?}");

    let taken = sandbox.ok("durable snapshot first").says("snapshot first: ");
    println!("{engine}: snapshot {:.1} s", taken.took.as_secs_f64());
    let list = sandbox.ok("durable snapshots --json").json();
    let first = &list["snapshots"][0];
    assert_eq!((&first["name"], &first["engine"]), (&"first".into(), &engine.into()));
    assert_eq!((&first["whole"], &first["logical"]), (&true.into(), &false.into()));
    assert!(first["version"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));

    let good = sandbox.ok("durable snapshot verify first").says("snapshot first is good: ");
    println!("{engine}: verify {:.1} s", good.took.as_secs_f64());
    nothing_left(sandbox, 0);

    add(database, "devlocal", "three");
    let back = sandbox.ok("durable restore first").says("db has the data of snapshot first");
    println!("{engine}: restore {:.1} s", back.took.as_secs_f64());
    assert_eq!(notes(database, "devlocal"), ["one", "two"]);
    nothing_left(sandbox, 1);

    // Statements, into an environment with other passwords.
    let _ = sandbox.ok("durable snapshot dump --logical");
    let _ = sandbox.ok("durable up --env ci");
    add(database, "ci", "of ci");
    let back = sandbox.ok("durable restore dump --from devlocal --env ci");
    println!("{engine}: restore of statements {:.1} s", back.took.as_secs_f64());
    assert_eq!(notes(database, "ci"), ["one", "two"]);

    // As it is now, into the other one.
    add(database, "devlocal", "cloned");
    let cloned = sandbox.ok("durable clone devlocal ci").says("db has the data of ");
    println!("{engine}: clone {:.1} s", cloned.took.as_secs_f64());
    assert_eq!(notes(database, "ci"), ["one", "two", "cloned"]);
    add(database, "ci", "of ci");
    assert_eq!(notes(database, "devlocal"), ["one", "two", "cloned"]);

    // Statements out and in, packed and plain, over what is there and into a database of its own.
    for file in ["out.sql", "out.sql.zst"] {
        let _ = sandbox.ok(&format!("durable export {file}")).says("exported ");
        let _ = database.sql("DELETE FROM notes");
        let _ = sandbox.ok(&format!("durable import {file}")).says("is imported into db");
        assert_eq!(notes(database, "devlocal"), ["one", "two", "cloned"], "{file}");
    }
    let _ = sandbox.ok("durable import out.sql --into other");
    let _ = sandbox.ok("durable export --of other").shows("cloned");
    sandbox.write("bad.sql", "INSERT INTO nowhere VALUES (1);\n");
    let _ = sandbox.envctl("durable import bad.sql").run().code(1).says("nowhere");
}

/// Rows that are written for six seconds, and the second in their midst: what was written before it comes back, and
/// nothing else.
fn goes_back_to_a_second(database: &Database, table: &str, seconds: &str, writer: &str) {
    let sandbox = &database.sandbox;
    let _ = sandbox.ok("durable up");
    let _ = database.sql(table);
    let _ = sandbox.ok("durable snapshot");
    let _ = database.sql(writer);
    let rows = || -> Vec<(u32, f64)> {
        let all = database.sql(&format!("SELECT n, {seconds} FROM ticks ORDER BY n"));
        let row = |line: &str| {
            let (number, at) = line.split_once(['\t', '|']).unwrap();
            (number.parse().unwrap(), at.parse().unwrap())
        };
        all.lines().map(row).collect()
    };
    let all = rows();
    assert_eq!(all.len(), 60);

    // Between a row's time and that of its commit is a moment: the second before which there was the longest pause.
    let before = |second: f64| all.iter().filter(|row| row.1 < second).count();
    let pause = |second: f64| second - all[before(second) - 1].1;
    let mut moments: Vec<f64> = (1..6).map(|n| (all[0].1 + f64::from(n)).floor()).collect();
    moments.retain(|&second| (10..=50).contains(&before(second)));
    let moment = moments.into_iter().max_by(|&a, &b| pause(a).total_cmp(&pause(b))).unwrap();

    #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
    let to = jiff::Timestamp::from_second(moment as i64).unwrap().to_string();
    let back = sandbox.envctl("durable restore --to").arg(&to).run().ok();
    println!("restore to {to}: {:.1} s", back.took.as_secs_f64());
    let _ = back.says("its changes until");
    assert_eq!(rows(), all[..before(moment)], "to the second");
    nothing_left(sandbox, 1);

    // It is another life of the data, and goes on from there; it goes back to its own past only.
    let _ = sandbox.envctl("durable restore --to").arg(&to).run().code(2).says("no way back");
    let _ = sandbox.ok("durable snapshot");
    add(database, "devlocal", "after");
    let later = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 1).unwrap();
    crate::support::wait::until_true(std::time::Duration::from_secs(30), "it is later", || {
        jiff::Timestamp::now() > later
    });
    let _ = sandbox.envctl("durable restore --to").arg(&later.to_string()).run().ok();
    assert_eq!(rows(), all[..before(moment)]);
    assert_eq!(notes(database, "devlocal"), ["after"], "nothing came after it");
}

#[test]
fn data_of_mysql_comes_back_from_snapshots_clones_and_statements() {
    comes_back(&mysql(), "mysql");
}

#[test]
fn data_of_postgres_comes_back_from_snapshots_clones_and_statements() {
    comes_back(&postgres(), "postgres");
}

#[test]
fn data_of_mysql_goes_back_to_a_second() {
    let table = "CREATE TABLE ticks (n INT AUTO_INCREMENT PRIMARY KEY, at DATETIME(6) NOT NULL DEFAULT NOW(6))";
    let writer = "INSERT INTO ticks () VALUES (); DO SLEEP(0.1);".repeat(60);
    goes_back_to_a_second(&mysql(), table, "UNIX_TIMESTAMP(at)", &writer);
}

#[test]
fn data_of_postgres_goes_back_to_a_second() {
    let table = "CREATE TABLE ticks (n INT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                 at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())";
    let writer = "DO $$ BEGIN FOR i IN 1..60 LOOP INSERT INTO ticks DEFAULT VALUES; COMMIT; \
                  PERFORM pg_sleep(0.1); END LOOP; END $$";
    goes_back_to_a_second(&postgres(), table, "extract(epoch FROM at)", writer);
}
