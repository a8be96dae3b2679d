//! TLS to a database: its certificate is of the local authority, and the application is refused without TLS.

use std::{process::Command, time::Duration};

use super::engines::Database;
use crate::support::{
    Outcome, Sandbox, engine, program,
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

/// Runs a shell line in a container beside the application's, of the database's own image.
fn beside(sandbox: &Sandbox, service: &str, password: &str, line: &str) -> Outcome {
    let image =
        ["inspect", "--format", "{{.Config.Image}}", &sandbox.thing(&format!("durable-{service}"))];
    let image = engine::ask(&image);
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--label", &format!("{TEST}={}", sandbox.name)]);
    docker.args(["--network", &sandbox.thing("durable-network")]);
    docker.args(["--volume", &format!("{}:/run/ca:ro", sandbox.thing("ca"))]);
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
    let line = format!(
        "openssl s_client -starttls {protocol} -connect {host} -verify_return_error -brief \
         -CAfile /run/ca/ca.crt {against} </dev/null"
    );
    let service = host.split(':').next().unwrap();
    beside(sandbox, service, "", &line)
}

#[test]
fn mariadb_lets_the_application_in_by_tls_alone() {
    let sandbox = with_tls("required");
    let _ = sandbox.ok("durable up").says("the durable layer is up");
    let container = sandbox.thing("durable-mariadb");
    let password = sandbox.credential("devlocal", "MARIADB_PASSWORD");
    let ask = |options: &str| {
        let client = "mariadb --host=mariadb --user=echobase --batch --skip-column-names";
        let what = "--execute=\"SHOW STATUS LIKE 'Ssl_cipher'\" echobase";
        beside(&sandbox, "mariadb", &password, &format!("{client} {options} {what}"))
    };

    // Without TLS the real server refuses it, with TLS it is let in, and whoever checks another authority lets go.
    let _ = ask("--skip-ssl").code(1).says("Access denied");
    let verified = "--ssl-ca=/run/ca/ca.crt --ssl-verify-server-cert";
    let _ = ask(verified).ok().shows("TLS_");
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
    let _ = ask(verified).ok();
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
    let _ = ask(verified).ok();
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
