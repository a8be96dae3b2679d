//! Compose projects as teams have them: nothing in their files is changed, and `envctl init` writes the only new one.

use std::collections::BTreeMap;

use crate::support::{
    Sandbox, compose,
    engine::{self, Kind},
    http,
};

/// A PHP site and its database in one file, with everything that a single host makes people write.
const SITE: &str = r#"name: @NAME@
services:
  web:
    build: docker/php
    container_name: @NAME@-site
    ports:
      - "127.0.0.1:@PORT0@:80"
    environment:
      - DB_HOST=db
      - DB_PASSWORD=secret
      - MARK=first
    volumes:
      - uploads:/uploads
    depends_on:
      db:
        condition: service_healthy
    restart: always

  db:
    image: mariadb:11.8
    build: docker/mariadb
    container_name: @NAME@-db
    environment:
      MARIADB_ROOT_PASSWORD: secret
      MARIADB_DATABASE: shop
      MARIADB_USER: shop
      MARIADB_PASSWORD: secret
    volumes:
      - db-data:/var/lib/mysql
    healthcheck:
      test: ["CMD-SHELL", "MYSQL_PWD=secret mariadb --protocol=tcp --host=127.0.0.1 --user=shop -e 'SELECT 1' shop"]
      interval: 5s
      retries: 20

volumes:
  db-data:
  uploads:
"#;

/// Keeps what it is sent, and shows all of it.
const PAGE: &str = r#"<?php
$options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
$db = new PDO('mysql:dbname=shop;host=' . getenv('DB_HOST'), 'shop', getenv('DB_PASSWORD'), $options);
$db->exec('CREATE TABLE IF NOT EXISTS notes (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT, color TEXT)');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $kept = $db->prepare('INSERT INTO notes (note, color) VALUES (?, ?)');
    $kept->execute([file_get_contents('php://input'), getenv('ENVCTL_COLOR')]);
}
header('Content-Type: text/plain');
echo 'PHP ', PHP_MAJOR_VERSION, ' ', getenv('MARK'), "\n";
foreach ($db->query('SELECT note, color FROM notes ORDER BY id') as $row) {
    echo $row['note'], ' by ', $row['color'], "\n";
}
"#;

