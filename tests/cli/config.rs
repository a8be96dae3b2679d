//! `envctl config`: the files as they are read, and nothing of what nobody shall see.

use std::path::Path;

use super::{envctl, project};

const COMPOSE: &str = r#"services:
  web:
    image: nginx:1.28
    command: serve --key ${DB_PASSWORD}
    ports: ["8080:80"]
    environment:
      DATABASE_URL: postgres://shop:${DB_PASSWORD}@db/shop
      PRICE: "5$$"
      COLOR: ${ENVCTL_COLOR}
    env_file: [web.env]
    depends_on: [db]
  api:
    build: api
  db:
    image: postgres:17
    environment: { POSTGRES_PASSWORD: "${DB_PASSWORD:?}" }
    secrets: [token]
    volumes: [data:/var/lib/postgresql/data]
volumes:
  data:
  cache:
secrets:
  token: { environment: API_TOKEN }
"#;

const PROJECT: &str = "name: shop\ndurable: { services: [db] }\n\
    app: { compose: [compose.yaml], green: [green.yaml] }\ncredentials: [DB_PASSWORD]\n";

fn shop() -> tempfile::TempDir {
    let folder = project(PROJECT, COMPOSE);
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    write("web.env", "OTHER=x-pass \"word\" one-y\nTOKEN=tok-123\n");
    write("green.yaml", "services: { web: { image: \"nginx:1.29\" } }\n");
    write(".env", "API_TOKEN=tok-123\n");
    std::fs::create_dir(folder.path().join(".envctl")).unwrap();
    write(".envctl/devlocal.credentials", "DB_PASSWORD='pass \"word\" one'\n");
    folder
}

#[track_caller]
fn config(folder: &Path, more: &[&str]) -> String {
    let (code, out, err) = envctl(folder, &[&["config"], more].concat());
    assert_eq!(code, Some(0), "{more:?}: {err}");
    out
}

#[test]
fn the_files_are_printed_as_compose_does_with_names_of_the_engine() {
    let folder = shop();
    let out = config(folder.path(), &[]);
    assert!(out.starts_with("name: shop-devlocal-blue\nservices:\n  api:\n"), "{out}");
    assert!(out.contains("published: '8080'"), "{out}");
    assert!(out.contains("COLOR: blue") && out.contains("image: nginx:1.28"), "{out}");
    assert!(out.contains("PRICE: 5$$"), "{out}");
    assert!(out.contains("name: shop-devlocal-blue-cache"), "{out}");
    assert!(out.contains("name: shop-devlocal-durable-data"), "{out}");
    assert!(out.contains("name: shop-devlocal-blue-network"), "{out}");
}

#[test]
fn credentials_and_secrets_are_redacted_wherever_they_are() {
    let folder = shop();
    for arguments in [&[][..], &["--json"], &["--durable"], &["--color", "green"]] {
        let out = config(folder.path(), arguments);
        assert!(out.contains("<redacted>"), "{arguments:?}: {out}");
        for secret in ["word", "tok-123"] {
            assert!(!out.contains(secret), "{arguments:?}: {secret}\n{out}");
        }
    }
    let out = config(folder.path(), &[]);
    assert!(out.contains("DATABASE_URL: postgres://shop:<redacted>@db/shop"), "{out}");
    assert!(out.contains("OTHER: x-<redacted>-y"), "{out}");
    assert!(out.contains("environment: API_TOKEN"), "{out}");
}

