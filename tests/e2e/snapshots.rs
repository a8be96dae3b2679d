//! Snapshots of a real MariaDB: taken while it serves, looked at, put back, back to a second, cloned.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
};

#[track_caller]
pub fn sql(sandbox: &Sandbox, environment: &str, question: &str) -> String {
    let container = format!("{}-{environment}-durable-mariadb", sandbox.name);
    engine::ask(&["exec", &container, "sh", "-c", CLIENT, question])
}

pub const CLIENT: &str = "MYSQL_PWD=\"$MARIADB_PASSWORD\" exec mariadb --user=\"$MARIADB_USER\" \
                      --batch --skip-column-names --execute=\"$0\" \"$MARIADB_DATABASE\"";

fn add(sandbox: &Sandbox, environment: &str, name: &str) {
    let insert = format!("INSERT INTO users (email, password_hash) VALUES ('{name}', 'x')");
    let _ = sql(sandbox, environment, &insert);
}

fn names(sandbox: &Sandbox, environment: &str) -> Vec<String> {
    let all = sql(sandbox, environment, "SELECT email FROM users ORDER BY id");
    all.lines().map(str::to_owned).collect()
}

fn folder(sandbox: &Sandbox, environment: &str) -> PathBuf {
    sandbox.path(&format!("../home/.local/share/envctl/snapshots/{}/{environment}", sandbox.name))
}

/// Nothing of a copy is left but the data that is kept.
#[track_caller]
pub fn nothing_left(sandbox: &Sandbox, kept: usize) {
    let containers = sandbox.things(Kind::Container);
    let left =
        |name: &String| ["-scratch-", "-exchange-", "-look-"].iter().any(|w| name.contains(w));
    assert!(!containers.iter().any(left), "{containers:?}");
    let volumes = sandbox.things(Kind::Volume);
    let copies = volumes.iter().filter(|name| name.contains("-before-restore")).count();
    assert_eq!(copies, kept, "{volumes:?}");
}

