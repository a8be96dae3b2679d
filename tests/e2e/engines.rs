//! MariaDB, MySQL and PostgreSQL as durable services: first start with its init folder, SIGKILL, and whose data they get.

use std::{fs, process::Command, time::Duration};

use super::connections;
use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http, program, wait,
};

pub struct Database {
    pub sandbox: Sandbox,
    pub container: String,
    volume: String,
    /// A shell line that asks `$0` as the application, over TCP.
    client: &'static str,
    /// What in the folder of the volume tells the version, and an edit that makes it another.
    mark: (&'static str, &'static str),
    /// What is said of data of that version.
    refusal: &'static str,
}

impl Database {
    #[track_caller]
    pub fn sql(&self, statement: &str) -> String {
        self.sql_in("devlocal", statement)
    }

    #[track_caller]
    pub fn sql_in(&self, environment: &str, statement: &str) -> String {
        let container = self.container.replace("-devlocal-", &format!("-{environment}-"));
        engine::ask(&["exec", &container, "sh", "-c", self.client, statement])
    }

    /// Runs a shell line on the volume.
    #[track_caller]
    fn on_volume(&self, line: &str) -> String {
        let volume = format!("{}:/data", self.volume);
        let label = format!("dev.envctl-test.sandbox={}", self.sandbox.name);
        let base = engine::base();
        engine::ask(&[
            "run", "--rm", "--label", &label, "--volume", &volume, &base, "sh", "-c", line,
        ])
    }

    fn id(&self) -> Option<String> {
        engine::container(&self.container)
    }

    fn runs(&self) -> bool {
        let format = "{{.State.Running}}";
        engine::ask(&["inspect", "--format", format, &self.container]) == "true"
    }
}

/// A Zstandard frame that holds a text as it is.
fn zstd(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let header = (u32::from(length) << 3 | 1).to_le_bytes();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, length];
    frame.extend_from_slice(&header[..3]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Puts a file of each kind into the init folder: a table each, called after its kind.
fn init_files(sandbox: &Sandbox, script: &str) {
    let table = |name: &str| format!("CREATE TABLE of_{name} (id INT PRIMARY KEY);\n");
    sandbox.write("durable/init/20-a.sql", &table("sql"));
    sandbox.write("durable/init/30-b.sql", &table("gz"));
    let _ = program::run(Command::new("gzip").arg(sandbox.path("durable/init/30-b.sql"))).ok();
    fs::write(sandbox.path("durable/init/40-c.sql.zst"), zstd(&table("zst"))).unwrap();
    sandbox.write("durable/init/50-d.sh", &script.replace("STATEMENT", table("sh").trim()));
}

fn mariadb() -> Database {
    let sandbox = Sandbox::small_with_database();
    init_files(&sandbox, "sql \"$database\" <<<\"STATEMENT\"\n");
    Database {
        container: sandbox.thing("durable-mariadb"),
        volume: sandbox.thing("durable-mariadb-data"),
        sandbox,
        client: "MYSQL_PWD=\"$MARIADB_PASSWORD\" exec mariadb --protocol=tcp --host=127.0.0.1 --user=\"$MARIADB_USER\" \
                 --disable-ssl-verify-server-cert --batch --skip-column-names --execute=\"$0\" \"$MARIADB_DATABASE\"",
        mark: ("mariadb_upgrade_info", "s/^[0-9.]*/12.9.1/"),
        refusal: "the data is of MariaDB 12.9.1, and MariaDB 11.8",
    }
}

/// One of the examples, with its database on port 3 (of `ci`: 8) and its page on port 0 (of `ci`: 5).
fn example(
    name: &str,
    client: &'static str,
    mark: (&'static str, &'static str),
    refusal: &'static str,
) -> Database {
    let sandbox = Sandbox::empty();
    sandbox.take(&format!("examples/{name}"), "");
    sandbox.edit("envctl.yaml", &format!("name: notes-{name}"), "name: @NAME@");
    let variables = "environments: { devlocal: { env_file: [.env.devlocal] }, ci: { env_file: [.env.ci] } }\n\ncredentials:";
    sandbox.edit("envctl.yaml", "credentials:", variables);
    sandbox.write(".env.devlocal", "DB_PORT=@PORT3@\nWEB_PORT=@PORT0@\n");
    sandbox.write(".env.ci", "DB_PORT=@PORT8@\nWEB_PORT=@PORT5@\n");
    Database {
        container: sandbox.thing("durable-db"),
        volume: sandbox.thing("durable-data"),
        sandbox,
        client,
        mark,
        refusal,
    }
}

pub fn mysql() -> Database {
    let database = example(
        "mysql",
        "MYSQL_PWD=\"$MYSQL_PASSWORD\" exec mysql --protocol=tcp --host=127.0.0.1 --user=\"$MYSQL_USER\" \
         --batch --skip-column-names --execute=\"$0\" \"$MYSQL_DATABASE\"",
        ("mysql_upgrade_history", "s/\"version\":\"[0-9.]*/\"version\":\"9.9.0/"),
        "the data is of MySQL 9.9, and MySQL 9.",
    );
    init_files(&database.sandbox, "sql \"$database\" <<<\"STATEMENT\"\n");
    database
}

pub fn postgres() -> Database {
    let database = example(
        "postgres",
        "PGPASSWORD=\"$POSTGRES_PASSWORD\" exec psql --host=127.0.0.1 --username=\"$POSTGRES_USER\" \
         --no-align --tuples-only --command=\"$0\" \"$POSTGRES_DB\"",
        ("pgdata/PG_VERSION", "s/.*/18/"),
        "the data is of PostgreSQL 18, and PostgreSQL 17",
    );
    init_files(&database.sandbox, "psql --command=\"STATEMENT\"\n");
    database
}

/// First start, a second `up`, SIGKILL, data of a higher version; the database is up in the end.
fn lives(database: &Database) {
    let Database { sandbox, container, mark: (mark, edit), .. } = database;
    let up = sandbox.ok("durable up").says("the durable layer is up");
    println!("{container}: first start {:.1} s", up.took.as_secs_f64());
    for kind in ["sql", "gz", "zst", "sh"] {
        assert_eq!(database.sql(&format!("SELECT count(*) FROM of_{kind}")), "0", "{kind}");
    }
    let grace = engine::ask(&["inspect", "--format", "{{.Config.StopTimeout}}", container]);
    assert_eq!(grace, "120");

    let id = database.id();
    let _ = sandbox.ok("durable up").says("was up already");
    assert_eq!(database.id(), id);

    let _ = database.sql("INSERT INTO of_sql VALUES (7)");
    let _ = engine::docker(&format!("kill --signal KILL {container}")).ok();
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    assert_eq!(database.id(), id, "it is started, not replaced");
    assert_eq!(database.sql("SELECT id FROM of_sql"), "7");

    // Data of a higher version: nothing is made of it, and it stays.
    let _ = sandbox.ok("durable down");
    database.on_volume(&format!("cp -p /data/{mark} /data/.mark && sed -i '{edit}' /data/{mark}"));
    let refused = sandbox.envctl("durable up").run().code(1).says(database.refusal);
    let _ = refused.says("nothing was stopped or changed");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("durable")), [""; 0]);
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("check")), [""; 0]);
    database.on_volume(&format!("cat /data/.mark >/data/{mark} && rm /data/.mark"));
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    assert_eq!(database.sql("SELECT id FROM of_sql"), "7");
}