#[test]
fn what_is_named_like_a_secret_or_part_of_an_address_is_redacted() {
    let compose = r#"services:
  web:
    build: { context: ., args: { NPM_TOKEN: "${NPM_TOKEN}" } }
    image: "shop/web:${TAG}"
    command: --password=${SHOP_PASSWORD} --user shop
    env_file: [web.env]
    environment: { POSTGRES_PASSWORD: in-the-file, ADDRESS: "amqp://shop:rabbit-word@mq/" }
"#;
    let folder =
        project("name: shop\napp: { compose: [compose/compose.yaml] }\n", "services: {}\n");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("compose/compose.yaml", compose);
    write("compose/.env", "SHOP_PASSWORD=shop\nNPM_TOKEN=npm-word\nTAG=1\n");
    write("compose/web.env", "APP_SECRET=env-word\nDATABASE_URL=mysql://shop:db-word@db/shop\n");
    for arguments in [&[][..], &["--json"], &["--no-path-resolution"]] {
        let out = config(folder.path(), arguments);
        for secret in ["-word", "in-the-file", "password=shop"] {
            assert!(!out.contains(secret), "{arguments:?}: {secret}\n{out}");
        }
        // A password that is a word of every day is not searched for.
        assert!(out.contains("shop/web:1") && out.contains("mysql://shop:<redacted>@db"), "{out}");
    }
    // Also where the files cannot be read with its value hidden.
    write("compose/compose.yaml", &format!("{compose}    ports: [\"${{PORT_TOKEN}}:80\"]\n"));
    write("compose/.env", "SHOP_PASSWORD=long-word\nNPM_TOKEN=npm-word\nTAG=1\nPORT_TOKEN=81\n");
    let out = config(folder.path(), &[]);
    assert!(!out.contains("-word") && out.contains("'81'"), "{out}");
}

#[test]
fn credentials_that_are_not_made_yet_are_no_error() {
    let folder = project(PROJECT, COMPOSE);
    std::fs::write(folder.path().join("web.env"), "").unwrap();
    assert!(config(folder.path(), &[]).contains("POSTGRES_PASSWORD: <redacted>"));
    assert!(!folder.path().join(".envctl").exists());
}

#[test]
fn what_is_printed_reads_as_a_compose_file() {
    let folder = shop();
    let printed = config(folder.path(), &[]);
    let again = project("name: shop\ndurable: { services: [db] }\napp: {}\n", &printed);
    assert_eq!(config(again.path(), &[]), printed);
}

