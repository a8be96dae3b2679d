//! TLS to a database: its certificate is of the local authority, and the application is refused without TLS.

use std::{process::Command, time::Duration};

use super::engines::{Database, mysql, postgres};
use crate::support::{
    Outcome, Sandbox, engine, http, program,
    sandbox::{PROJECT, TEST},
    wait,
};

const SOON: Duration = Duration::from_secs(60);
const FOLDER: &str = "/run/envctl/tls";

/// The small project with the demo's database, which shows a certificate.
fn with_tls(asked: &str) -> Sandbox {
    let sandbox = Sandbox::small_with_database();
    let tls = format!("docker-compose.yml], tls: {{ mariadb: {asked} }} }}");
    sandbox.edit("envctl.yaml", "docker-compose.yml] }", &tls);
    sandbox
}

fn beside(sandbox: &Sandbox, service: &str, password: &str, line: &str) -> Outcome {
    beside_in(sandbox, "devlocal", service, password, line)
}

/// Runs a shell line in a container beside the application's, of the database's own image.
fn beside_in(
    sandbox: &Sandbox,
    environment: &str,
    service: &str,
    password: &str,
    line: &str,
) -> Outcome {
    let thing = |rest: &str| format!("{}-{environment}-{rest}", sandbox.name);
    let container = thing(&format!("durable-{service}"));
    let image = engine::ask(&["inspect", "--format", "{{.Config.Image}}", &container]);
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--label", &format!("{TEST}={}", sandbox.name)]);
    docker.args(["--network", &thing("durable-network")]);
    docker.args(["--volume", &format!("{}:/run/ca:ro", thing("ca"))]);
    docker.args([
        "--env",
        &format!("MYSQL_PWD={password}"),
        "--env",
        &format!("PGPASSWORD={password}"),
    ]);
    docker.args(["--entrypoint", "sh", &image, "-c", line]);
    program::run(&mut docker)
}

/// Whether what the server shows holds before a client that has the authority's certificate, `against` more options.
fn shown(sandbox: &Sandbox, protocol: &str, host: &str, against: &str) -> Outcome {
    shown_in(sandbox, "devlocal", protocol, host, against)
}

fn shown_in(
    sandbox: &Sandbox,
    environment: &str,
    protocol: &str,
    host: &str,
    against: &str,
) -> Outcome {
    let line = format!(
        "openssl s_client -starttls {protocol} -connect {host} -verify_return_error -brief \
         -CAfile /run/ca/ca.crt {against} </dev/null"
    );
    let service = host.split(':').next().unwrap();
    beside_in(sandbox, environment, service, "", &line)
}

/// What the demo's MariaDB answers to the application that connects with these options.
fn ask_mariadb(sandbox: &Sandbox, options: &str) -> Outcome {
    let password = sandbox.credential("devlocal", "MARIADB_PASSWORD");
    let client = "mariadb --host=mariadb --user=echobase --batch --skip-column-names";
    let what = "--execute=\"SHOW STATUS LIKE 'Ssl_cipher'\" echobase";
    beside(sandbox, "mariadb", &password, &format!("{client} {options} {what}"))
}

const VERIFIED: &str = "--ssl-ca=/run/ca/ca.crt --ssl-verify-server-cert";

