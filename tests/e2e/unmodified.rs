//! Compose projects as teams have them: nothing in their files is changed, an `envctl.yaml` of a few lines is put beside.

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http,
};

/// A web service and its database in one file, with everything that a single host makes people write.
const WEB_AND_DATABASE: &str = r#"services:
  web:
    build: web
    container_name: @NAME@-shop-web
    ports:
      - "127.0.0.1:@PORT0@:8080"
    environment:
      - DB_HOST=db
      - DB_PORT=3306
    depends_on:
      db:
        condition: service_healthy
    restart: always

  db:
    image: mariadb:11.8
    build: durable/mariadb
    container_name: @NAME@-shop-db
    environment:
      MARIADB_ROOT_PASSWORD: secret
      MARIADB_DATABASE: shop
      MARIADB_USER: shop
      MARIADB_PASSWORD: secret
    volumes:
      - db-data:/var/lib/mysql
    ports:
      - "127.0.0.1:@PORT1@:3306"
    healthcheck:
      test: ["CMD-SHELL", "MYSQL_PWD=secret mariadb --protocol=tcp --host=127.0.0.1 --user=shop -e 'SELECT 1' shop"]
      interval: 5s
      retries: 20

volumes:
  db-data:
"#;

#[test]
fn a_web_service_and_its_database_in_one_file() {
    let sandbox = Sandbox::demo();
    sandbox.write("compose.yaml", WEB_AND_DATABASE);
    sandbox.add_web("web");
    sandbox.write(
        "envctl.yaml",
        "name: @NAME@\ndurable:\n  services: [db]\napp:\n  compose: [compose.yaml]\n",
    );

    let up = sandbox.ok("up").says("blue is live").says("a network alias");
    assert_eq!(up.stderr.matches("container_name").count(), 1, "one warning: {up}");
    // The published port is a route, and no port of the container.
    assert_eq!(sandbox.ask("/env/DB_HOST"), "db");
    let blue = sandbox.thing("blue-web-1");
    assert_eq!(engine::ask(&["port", &blue]), "");
    // `db` is the database, for both colors the same one.
    assert!(sandbox.ask("/greeting/db/3306").contains("MariaDB"));
    let database = engine::container(&format!("{}-shop-db", sandbox.name)).expect("the database");
    assert_eq!(
        sandbox.things(Kind::Volume),
        [sandbox.thing("durable-db-data"), sandbox.thing("proxy-state"),]
    );

    sandbox.edit("compose.yaml", "DB_PORT=3306", "DB_PORT=3306\n      - MARK=second");
    let _ = sandbox.ok("up").says("green is live");
    assert_eq!(sandbox.color(), "green");
    assert_eq!(sandbox.ask("/mark"), "second");
    assert!(sandbox.ask("/greeting/db/3306").contains("MariaDB"));
    assert_eq!(engine::container(&format!("{}-shop-db", sandbox.name)), Some(database));
    // The name that the file gave the container finds it, within its color.
    let own = format!("/ask/{}-shop-web/8080", sandbox.name);
    for (port, color) in [(10, "blue"), (20, "green")] {
        let answer = http::get(sandbox.ports.get(port), &own).status(200);
        assert!(answer.text().contains(&format!("X-Color: {color}")), "{answer}");
    }
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

#[test]
fn a_project_with_an_override_file_an_env_file_and_profiles() {
    let sandbox = Sandbox::of(&[
        ("envctl.yaml", "name: @NAME@\napp:\n  profiles: [worker]\n"),
        (".env", "WEB_PORT=@PORT0@\nGREETING=from .env\n"),
        ("web.env", "MARK=from web.env\nGREETING=lost\n"),
        (
            "compose.yaml",
            r"services:
  web: &web
    build: web
    env_file: web.env
    environment:
      GREETING: ${GREETING:?set it in .env}
  worker:
    <<: *web
    profiles: [worker]
    environment: { MARK: works }
  debugger:
    <<: *web
    profiles: [debug]
",
        ),
        (
            "compose.override.yaml",
            r#"services:
  web:
    environment: { EXTRA: overridden }
    ports: ["127.0.0.1:${WEB_PORT}:8080"]
"#,
        ),
    ]);
    sandbox.add_web("web");
    let _ = sandbox.ok("up").says("blue is live");
    assert_eq!(sandbox.ask("/mark"), "from web.env");
    assert_eq!(sandbox.ask("/env/GREETING"), "from .env");
    assert_eq!(sandbox.ask("/env/EXTRA"), "overridden");
    assert!(sandbox.ask("/ask/worker/8080").ends_with("works\n"));
    assert_eq!(
        sandbox.things(Kind::Container),
        [sandbox.thing("blue-web-1"), sandbox.thing("blue-worker-1"), sandbox.thing("proxy"),]
    );
}