#[test]
fn a_color_has_its_own_files_and_the_durable_layer_its_services() {
    let folder = shop();
    let green = config(folder.path(), &["--color", "green"]);
    assert!(green.contains("image: nginx:1.29") && green.contains("COLOR: green"), "{green}");
    let durable = config(folder.path(), &["--durable"]);
    assert!(durable.starts_with("name: shop-devlocal-durable\n"), "{durable}");
    assert!(!durable.contains("web:") && !durable.contains("cache:"), "{durable}");
    assert_eq!(config(folder.path(), &["--durable", "--services"]), "db\n");
    let (code, _, _) = envctl(folder.path(), &["config", "--durable", "--color", "green"]);
    assert_eq!(code, Some(2));

    let without = project("name: shop\napp: {}\n", "services: { web: { image: nginx } }\n");
    let (code, _, err) = envctl(without.path(), &["config", "--durable"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("no durable layer"), "{err}");
}

#[test]
fn services_images_and_hashes_are_printed_one_a_line_or_as_json() {
    let folder = shop();
    assert_eq!(config(folder.path(), &["--services"]), "api\ndb\nweb\n");
    assert_eq!(config(folder.path(), &["--images"]), "nginx:1.28\npostgres:17\nshop-api\n");
    let services: Vec<String> =
        serde_json::from_str(&config(folder.path(), &["--services", "--json"])).unwrap();
    assert_eq!(services, ["api", "db", "web"]);

    let hashes = config(folder.path(), &["--hash", "*"]);
    assert_eq!(hashes.lines().count(), 3);
    let of = |color: &str, name: &str| config(folder.path(), &["--color", color, "--hash", name]);
    assert!(hashes.contains(of("blue", "web").trim()));
    assert_ne!(of("blue", "web"), of("green", "web"));
    assert_eq!(of("blue", "db"), of("green", "db"));
    let (code, _, err) = envctl(folder.path(), &["config", "--hash", "wbe"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no service `wbe`"), "{err}");
}

#[test]
fn a_wrong_file_is_said_with_its_place() {
    let folder = project("name: shop\napp: {}\n", "services:\n  web:\n    imagee: nginx\n");
    let (code, out, err) = envctl(folder.path(), &["config"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.starts_with("error: compose.yaml:3:5 services.web.imagee"), "{err}");
    std::fs::create_dir(folder.path().join("below")).unwrap();
    let (_, _, err) = envctl(&folder.path().join("below"), &["config"]);
    let path = folder.path().join("compose.yaml:3:5").display().to_string();
    assert!(err.starts_with(&format!("error: {path} ")), "{err}");
}

#[test]
fn files_are_named_in_place_of_those_of_the_project_or_without_one() {
    let folder = shop();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    write("one.yaml", "services: { web: { image: one, command: first } }\n");
    write("two.yaml", "services: { web: { image: two }, db: { image: postgres:17 } }\n");
    let out = config(folder.path(), &["-f", "one.yaml", "--file", "two.yaml"]);
    assert!(out.contains("image: two") && out.contains("first"), "{out}");
    assert!(!out.contains("api:"), "{out}");

    std::fs::remove_file(folder.path().join("envctl.yaml")).unwrap();
    let out = config(folder.path(), &["-f", "one.yaml", "-f", "two.yaml", "--images"]);
    assert_eq!(out, "postgres:17\ntwo\n");
    // Those that Compose would find, under the name that Compose would give; a password is a credential to be.
    write("compose.yaml", "name: found\nservices: { web: { image: \"a:${DB_PASSWORD:?}\" } }\n");
    let out = config(folder.path(), &[]);
    assert!(out.starts_with("name: found-devlocal-blue\n") && out.contains("<redacted>"), "{out}");
    let (code, _, err) = envctl(folder.path(), &["config", "-f", "none.yaml"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("none.yaml") && err.contains("no such file"), "{err}");

    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) = envctl(empty.path(), &["config"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no `envctl.yaml`"), "{err}");
}

#[test]
fn paths_are_absolute_or_as_the_files_have_them() {
    let compose = "services:\n  web:\n    build: ./web\n    env_file: web.env\n    volumes: [\"./data:/data\"]\n";
    let folder = project("name: shop\napp: {}\n", compose);
    std::fs::write(folder.path().join("web.env"), "A=b\n").unwrap();
    let root = folder.path().canonicalize().unwrap();
    for arguments in [&[][..], &["--resolve-paths"], &["--resolve-paths=true"]] {
        let out = config(&root, arguments);
        assert!(out.contains(&format!("context: {}/web\n", root.display())), "{out}");
        assert!(out.contains(&format!("source: {}/data\n", root.display())), "{out}");
    }
    for argument in ["--resolve-paths=false", "--no-path-resolution"] {
        let out = config(&root, &[argument]);
        assert!(out.contains("context: ./web\n") && out.contains("source: ./data\n"), "{out}");
        // What stands in the files that they name is read all the same.
        assert!(out.contains("A: b\n") && !out.contains(&root.display().to_string()), "{out}");
    }
}

#[test]
fn the_demos_two_environments_have_ports_of_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (environment, ports) in
        [("devlocal", [3000, 3443, 3001, 4566, 3306]), ("ci", [3100, 3543, 3101, 4666, 3307])]
    {
        let file = std::fs::read_to_string(root.join(format!("durable/.env.{environment}")));
        let file = file.unwrap();
        let names = ["FRONTEND", "FRONTEND_TLS", "API", "LOCALSTACK", "MARIADB"];
        for (name, port) in names.into_iter().zip(ports) {
            assert!(file.contains(&format!("{name}_PORT={port}\n")), "{environment}: {name}");
        }
    }
}