#[test]
fn mariadb_lets_the_application_in_by_tls_alone() {
    let sandbox = with_tls("required");
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    let container = sandbox.thing("durable-mariadb");
    let password = sandbox.credential("devlocal", "MARIADB_PASSWORD");
    let ask = |options: &str| ask_mariadb(&sandbox, options);

    // Without TLS the real server refuses it, with TLS it is let in, and whoever checks another authority lets go.
    let _ = ask("--skip-ssl").code(1).says("Access denied");
    let _ = ask(VERIFIED).ok().shows("TLS_");
    let other = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout /dev/null -out /tmp/other.crt 2>/dev/null && \
                 mariadb --host=mariadb --user=echobase --ssl-ca=/tmp/other.crt --ssl-verify-server-cert --execute='SELECT 1'";
    let _ = beside(&sandbox, "mariadb", &password, other).code(1).says("certificate");
    let status =
        sandbox.ok("durable status").says("TLS by a certificate of the local authority until");
    let _ = status.says("`echobase` is refused without");

    // Its names are those that it is reached by.
    for (host, good) in
        [("mariadb", true), ("localhost", true), (container.as_str(), true), ("other", false)]
    {
        let outcome = shown(&sandbox, "mysql", "mariadb:3306", &format!("-verify_hostname {host}"));
        assert_eq!(outcome.code == Some(0), good, "{host}: {outcome}");
    }
    let _ = shown(&sandbox, "mysql", "mariadb:3306", "-verify_ip 127.0.0.1").ok();

    // The key is the server's alone, and nowhere else.
    let inside = |line: &str| engine::ask(&["exec", &container, "sh", "-c", line]);
    let mode = inside(&format!("stat --format '%a %U' {FOLDER}/server.pem"));
    assert_eq!(mode, "600 mysql");
    let pem = inside(&format!("cat {FOLDER}/server.pem"));
    let key = pem.lines().nth(1).unwrap();
    assert!(key.len() > 40);
    for line in [
        format!("grep -rlF -- '{key}' /etc /var /tmp || true"),
        "find / -xdev -name ca.key".to_owned(),
    ] {
        assert_eq!(inside(&line), "", "{line}");
    }
    let _ =
        beside(&sandbox, "mariadb", "", "test \"$(ls /run/ca)\" = ca.crt && test ! -e /run/envctl")
            .ok();
    assert!(!engine::ask(&["inspect", &container]).contains(key));
    assert!(!format!("{}", engine::docker(&format!("logs {container}"))).contains(key));
    let found = Command::new("grep").args(["-rlF", "--", key]).arg(sandbox.path("..")).output();
    assert_eq!(
        String::from_utf8(found.unwrap().stdout).unwrap(),
        "",
        "in the project or in its home"
    );
    assert_eq!(
        engine::labelled(engine::Kind::Container, &format!("{PROJECT}={}", sandbox.name)),
        [container.as_str()]
    );

    // What works on the database goes on working.
    let _ = sandbox.ok("durable up").says("was up already");
    let shell = |statement: &str| sandbox.envctl("durable shell -c").arg(statement).run().ok();
    let _ = shell("CREATE TABLE t (id INT PRIMARY KEY)");
    let _ = shell("SHOW STATUS LIKE 'Ssl_cipher'").shows("TLS_");
    let _ = sandbox.ok("durable snapshot files");
    let _ = sandbox.ok("durable export all.sql");
    let _ = sandbox.ok("durable import all.sql");

    // Near its end it is renewed, and shown without a new start.
    let near = format!(
        "cd {FOLDER} && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=near -keyout /tmp/k -out /tmp/c 2>/dev/null && \
         cat /tmp/k /tmp/c >server.pem"
    );
    let volume = format!("{}:{FOLDER}", sandbox.thing("durable-mariadb-tls"));
    let image = engine::ask(&["inspect", "--format", "{{.Config.Image}}", &container]);
    engine::ask(&["run", "--rm", "--volume", &volume, "--entrypoint", "sh", &image, "-c", &near]);
    let root = "MYSQL_PWD=\"$MARIADB_ROOT_PASSWORD\" mariadb --batch --execute='FLUSH SSL'";
    let _ = inside(root);
    let _ = shown(&sandbox, "mysql", "mariadb:3306", "").code(1);
    let started = ["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", &container];
    let before = engine::ask(&started);
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    let _ = shown(&sandbox, "mysql", "mariadb:3306", "-verify_hostname mariadb").ok();
    assert_eq!(engine::ask(&started), before);
    let _ = ask(VERIFIED).ok();
    let _ = sandbox.ok("durable up").says("was up already");

    // `offered` lets it in without, and what was put back from then does not undo `required`.
    sandbox.edit("envctl.yaml", "mariadb: required", "mariadb: offered");
    let _ = sandbox.ok("durable up").says("another definition");
    let _ = ask("--skip-ssl").code(1);
    let _ = sandbox.ok("durable up --apply");
    let _ = ask("--skip-ssl").ok();
    let _ = sandbox.ok("durable status").says("`echobase` may do without");
    let _ = sandbox.ok("durable snapshot offered");
    sandbox.edit("envctl.yaml", "mariadb: offered", "mariadb: required");
    let _ = sandbox.ok("durable up --apply");
    let _ = sandbox.ok("durable restore offered");
    let _ = ask("--skip-ssl").code(1).says("Access denied");
    let _ = ask(VERIFIED).ok();
}

/// An example's database refuses the application without TLS, lets it in with TLS, and shows a renewed certificate.
pub fn is_required(database: &Database, port: u16, with: &str, without: &str, refusal: &str) {
    let sandbox = &database.sandbox;
    let name = if port == 5432 { "POSTGRES_PASSWORD" } else { "MYSQL_PASSWORD" };
    let protocol = if port == 5432 { "postgres" } else { "mysql" };
    let password = sandbox.credential("devlocal", name);
    let host = format!("db:{port}");
    let _ = beside(sandbox, "db", &password, without).says(refusal);
    let _ = beside(sandbox, "db", &password, with).ok();
    let _ = shown(sandbox, protocol, &host, "-verify_hostname db").ok();
    let _ = shown(sandbox, protocol, &host, "-verify_hostname other").code(1);
    let _ = sandbox.ok("durable status").says("local authority").says("`notes` is refused without");
    let serial = || {
        let line = format!(
            "openssl s_client -starttls {protocol} -connect {host} </dev/null 2>/dev/null | openssl x509 -noout -serial"
        );
        beside(sandbox, "db", "", &line).ok().stdout
    };
    let before = serial();
    // A lost one is made anew, as one that is near its end is.
    let volume = format!("{}:{FOLDER}", sandbox.thing("durable-db-tls"));
    engine::ask(&[
        "run",
        "--rm",
        "--volume",
        &volume,
        &engine::base(),
        "rm",
        &format!("{FOLDER}/server.pem"),
    ]);
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    wait::until_true(SOON, "the server shows another certificate", || serial() != before);
    let _ = beside(sandbox, "db", &password, with).ok();
}

