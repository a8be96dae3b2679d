//! `envctl init`: what it finds in Compose files, and that it writes one file and no other.

use std::path::Path;

use super::envctl;

const SHOP: &str = r#"name: shop
services:
  web:
    image: nginx:1.28
    container_name: shop-web
    ports: ["${PORT:-8080}:80"]
    depends_on: [db]
    volumes: [uploads:/uploads]
  cache:
    image: redis:8
  queue:
    image: rabbitmq:4
    volumes: [queue:/var/lib/rabbitmq]
  db:
    image: postgres:17
    container_name: shop-db
    environment: { POSTGRES_PASSWORD: "${DB_PASSWORD:?}" }
    volumes: [data:/var/lib/postgresql/data]
    ports: ["5432:5432"]
volumes:
  data:
  queue:
  uploads:
"#;

fn folder(compose: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("shop-").tempdir().unwrap();
    std::fs::write(folder.path().join("compose.yaml"), compose).unwrap();
    folder
}

fn written(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs it with `--yes` and returns the file and what was said.
#[track_caller]
fn init(folder: &Path) -> (String, String) {
    let (code, out, err) = envctl(folder, &["init", "--yes"]);
    assert_eq!(code, Some(0), "{err}");
    let text = std::fs::read_to_string(folder.join("envctl.yaml")).unwrap();
    assert_eq!(out, text, "the file is shown");
    (text, err)
}

#[test]
fn a_project_of_one_file_is_drafted_with_a_reason_for_each_decision() {
    let folder = folder(SHOP);
    let (text, said) = init(folder.path());
    assert_eq!(
        text,
        "# Every key: docs/project-file.md\n\
         name: shop\n\
         \n\
         # Stays while the colors come and go.\n\
         durable:\n  services: [queue, db]\n\
         \n\
         # Two colors of it, blue and green.\n\
         app:\n  compose: [compose.yaml]\n\
         \n\
         # `envctl credentials` gives them random values.\n\
         credentials: [DB_PASSWORD]\n"
    );
    for decision in [
        "`shop` is the project's name",
        "`DB_PASSWORD` is set nowhere: a credential",
        "`cache` comes and goes with its color: a Redis without a named volume",
        "`queue` has the volume `queue` and the name `rabbitmq`",
        "`db` has a PostgreSQL: durable",
        "`web` publishes 8080: a route of the proxy to its port 80, on 127.0.0.1; previews on 8090 and 8100",
        "`web` is called `shop-web`: a network alias",
        "`db` keeps its container's name `shop-db`",
        "`uploads` of `web` is one volume per color",
    ] {
        assert!(said.lines().any(|line| line.contains(decision)), "{decision}\n{said}");
    }
    assert!(!said.contains("to be changed"), "{said}");
    assert_eq!(written(folder.path()), ["compose.yaml", "envctl.yaml"]);
    let (code, out, err) = envctl(folder.path(), &["config", "--durable", "--services"]);
    assert_eq!((code, out.as_str()), (Some(0), "db\nqueue\n"), "{err}");
}

#[test]
fn ports_that_cannot_be_routes_as_they_are_get_routes_of_their_own() {
    let folder = folder(
        r#"services:
  web:
    image: nginx
    ports: ["3000:80", "0.0.0.0:3010:81", "82"]
  mail:
    image: mailpit
    ports: ["1025:1025", "5353:53/udp"]
"#,
    );
    let (text, said) = init(folder.path());
    assert!(
        text.ends_with(
            "proxy:\n  preview: { blue: 100, green: 200 }\n  routes:\n\
             \x20   - { listen: 3000, to: web:80 }\n\
             \x20   - { listen: \"0.0.0.0:3010\", to: web:81 }\n\
             \x20   - { listen: 1025, tcp: true, to: mail:1025 }\n\
             \x20   - { listen: 8080, to: web:82 }\n"
        ),
        "{text}"
    );
    assert!(said.contains("`web` publishes 82 on a port that is not fixed: 8080"), "{said}");
    assert!(said.contains("`mail` publishes 53/udp: no route"), "{said}");
    assert!(said.contains("1025: a TCP route") && said.contains("nothing is durable"), "{said}");
    assert!(!said.contains("to be changed"), "{said}");
    assert_eq!(envctl(folder.path(), &["config"]).0, Some(0));
}

#[test]
fn the_name_is_the_folders_made_valid() {
    for (name, valid) in [("My Shop!", "myshop"), ("_x", "x"), ("123", "\"123\""), ("…", "app")] {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("docker-compose.yml"), "services: { web: { image: nginx } }\n")
            .unwrap();
        let (text, _) = init(&folder);
        assert!(text.contains(&format!("\nname: {valid}\n")), "{name}: {text}");
        assert!(text.contains("compose: [docker-compose.yml]"), "{text}");
        assert_eq!(envctl(&folder, &["config"]).0, Some(0), "{name}");
    }
}

#[test]
fn a_project_file_that_is_there_is_never_overwritten() {
    let folder = folder(SHOP);
    let path = folder.path().join("envctl.yaml");
    std::fs::write(&path, "mine\n").unwrap();
    let (code, out, err) = envctl(folder.path(), &["init", "--yes"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("envctl.yaml` is there already") && err.contains("hint:"), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\n");
}

#[test]
fn without_a_terminal_and_without_yes_the_file_is_shown_and_not_written() {
    let folder = folder(SHOP);
    let (code, out, err) = envctl(folder.path(), &["init"]);
    assert_eq!(code, Some(2));
    assert!(out.contains("name: shop") && err.contains("`--yes`"), "{out}{err}");
    assert_eq!(written(folder.path()), ["compose.yaml"]);
}

#[test]
fn what_envctl_would_refuse_is_said_at_once() {
    let folder = folder(
        "services:\n  web:\n    image: nginx\n    network_mode: host\n    ports: [\"8080:80\"]\n",
    );
    let (_, said) = init(folder.path());
    assert!(said.contains("`web` uses the host's network"), "{said}");
    let place = "compose.yaml:4:5 services.web.network_mode";
    assert!(said.contains("to be changed before a deployment") && said.contains(place), "{said}");
}

#[test]
fn no_compose_file_and_a_wrong_one_end_with_2() {
    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) = envctl(empty.path(), &["init", "--yes"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no Compose file in") && err.contains("hint:"), "{err}");

    for (compose, said) in [
        ("services:\n  web:\n    imagee: nginx\n", "compose.yaml:3:5 services.web.imagee"),
        ("services:\n  web:\n    image: ${IMAGE:?which}\n", "`IMAGE` is not set: which"),
    ] {
        let folder = folder(compose);
        let (code, _, err) = envctl(folder.path(), &["init", "--yes"]);
        assert_eq!(code, Some(2));
        assert!(err.contains(said), "{err}");
        assert_eq!(written(folder.path()), ["compose.yaml"]);
    }
}

#[test]
fn the_hint_without_a_project_names_it() {
    let empty = tempfile::tempdir().unwrap();
    assert!(envctl(empty.path(), &["status"]).2.contains("`envctl init`"));
}

#[test]
fn the_files_can_be_named() {
    let folder = tempfile::Builder::new().prefix("shop-").tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("base.yaml", "name: shop\nservices: { web: { image: nginx, ports: [\"80\"] } }\n");
    write("more.yaml", "services: { web: { ports: !override [\"8080:80\"] } }\n");
    let (code, out, err) =
        envctl(folder.path(), &["init", "--yes", "-f", "base.yaml", "-f", "more.yaml"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("compose: [base.yaml, more.yaml]"), "{out}");
    assert!(!err.contains("to be changed"), "{err}");
}