#[test]
fn a_snapshot_comes_back_while_the_application_goes_on() {
    let sandbox = Sandbox::small_with_database();
    let _ = sandbox.ok("up");
    let web = sandbox.thing("blue-web-1");
    let started = ["inspect", "--format", "{{.State.StartedAt}}", &web];
    let web_started = engine::ask(&started);
    add(&sandbox, "devlocal", "one");
    add(&sandbox, "devlocal", "two");

    // Taken, while it serves.
    let taken =
        sandbox.envctl("durable snapshot first --why").arg("before the migration").run().ok();
    let _ = taken.says("snapshot first: ");
    let folder = folder(&sandbox, "devlocal");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in ["first.json", "first.mbstream.zst"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    let _ = sandbox.envctl("durable snapshot first").run().code(2).says("is there already");
    let list = sandbox.ok("durable snapshots --json").json();
    let first = &list["snapshots"][0];
    assert_eq!(first["name"], "first");
    assert_eq!(first["engine"], "mariadb");
    assert_eq!(first["why"], "before the migration");
    assert_eq!(first["whole"], true);
    assert!(first["version"].as_str().unwrap().contains("MariaDB"));
    assert!(first["position"]["at"].as_u64().unwrap() > 0);
    assert!(!fs::read_to_string(folder.join("first.json")).unwrap().contains("PASSWORD"));

    // Looked at by a server of its own.
    let good = sandbox.ok("durable snapshot verify first").says("snapshot first is good: ");
    println!("verify: {:.1} s", good.took.as_secs_f64());
    nothing_left(&sandbox, 0);

    // Put back: what came later is gone, and kept.
    add(&sandbox, "devlocal", "three");
    let back = sandbox.ok("durable restore first").says("mariadb has the data of snapshot first");
    println!("restore: {:.1} s", back.took.as_secs_f64());
    assert_eq!(names(&sandbox, "devlocal"), ["one", "two"]);
    assert_eq!(engine::ask(&started), web_started, "the application was not restarted");
    nothing_left(&sandbox, 1);

    // What was kept stays until it is asked for by name; a second restore keeps too.
    add(&sandbox, "devlocal", "four");
    let _ = sandbox.ok("durable restore");
    assert_eq!(names(&sandbox, "devlocal"), ["one", "two"]);
    nothing_left(&sandbox, 2);
    let _ = sandbox.ok("durable snapshots").says("-before-restore-2`");
    let _ = sandbox.envctl("durable restore --purge").run().code(2);
    let _ = sandbox.envctl("durable restore --purge --confirm ci").run().code(2);
    nothing_left(&sandbox, 2);
    let _ = sandbox.ok("durable restore --purge --confirm devlocal").says("deleted: ");
    nothing_left(&sandbox, 0);
    assert_eq!(names(&sandbox, "devlocal"), ["one", "two"]);

    // One that was damaged is told, and nothing is touched.
    let file = folder.join("first.mbstream.zst");
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0xff;
    fs::write(&file, &bad).unwrap();
    add(&sandbox, "devlocal", "five");
    let _ = sandbox.envctl("durable snapshot verify first").run().code(1).says("is damaged");
    let broken = sandbox.envctl("durable restore first").run().code(1).says("is damaged");
    let _ = broken.says("the data of `mariadb` is as it was");
    nothing_left(&sandbox, 0);
    fs::write(&file, &good[..middle]).unwrap();
    let _ = sandbox.ok("durable snapshots").shows("BROKEN");
    let _ = sandbox.envctl("durable restore first").run().code(2).says("is not what was written");
    assert_eq!(names(&sandbox, "devlocal"), ["one", "two", "five"]);

    // Statements, into another environment with other passwords.
    let _ = sandbox.ok("durable snapshot dump --logical");
    let _ = sandbox.ok("durable up --env ci");
    add(&sandbox, "ci", "of ci");
    for (name, all) in
        [("dump", vec!["one", "two", "five"]), ("second", vec!["one", "two", "five", "six"])]
    {
        if name == "second" {
            add(&sandbox, "devlocal", "six");
            let _ = sandbox.ok("durable snapshot second");
        }
        let _ = sandbox.ok(&format!("durable restore {name} --from devlocal --env ci"));
        assert_eq!(names(&sandbox, "ci"), all, "{name}");
    }
    assert_eq!(names(&sandbox, "devlocal").len(), 4);
}

#[test]
fn the_data_goes_back_to_a_second_and_over_to_another_environment() {
    let sandbox = Sandbox::small_with_database();
    let _ = sandbox.ok("durable up");
    let _ = sql(
        &sandbox,
        "devlocal",
        "CREATE TABLE ticks (n INT AUTO_INCREMENT PRIMARY KEY, at DATETIME(6) NOT NULL DEFAULT NOW(6))",
    );
    let _ = sandbox.envctl("durable restore --to").arg("2020-01-01T00:00:00Z").run().code(2);
    let _ = sandbox.ok("durable snapshot");

    // A writer, and a second in the midst of what it wrote.
    let container = sandbox.thing("durable-mariadb");
    let loops = "BEGIN NOT ATOMIC FOR i IN 1..60 DO INSERT INTO ticks () VALUES (); DO SLEEP(0.1); END FOR; END";
    let compound = CLIENT.replace("--batch", "--batch --delimiter=//");
    let _ = engine::ask(&["exec", &container, "sh", "-c", &compound, loops]);
    let rows = |where_: &str| {
        sql(&sandbox, "devlocal", &format!("SELECT n, at FROM ticks {where_} ORDER BY n"))
    };
    let all = rows("");
    assert_eq!(all.lines().count(), 60);
    let moment = sql(
        &sandbox,
        "devlocal",
        "SELECT DATE_FORMAT(at, '%Y-%m-%d %H:%i:%s') FROM ticks WHERE n = 35",
    );
    let before = rows(&format!("WHERE at < '{moment}'"));
    assert!(before.lines().count() > 10 && before.lines().count() < 35, "{before}");

    let to = format!("{}Z", moment.replace(' ', "T"));
    let _ = sandbox.envctl("durable restore --to").arg(&to).run().ok().says("its changes until");
    assert_eq!(rows(""), before, "to the second");
    nothing_left(&sandbox, 1);
    // It is another life of the data: the snapshot's log of changes is not that of what is there now.
    let _ = sandbox.envctl("durable restore --to").arg(&to).run().code(2).says("no way back");

    // Over to another environment, as it is now.
    let _ = sandbox.ok("durable up --env ci");
    add(&sandbox, "devlocal", "cloned");
    let _ = sandbox.ok("durable clone devlocal ci").says("mariadb has the data of ");
    assert_eq!(names(&sandbox, "ci"), ["cloned"]);
    add(&sandbox, "ci", "of ci");
    assert_eq!(names(&sandbox, "devlocal"), ["cloned"]);

    // Statements out and in, packed in each way.
    let _ = sandbox.ok("durable export out.sql").says("exported ");
    let _ = sandbox.ok("durable export out.sql.zst");
    assert!(sandbox.read("out.sql").contains("'cloned'"));
    let gzip = Command::new("gzip").arg("--keep").arg(sandbox.path("out.sql")).status().unwrap();
    assert!(gzip.success());
    for file in ["out.sql", "out.sql.gz", "out.sql.zst"] {
        let _ = sql(&sandbox, "devlocal", "DELETE FROM users");
        let _ = sandbox.ok(&format!("durable import {file}")).says("is imported into mariadb");
        assert_eq!(names(&sandbox, "devlocal"), ["cloned"], "{file}");
    }
    let _ = sandbox.ok("durable import out.sql --into other");
    let root = "MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\" exec mariadb --batch --skip-column-names --execute=\"$0\"";
    let other = ["exec", &container, "sh", "-c", root, "SELECT COUNT(*) FROM other.users"];
    assert_eq!(engine::ask(&other), "1");
    let printed = sandbox.ok("durable export").shows("INSERT INTO `users`");
    assert!(printed.stderr.contains("exported"));
    sandbox.write("bad.sql", "INSERT INTO nowhere VALUES (1);\n");
    let _ = sandbox.envctl("durable import bad.sql").run().code(1).says("nowhere");
    let mut piped = Command::new(env!("CARGO_BIN_EXE_envctl"));
    piped.args(["durable", "import", "-"]).current_dir(sandbox.path(""));
    sandbox.surround(&mut piped);
    let mut piped = piped.stdin(Stdio::piped()).spawn().unwrap();
    let insert = b"INSERT INTO users (email, password_hash) VALUES ('piped', 'x');\n";
    std::io::Write::write_all(piped.stdin.as_mut().unwrap(), insert).unwrap();
    drop(piped.stdin.take());
    assert!(piped.wait().unwrap().success());
    assert_eq!(names(&sandbox, "devlocal"), ["cloned", "piped"]);

    // One statement, as the application.
    let one = sandbox.envctl("durable shell -c").arg("SELECT email FROM users").run().ok();
    let _ = one.shows("piped");
}