#[test]
fn a_database_under_another_key_asks_for_tls_as_before() {
    let sandbox = with_tls("required");
    let both = "[durable/docker-compose.yml, durable/docker-compose.encrypted.yml]";
    sandbox.edit("envctl.yaml", "[durable/docker-compose.yml]", both);
    sandbox.edit("envctl.yaml", "MARIADB_PASSWORD]", "MARIADB_PASSWORD, MARIADB_ENCRYPTION_KEY]");
    let _ = sandbox.ok("durable up");
    let shell = |statement: &str| sandbox.envctl("durable shell -c").arg(statement).run().ok();
    let _ = shell("INSERT INTO users (email, password_hash) VALUES ('kept@example.org', 'x')");
    let serial = || {
        let line = "openssl s_client -starttls mysql -connect mariadb:3306 </dev/null 2>/dev/null | openssl x509 -noout -serial";
        beside(&sandbox, "mariadb", "", line).ok().stdout
    };
    let before = serial();

    let _ = sandbox.ok("durable rotate-key").says("is encrypted by a new");
    let _ = ask_mariadb(&sandbox, "--skip-ssl").code(1).says("Access denied");
    let _ = ask_mariadb(&sandbox, VERIFIED).ok().shows("TLS_");
    let _ = shell("SELECT email FROM users").shows("kept@example.org");
    assert_eq!(serial(), before, "the certificate has nothing to do with the key");
    let status = sandbox.ok("durable status").says("`echobase` is refused without");
    let _ = status.says("encrypted on the disk: tables");
    let _ = sandbox.ok("durable up").says("was up already");
}

/// A clone shows a certificate of its own environment's names, and its app, which checks them, is served by it.
fn is_reached_where_it_was_cloned_to(database: &Database, port: u16, without: &str) {
    let sandbox = &database.sandbox;
    let note = |environment: &str, text: &str| {
        let insert = format!("INSERT INTO notes (text) VALUES ('{text}')");
        let _ = database.sql_in(environment, &insert);
    };
    let _ = sandbox.ok("durable up");
    note("devlocal", "cloned");
    let _ = sandbox.ok("up --env ci").says("blue is live");
    note("ci", "of ci");
    let page = || http::get(sandbox.ports.get(5), "/").status(200).text();
    assert_eq!(page(), "1 of ci\n");

    let _ = sandbox.ok("durable clone devlocal ci").says("db has the data of ");
    assert_eq!(page(), "1 cloned\n");
    let (protocol, password) = match port {
        5432 => ("postgres", "POSTGRES_PASSWORD"),
        _ => ("mysql", "MYSQL_PASSWORD"),
    };
    let container = |environment: &str| format!("{}-{environment}-durable-db", sandbox.name);
    for (host, good) in
        [("db".to_owned(), true), (container("ci"), true), (container("devlocal"), false)]
    {
        let against = format!("-verify_hostname {host}");
        let outcome = shown_in(sandbox, "ci", protocol, &format!("db:{port}"), &against);
        assert_eq!(outcome.code == Some(0), good, "{host}: {outcome}");
    }
    let password = sandbox.credential("ci", password);
    let refused = beside_in(sandbox, "ci", "db", &password, without);
    assert_ne!(refused.code, Some(0), "{refused}");
    let _ = sandbox.ok("durable status --env ci").says("`notes` is refused without");
}

#[test]
fn a_clone_of_mysql_is_reached_by_tls_under_its_own_names() {
    let without = "mysql --host=db --user=notes --ssl-mode=DISABLED --get-server-public-key --execute='SELECT 1' notes";
    is_reached_where_it_was_cloned_to(&mysql(), 3306, without);
}

#[test]
fn a_clone_of_postgres_is_reached_by_tls_under_its_own_names() {
    let without = "psql 'host=db user=notes dbname=notes sslmode=disable' --command='SELECT 1'";
    is_reached_where_it_was_cloned_to(&postgres(), 5432, without);
}

/// What docs/durable.md says of PostgreSQL before 16, with the only one that there is here.
#[test]
fn a_line_of_its_own_in_pg_hba_conf_refuses_what_has_no_tls() {
    let postgres = postgres();
    let sandbox = &postgres.sandbox;
    sandbox.edit("envctl.yaml", "db: required", "db: offered");
    let line = "sed -i -e \"1i hostnossl all $POSTGRES_USER all reject\" \
                -e \"1i hostnossl replication $POSTGRES_USER all reject\" \"$PGDATA/pg_hba.conf\"\n";
    sandbox.write("durable/init/90-tls.sh", line);
    let _ = sandbox.ok("durable up");
    let password = sandbox.credential("devlocal", "POSTGRES_PASSWORD");
    let client = |options: &str| {
        let words = format!("host=db user=notes dbname=notes {options}");
        beside(sandbox, "db", &password, &format!("psql '{words}' --command='SELECT 1'"))
    };
    let _ = client("sslmode=disable").says("no encryption").code(2);
    let _ = client("sslmode=verify-full sslrootcert=/run/ca/ca.crt").ok();
    let _ = sandbox.ok("durable status").says("`notes` is refused without");
}
