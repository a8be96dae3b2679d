//! `deploy --database clone` on real databases: a migration is tried on a copy, and the durable database never knows.

use std::time::Duration;

use super::{
    engines::{Database, mysql, postgres},
    snapshots::sql,
};
use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http,
    program::Outcome,
    wait::until_true,
};

/// A client in each color that spells the database's name its own way, and a migration before the switch.
const COMPOSE: &str = r#"
  client: &client
    build: { context: durable/mariadb, args: { BASE_IMAGE: "${BASE_IMAGE:-debian:trixie-slim}" } }
    entrypoint: [sleep, infinity]
    init: true
    stop_grace_period: 1s
    environment: { DB_HOST: MariaDB, DB_USER: "${MARIADB_USER:-echobase}", MYSQL_PWD: "${MARIADB_PASSWORD}" }
    networks: [durable]
  migrate:
    <<: *client
    entrypoint: [sh, -c]
    command:
      - mariadb --host=$$DB_HOST --user=$$DB_USER --disable-ssl-verify-server-cert echobase
        --execute="ALTER TABLE users ADD COLUMN by_hook INT"
networks:
  durable: { external: true, name: "@NAME@-devlocal-durable-network" }
"#;

fn project() -> Sandbox {
    let sandbox = Sandbox::small_with_database();
    let both = "[durable/docker-compose.yml, durable/docker-compose.encrypted.yml]";
    sandbox.edit("envctl.yaml", "[durable/docker-compose.yml]", both);
    sandbox.edit("envctl.yaml", "MARIADB_PASSWORD]", "MARIADB_PASSWORD, MARIADB_ENCRYPTION_KEY]");
    let compose = sandbox.read("compose.yaml");
    sandbox.write("compose.yaml", &format!("{compose}{COMPOSE}"));
    sandbox
}

/// A statement of a color's application, to the database at a host.
fn at(sandbox: &Sandbox, color: &str, host: &str, statement: &str) -> Outcome {
    let client = sandbox.thing(&format!("{color}-client-1"));
    let line = "exec mariadb --host=\"$0\" --user=\"$DB_USER\" --disable-ssl-verify-server-cert --batch \
                --skip-column-names --connect-timeout=3 --execute=\"$1\" echobase";
    let words = ["exec", &client, "sh", "-c", line, host, statement];
    crate::support::program::run(std::process::Command::new("docker").args(words))
}

fn columns(sandbox: &Sandbox) -> String {
    sql(
        sandbox,
        "devlocal",
        "SELECT GROUP_CONCAT(column_name) FROM information_schema.columns WHERE table_name = 'users'",
    )
}

/// What would differ if the durable container had been changed in any way, and its rows.
fn durable(sandbox: &Sandbox) -> [String; 3] {
    let format = "{{.Id}} {{.State.StartedAt}} {{json .Config}} {{range $name, $at := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let container = sandbox.thing("durable-mariadb");
    [
        engine::ask(&["inspect", "--format", format, &container]),
        columns(sandbox),
        sql(sandbox, "devlocal", "SELECT GROUP_CONCAT(email ORDER BY id) FROM users"),
    ]
}

/// What stands of a color's copy.
fn left(sandbox: &Sandbox, color: &str) -> Vec<String> {
    let all = Kind::ALL.into_iter().flat_map(|kind| engine::named(kind, &sandbox.thing(color)));
    all.filter(|name| {
        name.contains("-clone") || name.contains("-mariadb-") || name.contains("-db-")
    })
    .collect()
}