#[test]
fn mariadb_lives_through_first_start_kill_and_a_refused_downgrade() {
    lives(&mariadb());
}

#[test]
fn mysql_lives_through_first_start_kill_and_a_refused_downgrade() {
    let mysql = mysql();
    lives(&mysql);

    // MariaDB on its volume is refused while it runs, and it runs on.
    let (sandbox, id) = (&mysql.sandbox, mysql.id());
    let file = "durable/docker-compose.yml";
    let before = sandbox.read(file);
    sandbox.take("durable/mariadb", "durable/mariadb");
    sandbox.edit(file, "image: mysql:9", "image: mariadb:11.8");
    sandbox.edit(file, "context: ./mysql", "context: ./mariadb");
    sandbox.edit(file, "      - mysqld\n", "      - mariadbd\n");
    let refused = sandbox.envctl("durable up --apply").run().code(1);
    let _ = refused
        .says("the data is of MySQL 9.")
        .says("which MariaDB 11.8")
        .says("a volume of its own");
    assert!(mysql.id() == id && mysql.runs());
    sandbox.write(file, &before);

    // Killed as it stops, it gets no other image before its own has mended its data.
    let _ = engine::docker(&format!("kill --signal KILL {}", mysql.container)).ok();
    let dockerfile = sandbox.read("durable/mysql/Dockerfile");
    sandbox.write("durable/mysql/Dockerfile", &format!("{dockerfile}LABEL other=1\n"));
    let _ = sandbox
        .envctl("durable up --apply")
        .run()
        .code(1)
        .says("did not stop cleanly (exit code 137)");
    assert_eq!(mysql.id(), id);
    let _ = sandbox.ok("durable up").says("another definition");
    assert!(mysql.id() == id && mysql.runs());
    let _ = sandbox.ok("durable up --apply");
    assert_ne!(mysql.id(), id);
    assert_eq!(mysql.sql("SELECT id FROM of_sql"), "7");

    let client = "mysql --host=db --user=notes --execute='SELECT 1' notes";
    connections::is_required(
        &mysql,
        3306,
        &format!("{client} --ssl-mode=VERIFY_IDENTITY --ssl-ca=/run/ca/ca.crt"),
        &format!("{client} --ssl-mode=DISABLED --get-server-public-key"),
        "Access denied",
    );
}