/// The project's files and their texts.
fn files(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![sandbox.path("")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(sandbox.path("")).unwrap().display().to_string();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// `envctl init --yes`, which adds one file, changes none, and says why it decided what.
#[track_caller]
fn init(sandbox: &Sandbox, decisions: &[&str]) {
    let before = files(sandbox);
    let mut said = sandbox.ok("init --yes");
    for decision in decisions {
        said = said.says(decision);
    }
    assert!(!said.stderr.contains("to be changed"), "{said}");
    let mut after = files(sandbox);
    assert!(after.remove("envctl.yaml").is_some());
    assert_eq!(after, before);
}

/// Asks the project's database, which is built from Debian's packages.
#[track_caller]
fn sql(container: &str, statement: &str) -> String {
    let client =
        ["mariadb", "--user=root", "--password=secret", "--skip-column-names", "shop", "-e"];
    engine::ask(&[&["exec", container][..], &client, &[statement]].concat())
}

#[test]
fn a_php_site_and_its_database_in_one_file() {
    let sandbox = Sandbox::of(&[("compose.yaml", SITE)]);
    sandbox.take("durable/mariadb", "docker/mariadb");
    sandbox.take("compose/api", "docker/php");
    std::fs::remove_dir_all(sandbox.path("docker/php/app/src")).unwrap();
    sandbox.write("docker/php/app/public/index.php", PAGE);
    init(&sandbox, &["durable, it stays", "a network alias", "one volume per color"]);
    let page = |port: u16| http::get(sandbox.ports.get(0) + port, "/").status(200);
    let note = |text: &str| {
        let _ = http::send(sandbox.ports.get(0), "POST", "/", &[], text.as_bytes()).status(200);
    };

    let up = sandbox.ok("up").says("blue is live");
    assert_eq!(up.stderr.matches("container_name").count(), 1, "one warning: {up}");
    let _ = sandbox.ok("plan deploy").says("container_name");
    // The published port is a route, and no port of the container.
    assert_eq!(engine::ask(&["port", &sandbox.thing("blue-web-1")]), "");
    let database = engine::container(&format!("{}-db", sandbox.name)).expect("the database");
    note("one");
    assert_eq!(page(0).text(), "PHP 8 first\none by blue\n");

    sandbox.edit("compose.yaml", "MARK=first", "MARK=second");
    let _ = sandbox.ok("up").says("green is live");
    note("two");
    assert_eq!(page(0).text(), "PHP 8 second\none by blue\ntwo by green\n");
    let _ = sandbox.ok("switch blue");
    assert_eq!(page(0).text(), "PHP 8 first\none by blue\ntwo by green\n");
    assert_eq!(engine::container(&format!("{}-db", sandbox.name)), Some(database));
    assert_eq!(
        sandbox.things(Kind::Volume),
        [
            sandbox.thing("blue-uploads"),
            sandbox.thing("durable-db-data"),
            sandbox.thing("green-uploads"),
            sandbox.thing("proxy-state"),
        ]
    );

    // Docker's own Compose shows both colors and the database.
    for (layer, service, process) in
        [("blue", "web", "php-fpm"), ("green", "web", "nginx"), ("durable", "db", "mariadbd")]
    {
        let project = sandbox.thing(layer);
        let listed = format!("{service} running\n");
        compose::shows(&project, &["ps", "--format", "{{.Service}} {{.State}}"], &[&listed]);
        compose::shows(&project, &["top"], &[service, process]);
        let said: &[&str] = if layer == "durable" { &["ready for connections"] } else { &[] };
        compose::shows(&project, &["logs", service], said);
    }
}

#[test]
fn a_project_with_an_override_profiles_and_secrets() {
    let sandbox = Sandbox::of(&[
        (".env", "COMPOSE_PROFILES=worker\nWEB_PORT=@PORT0@\nGREETING=from .env\n"),
        ("web.env", "MARK=from web.env\nGREETING=lost\n"),
        ("secrets/db-root.txt", "secret"),
        ("secrets/token.txt", "tok-1"),
        (
            "docker-compose.yml",
            r#"version: "3.8"
name: @NAME@
services:
  web: &web
    build: web
    env_file: web.env
    environment:
      GREETING: ${GREETING:?set it in .env}
    secrets:
      - source: token
        target: api-token
        uid: "33"
        mode: 0400
    depends_on: [db]
  worker:
    <<: *web
    profiles: [worker]
    environment: { MARK: works }
  debugger:
    <<: *web
    profiles: [debug]
  db:
    image: mariadb:11.8
    build: mariadb
    environment:
      MARIADB_ROOT_PASSWORD_FILE: /run/secrets/db-root
      MARIADB_DATABASE: shop
    secrets: [db-root]
    volumes: ["data:/var/lib/mysql"]
volumes:
  data:
secrets:
  db-root: { file: secrets/db-root.txt }
  token: { file: secrets/token.txt }
"#,
        ),
        (
            "docker-compose.override.yml",
            r#"services:
  web:
    environment: { EXTRA: overridden }
    ports: ["127.0.0.1:${WEB_PORT}:8080"]
"#,
        ),
    ]);
    sandbox.add_web("web");
    sandbox.take("durable/mariadb", "mariadb");
    init(&sandbox, &["durable, it stays", "`debugger` left out"]);
    let _ = sandbox.ok("up").says("blue is live");
    let database = sandbox.thing("durable-db");
    let _ = sql(&database, "CREATE TABLE notes (note TEXT); INSERT INTO notes VALUES ('kept')");
    assert_eq!(sandbox.ask("/mark"), "from web.env");
    assert_eq!(sandbox.ask("/env/GREETING"), "from .env");
    assert_eq!(sandbox.ask("/env/EXTRA"), "overridden");
    assert!(sandbox.ask("/ask/worker/8080").ends_with("works\n"));
    let stat =
        ["exec", &sandbox.thing("blue-web-1"), "stat", "-c", "%u %a", "/run/secrets/api-token"];
    assert_eq!(engine::ask(&stat), "33 400");
    let shown = sandbox.ok("config").stdout;
    assert!(!shown.contains("tok-1"), "{shown}");

    sandbox.edit("web.env", "from web.env", "changed");
    let _ = sandbox.ok("up").says("green is live");
    assert_eq!(sandbox.ask("/mark"), "changed");
    assert!(sandbox.ask("/greeting/db/3306").contains("MariaDB"));
    assert_eq!(sql(&database, "SELECT note FROM notes"), "kept");
    let colors = engine::named(Kind::Container, &sandbox.thing("green"));
    assert_eq!(colors, [sandbox.thing("green-web-1"), sandbox.thing("green-worker-1")]);
}

#[test]
fn a_project_with_extends_and_include_over_folders() {
    let sandbox = Sandbox::of(&[
        (
            "compose.yaml",
            r#"name: @NAME@
include:
  - database/compose.yaml
  - path: [backend/compose.yaml]
    env_file: backend/backend.env
services:
  web:
    extends: { file: common/services.yaml, service: web }
    environment: { MARK: first }
    ports: ["127.0.0.1:@PORT0@:8080"]
    links: ["backend:api"]
    depends_on: [backend, db]
"#,
        ),
        (
            "common/services.yaml",
            r"services:
  base:
    build: ../images/web
    env_file: common.env
    stop_grace_period: 2s
  web:
    extends: base
    environment: { KIND: web }
",
        ),
        ("common/common.env", "SHARED=from common\n"),
        (
            "backend/compose.yaml",
            r#"services:
  backend:
    extends: { file: ../common/services.yaml, service: base }
    environment: { MARK: "${BACKEND_MARK}" }
"#,
        ),
        ("backend/backend.env", "BACKEND_MARK=of the backend\n"),
        (
            "database/compose.yaml",
            r#"services:
  db:
    image: mariadb:11.8
    build: ./mariadb
    env_file: [./db.env]
    volumes: ["data:/var/lib/mysql"]
volumes:
  data:
"#,
        ),
        ("database/db.env", "MARIADB_ROOT_PASSWORD=secret\nMARIADB_DATABASE=shop\n"),
    ]);
    sandbox.add_web("images/web");
    sandbox.take("durable/mariadb", "database/mariadb");
    init(&sandbox, &["durable, it stays"]);
    let _ = sandbox.ok("up").says("blue is live");
    let database = sandbox.thing("durable-db");
    let _ = sql(&database, "CREATE TABLE notes (note TEXT); INSERT INTO notes VALUES ('kept')");
    assert_eq!(sandbox.ask("/mark"), "first");
    assert_eq!(sandbox.ask("/env/SHARED"), "from common");
    // By its name, and by the one that the link gives it.
    for name in ["backend", "api"] {
        let answer = sandbox.ask(&format!("/ask/{name}/8080"));
        assert!(answer.ends_with("of the backend\n"), "{answer}");
    }

    sandbox.edit("compose.yaml", "MARK: first", "MARK: second");
    let _ = sandbox.ok("up").says("green is live");
    assert_eq!(sandbox.ask("/mark"), "second");
    assert!(sandbox.ask("/ask/api/8080").contains("X-Color: green"));
    assert!(sandbox.ask("/greeting/db/3306").contains("MariaDB"));
    assert_eq!(sql(&database, "SELECT note FROM notes"), "kept");
}

#[test]
fn a_plain_project_without_a_database_and_without_a_list_of_files() {
    let sandbox = Sandbox::of(&[
        ("envctl.yaml", "name: @NAME@\napp: {}\n"),
        (
            "docker-compose.yml",
            r#"version: "3.8"
services:
  web:
    build: ./web
    ports: ["127.0.0.1:@PORT0@:8080"]
    depends_on: [backend]
    networks: [front, back]
  backend:
    build: ./web
    expose: ["8080"]
    deploy:
      replicas: 2
    volumes: ["cache:/cache"]
    networks: [back]
networks:
  front:
  back:
    internal: true
volumes:
  cache:
"#,
        ),
    ]);
    sandbox.add_web("web");
    let _ = sandbox.ok("up").says("blue is live");
    assert!(sandbox.ask("/ask/backend/8080").contains("X-Color: blue"));
    assert_eq!(
        sandbox.things(Kind::Container),
        [
            sandbox.thing("blue-backend-1"),
            sandbox.thing("blue-backend-2"),
            sandbox.thing("blue-web-1"),
            sandbox.thing("proxy"),
        ]
    );
    // A volume of the app is the color's own, and goes with it.
    assert_eq!(engine::named(Kind::Volume, &sandbox.thing("blue-")), [sandbox.thing("blue-cache")]);
    let _ = sandbox.ok("deploy");
    let _ = sandbox.ok("switch green");
    assert!(sandbox.ask("/ask/backend/8080").contains("X-Color: green"));
    let _ = sandbox.ok("cleanup");
    assert_eq!(engine::named(Kind::Volume, &sandbox.thing("blue-")), [""; 0]);
    assert_eq!(engine::named(Kind::Network, &sandbox.thing("blue-")), [""; 0]);
    assert_eq!(sandbox.color(), "green");
    let _ = sandbox.envctl("durable up").run().code(2).says("no durable layer");
}