#[test]
fn a_migration_is_tried_on_a_copy_of_an_encrypted_mariadb_and_goes_with_its_color() {
    let sandbox = project();
    let _ = sandbox.ok("durable up");
    let insert = "INSERT INTO users (email, password_hash) VALUES ('one', 'x'), ('two', 'x')";
    let _ = sql(&sandbox, "devlocal", insert);
    // Blue is switched to without a migration.
    let hooks = "[compose.yaml] }\nhooks: { before_cleanup: [migrate] }";
    sandbox.edit("envctl.yaml", "[compose.yaml] }", hooks);
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.edit("envctl.yaml", "before_cleanup: [migrate]", "before_switch: [migrate]");
    let before = durable(&sandbox);

    // Seen before it is done.
    for command in ["plan deploy --database clone", "deploy --database clone --dry-run"] {
        let _ = sandbox.ok(command).shows("copy the data of mariadb");
    }
    let _ = sandbox.envctl("plan switch --database clone").run().code(2);
    assert_eq!(engine::named(Kind::Volume, &sandbox.thing("green")), [""; 0]);

    let deployed = sandbox.ok("deploy green --database clone");
    println!("deploy with a clone: {:.1} s", deployed.took.as_secs_f64());
    let _ = deployed.says("green has a clone of mariadb");
    let _ = sandbox.ok("status").shows("database: a clone of mariadb of ");
    let status = sandbox.ok("status --json").json();
    assert_eq!(status["colors"]["green"]["clones"][0]["service"], "mariadb");
    assert_eq!(status["colors"]["blue"]["clones"].as_array().unwrap().len(), 0);

    // Through the color, by each name of the database; the live one and the durable data know nothing of it.
    let tried = "ALTER TABLE users DROP COLUMN password_hash, ADD COLUMN tried INT; DELETE FROM users WHERE email = 'one'";
    let _ = at(&sandbox, "green", "mariadb", tried).ok();
    for host in ["mariadb", "MariaDB", &sandbox.thing("durable-mariadb")] {
        let rows = at(&sandbox, "green", host, "SELECT email, tried FROM users").ok();
        assert_eq!(rows.stdout, "two\tNULL\n", "{host}");
        assert_eq!(
            at(&sandbox, "blue", host, "SELECT COUNT(*) FROM users").ok().stdout,
            "2\n",
            "{host}"
        );
    }
    assert_eq!(durable(&sandbox), before);

    // While the copy is down there is no database, and never the durable one.
    let copy = sandbox.thing("green-mariadb-1");
    let _ = engine::docker(&format!("stop {copy}")).ok();
    for host in ["mariadb", "MariaDB", &sandbox.thing("durable-mariadb")] {
        let _ =
            at(&sandbox, "green", host, "DELETE FROM users").code(1).says("Unknown server host");
    }
    let _ = engine::docker(&format!("start {copy}")).ok();
    until_true(Duration::from_secs(60), "the copy answers again", || {
        at(&sandbox, "green", "mariadb", "SELECT 1").code == Some(0)
    });
    assert_eq!(durable(&sandbox), before);

    // It gets no traffic by mistake.
    for command in ["switch green", "switch green --force"] {
        let refused = sandbox.envctl(command).run().code(1).says("green has a clone of mariadb");
        let _ = refused.says("--keep-clone").says("is in no other database");
    }
    let _ = sandbox.envctl("switch green --weight 10").run().code(1).says("on two databases");
    let _ = sandbox.envctl("switch green --weight 10 --keep-clone").run().code(2);
    assert_eq!(sandbox.color(), "blue");
    assert_eq!(durable(&sandbox), before);

    // Who says so gets it; the hook works on the copy.
    let _ = sandbox.ok("switch green --keep-clone").says("green is live");
    assert_eq!(sandbox.color(), "green");
    let hooked = at(&sandbox, "green", "mariadb", "SELECT by_hook, tried FROM users").ok();
    assert_eq!(hooked.stdout, "NULL\tNULL\n");
    let _ = sandbox.ok("history").shows("switch (clone)");
    let _ = sandbox.ok("up").says("is live with a clone");
    let _ = sandbox.envctl("cleanup green").run().code(1).says("green is live");
    let _ = sandbox.envctl("deploy green --force").run().code(1).says("keeps its database");
    assert_eq!(left(&sandbox, "green").len(), 3);
    assert_eq!(durable(&sandbox), before);

    // Back, and gone: the copy alone.
    let _ = sandbox.ok("rollback").says("stays in green").says("blue is live");
    let _ = sandbox.envctl("rollback").run().code(1).says("green has a clone");
    let _ = sandbox.ok("cleanup green");
    assert_eq!(left(&sandbox, "green"), [""; 0]);
    assert_eq!(durable(&sandbox), before);
    assert_eq!(sandbox.color(), "blue");
}

/// A note written through the color is in its copy alone.
fn is_tried_on_a_copy(database: &Database) {
    let sandbox = &database.sandbox;
    let _ = sandbox.ok("up").says("blue is live");
    let _ = database.sql("INSERT INTO notes (text) VALUES ('kept')");
    let id = engine::container(&database.container);
    let deployed = sandbox.ok("deploy green --database clone").says("green has a clone of db");
    println!("deploy with a clone: {:.1} s", deployed.took.as_secs_f64());
    let (live, preview) = (sandbox.ports.get(0), sandbox.ports.get(20));
    let _ = http::send(preview, "POST", "/", &[], b"tried").status(201);
    assert_eq!(http::get(preview, "/").status(200).text(), "1 kept\n2 tried\n");
    assert_eq!(http::get(live, "/").status(200).text(), "1 kept\n");
    assert_eq!(database.sql("SELECT text FROM notes"), "kept");
    let _ = sandbox.envctl("switch green").run().code(1).says("green has a clone of db");

    // It shows the durable one's certificate, which so cannot go: nothing does then.
    for words in ["durable down --volumes", "durable up --reset"] {
        let refused = sandbox.envctl(&format!("{words} --confirm devlocal")).run().code(1);
        let _ = refused.says("green-db-1` holds the volume").says("envctl cleanup");
    }
    let list = sandbox.ok("durable snapshots --json").json();
    assert_eq!(list["snapshots"].as_array().unwrap().len(), 0);
    let _ = sandbox.ok("cleanup green");
    assert_eq!(left(sandbox, "green"), [""; 0]);
    assert_eq!(engine::container(&database.container), id);
    assert_eq!(database.sql("SELECT text FROM notes"), "kept");

    let _ = sandbox.ok("down --confirm devlocal");
    let _ = sandbox.ok("durable down --volumes --no-snapshot --confirm devlocal");
    let stays = ["ca", "proxy-state"].map(|rest| sandbox.thing(rest));
    assert_eq!(Kind::ALL.map(|kind| sandbox.things(kind)), [vec![], vec![], stays.to_vec()]);
}

#[test]
fn a_color_has_its_own_copy_of_a_mysql() {
    is_tried_on_a_copy(&mysql());
}

#[test]
fn a_color_has_its_own_copy_of_a_postgres() {
    is_tried_on_a_copy(&postgres());
}
