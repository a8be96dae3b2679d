//! Wrong input: one message with place, cause and hint, and the right exit code.

use std::path::Path;

use super::{envctl, project};

const COMPOSE: &str = "services:\n  web:\n    image: nginx\n    ports: [\"8080:80\"]\n";

#[test]
fn wrong_arguments_end_with_2() {
    for arguments in [
        &["nonsense"][..],
        &["deploy", "red"],
        &["switch", "--lock-wait", "soon"],
        &["switch", "--revision", "3f2c1"],
        &[],
    ] {
        let (code, out, err) = envctl(Path::new("/"), arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert_eq!(out, "");
        assert!(!err.is_empty());
    }
}

#[test]
fn no_project_is_said_with_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = envctl(folder.path(), &["credentials"]);
    assert_eq!(code, Some(2));
    assert!(
        err.contains("no `envctl.yaml`") && err.contains(folder.path().to_str().unwrap()),
        "{err}"
    );
    assert!(err.contains("hint:"), "{err}");
}

#[test]
fn the_project_is_found_from_a_folder_below() {
    let folder = project("name: shop\napp: {}\n", COMPOSE);
    let below = folder.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    assert_eq!(envctl(&below, &["credentials"]).0, Some(0));
    assert_eq!(envctl(Path::new("/"), &["-C", below.to_str().unwrap(), "credentials"]).0, Some(0));
}

#[test]
fn no_engine_ends_with_5_and_a_hint() {
    let folder = project("name: shop\napp: {}\n", COMPOSE);
    for command in [&["status"][..], &["deploy"], &["switch"], &["doctor"], &["history"]] {
        let (code, out, err) = envctl(folder.path(), command);
        assert_eq!(code, Some(5), "{command:?}: {err}");
        let said = format!("{out}{err}");
        assert!(said.contains("no engine answers at `unix:///nowhere/docker.sock`"), "{said}");
        assert!(said.contains("is Docker running?"), "{said}");
    }
}