#[test]
fn postgres_lives_through_first_start_kill_and_a_refused_downgrade_and_its_app_is_served() {
    let postgres = postgres();
    lives(&postgres);
    let sandbox = &postgres.sandbox;
    let _ = sandbox.ok("up").says("blue is live");
    let port = sandbox.ports.get(0);
    let _ = http::wait_for(port, "/health", Duration::from_secs(30));
    let _ = postgres.sql("INSERT INTO notes (text) VALUES ('kept')");
    assert_eq!(http::get(port, "/").status(200).text(), "1 kept\n");

    let client = |options: &str| {
        format!("psql 'host=db user=notes dbname=notes {options}' --command='SELECT 1'")
    };
    connections::is_required(
        &postgres,
        5432,
        &client("sslmode=verify-full sslrootcert=/run/ca/ca.crt"),
        &client("sslmode=disable"),
        "no encryption",
    );
}

/// No signal hits surely the moment after it closed its log of changes: it is killed at work, and the mark of a log that is in
/// use, the first event's first flag, is taken off.
#[test]
fn mariadb_that_was_killed_as_it_stopped_starts_again() {
    let database = mariadb();
    let Database { sandbox, container, .. } = &database;
    let _ = sandbox.ok("durable up");
    let _ = database.sql("CREATE TABLE ticks (n INT AUTO_INCREMENT PRIMARY KEY)");
    let rows = || database.sql("SELECT count(*) FROM ticks").parse::<u64>().unwrap();
    let client =
        r#"MYSQL_PWD="$MARIADB_PASSWORD" mariadb --user="$MARIADB_USER" "$MARIADB_DATABASE""#;
    let work =
        format!("for n in 1 2 3 4; do yes 'INSERT INTO ticks () VALUES ();' | {client} & done");
    for _ in 0..20 {
        let before = rows();
        let _ = engine::ask(&["exec", "--detach", container, "sh", "-c", &work]);
        wait::until_true(Duration::from_secs(60), "rows are written", || rows() > before + 100);
        let least = rows();
        let _ = engine::docker(&format!("kill --signal KILL {container}")).ok();
        database.on_volume(
            "log=$(tail -n 1 /data/*.index) && printf '\\0' | dd of=\"/data/$log\" bs=1 seek=21 conv=notrunc",
        );
        let up = sandbox.ok("durable up").says("the durable layer is up");
        assert!(rows() >= least, "what was acknowledged is there");
        // Only now and then a transaction is left in between.
        if up.stderr.contains("what it was about to commit is committed") {
            assert_eq!(engine::named(Kind::Container, &sandbox.thing("scratch")), [""; 0]);
            return;
        }
    }
    panic!("there was never a transaction left");
}

/// A real upgrade: 10.11 of the Debian before this one, with its data, to 11.8. And not back.
#[test]
fn mariadb_10_11_gets_11_8_after_a_snapshot_and_no_way_back() {
    let older = "debian:bookworm-slim";
    let mut make = Command::new("scripts/base-image");
    let _ = program::run(make.arg(older).current_dir(env!("CARGO_MANIFEST_DIR"))).ok();
    let database = mariadb();
    let sandbox = &database.sandbox;
    let [compose, dockerfile] = ["durable/docker-compose.yml", "durable/mariadb/Dockerfile"];
    let newer = sandbox.read(dockerfile);
    let version = |version: &str, dockerfile_text: &str| {
        let text = sandbox.read(compose);
        let (before, rest) = text.split_once("image: mariadb:").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        sandbox.write(compose, &format!("{before}image: mariadb:{version}\n{after}"));
        sandbox.write(dockerfile, dockerfile_text);
    };
    let bookworm = newer.replace("FROM ${BASE_IMAGE}", &format!("FROM {older}"));
    assert_ne!(bookworm, newer);
    version("10.11", &bookworm);
    let _ = sandbox.ok("durable up");
    assert!(database.sql("SELECT VERSION()").starts_with("10.11."));
    let _ = database.sql("INSERT INTO of_sql VALUES (7)");
    let _ = sandbox.ok("durable snapshot old");
    let _ = sandbox.ok("durable snapshot verify old");

    version("11.8", &newer);
    let _ = sandbox.ok("durable up").says("another definition");
    assert!(database.sql("SELECT VERSION()").starts_with("10.11."));
    let up = sandbox.ok("durable up --apply");
    let _ = up.says("before the upgrade from MariaDB 10.11.").says("to MariaDB 11.8.");
    assert!(database.sql("SELECT VERSION()").starts_with("11.8."));
    assert_eq!(database.sql("SELECT id FROM of_sql"), "7");

    version("10.11", &bookworm);
    let id = database.id();
    let refused = sandbox.envctl("durable up --apply").run().code(1);
    let _ = refused.says("of MariaDB 11.8.").says("and MariaDB 10.11.");
    assert!(database.id() == id && database.runs());
    // Also where no container tells any more who had the data.
    let _ = sandbox.ok("durable down");
    let refused = sandbox.envctl("durable up").run().code(1);
    let _ = refused.says("of MariaDB 11.8.").says("and MariaDB 10.11.");
}