#[test]
fn a_wrong_key_of_the_project_file_is_shown_with_its_place_and_a_near_name() {
    let folder = project("name: shop\napp:\n  compse: [compose.yaml]\n", COMPOSE);
    let (code, _, err) = envctl(folder.path(), &["credentials"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("envctl.yaml:3:3 app.compse"), "{err}");
    assert!(err.contains("compse: [compose.yaml]") && err.contains("`compose`"), "{err}");
}

#[test]
fn an_unknown_environment_is_answered_with_the_near_one() {
    let folder = project("name: shop\nenvironments: { devlocal: , ci: }\napp: {}\n", COMPOSE);
    let (code, _, err) = envctl(folder.path(), &["--env", "devlocl", "credentials"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no environment `devlocl`") && err.contains("`--env devlocal`"), "{err}");
}

#[test]
fn routes_that_cannot_be_are_refused() {
    for (routes, said) in [
        ("[{ listen: 8080 }]", "needs one of `to`, `paths` and `redirect`"),
        ("[{ listen: 8080, to: web:80 }, { listen: 8090, to: web:80 }]", "port 8090"),
        ("[{ listen: 8080, to: web }]", "`web` is not a target such as api:80"),
        ("[{ listen: 70000, to: web:80 }]", "`70000` is not a port"),
        ("[{ listen: 8080, tcp: true, tls: true, to: web:80 }]", "`tcp`"),
        ("[{ listen: 8080, paths: { api: web:80 } }]", "has to start with `/`"),
    ] {
        let file = format!("name: shop\napp: {{}}\nproxy:\n  routes: {routes}\n");
        let folder = project(&file, COMPOSE);
        let (code, _, err) = envctl(folder.path(), &["credentials"]);
        assert_eq!(code, Some(2), "{routes}");
        assert!(err.contains(said), "{routes}: {err}");
    }
}

#[test]
fn credentials_are_made_once_for_each_name_and_never_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = project("name: shop\napp: {}\ncredentials: [DB_PASSWORD]\n", COMPOSE);
    let (code, out, err) = envctl(folder.path(), &["credentials"]);
    assert_eq!(code, Some(0), "{err}");
    let path = folder.path().join(".envctl/devlocal.credentials");
    let text = std::fs::read_to_string(&path).unwrap();
    let secret = text.lines().find_map(|line| line.strip_prefix("DB_PASSWORD=")).unwrap();
    assert!(secret.len() >= 32);
    assert!(!out.contains(secret) && !err.contains(secret));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(envctl(folder.path(), &["credentials"]).0, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn deleting_data_without_a_terminal_needs_the_name() {
    let folder = project("name: shop\napp: {}\ndurable: { services: [web] }\n", COMPOSE);
    let (code, _, err) = envctl(folder.path(), &["durable", "down", "--volumes"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("`--confirm devlocal`"), "{err}");
    let (code, _, err) =
        envctl(folder.path(), &["durable", "down", "--volumes", "--confirm", "ci"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("nothing was done"), "{err}");
}

#[test]
fn a_wrong_check_or_hook_is_shown_with_its_place_and_a_near_name() {
    let routed = "name: shop\napp: {}\nproxy: { routes: [{ listen: 3000, to: web:80 }] }\n";
    for (rest, expected) in [
        (
            "checks:\n  - { path: /, matches: \"a(b\" }\n",
            "envctl.yaml:5:25 checks[0].matches: `a(b` is not a regular expression: unclosed group",
        ),
        (
            "checks:\n  - { path: /, json: { items/0: 1 } }\n",
            "envctl.yaml:5:24 checks[0].json.items/0: `items/0` is not a JSON pointer",
        ),
        ("checks:\n  - { path: /, status: [200, 20] }\n", "`20` is not a status from 100 to 599"),
        ("checks:\n  - { path: /, staus: 200 }\n", "`status`"),
        ("checks:\n  - { path: /, within: soon }\n", "`soon` is not a time"),
        ("checks:\n  - { path: /, request: { method: PSOT } }\n", "`POST`"),
        ("checks:\n  - { path: /, headers: { a: { is: 1 } } }\n", "`exists`"),
        (
            "checks:\n  - { path: / }\n  - { path: login }\n",
            "envctl.yaml:6:5 checks[1]: `path` has to start with `/`",
        ),
        (
            "checks:\n  - { status: 200 }\n",
            "what is asked? It needs a `path`, a `service` or `tls`",
        ),
        (
            "checks:\n  - { service: web, status: 200 }\n",
            "`service` goes with `name` and `timeout` alone",
        ),
        (
            "checks:\n  - { path: /, route: 3001 }\n",
            "envctl.yaml:5:16 checks[0].route: no HTTP route listens on 3001; there is 3000",
        ),
        ("checks:\n  - { route: 3000, tls: true }\n", "checks[0].tls: route 3000 has no `tls`"),
        ("hooks: { before_swich: [web] }\n", "`before_switch`"),
        ("hooks: { after_switch: [{ service: web, timout: 5m }] }\n", "`timeout`"),
    ] {
        let folder = project(&format!("{routed}{rest}"), COMPOSE);
        // Found when the project is opened, before an engine is looked for.
        let (code, _, err) = envctl(folder.path(), &["test"]);
        assert_eq!(code, Some(2), "{rest}: {err}");
        assert!(err.contains(expected), "{rest}\n{err}");
    }
    for (rest, expected) in [
        (
            "checks:\n  - { service: e2e }\n  - { service: wbe }\n",
            "envctl.yaml:6:7 checks[1].service: no service `wbe` in the app's files",
        ),
        (
            "hooks:\n  before_switch: [wbe]\n",
            "envctl.yaml:5:19 hooks.before_switch[0]: no service `wbe`",
        ),
        (
            "hooks:\n  after_switch: [{ service: e2e }]\nchecks: [{ service: e2e }]\n",
            "checks[0].service: `e2e` is in hooks.after_switch already: a service has one task",
        ),
    ] {
        let compose = format!("{COMPOSE}  e2e: {{ image: nginx, profiles: [test] }}\n");
        let folder = project(&format!("{routed}{rest}"), &compose);
        let (code, _, err) = envctl(folder.path(), &["config"]);
        assert_eq!(code, Some(2), "{rest}: {err}");
        assert!(err.contains(expected), "{rest}\n{err}");
    }
}
