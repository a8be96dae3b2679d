//! Projects of several files.

use crate::compose::{HealthTest, MountKind, Source, discover, load};

use super::{Folder, variables};

#[test]
fn an_override_is_merged_key_by_key() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "services:\n  api:\n    image: a\n    command: run base\n    environment: {A: 1, B: 2}\n    \
             ports: [\"80:80\", \"81:81\"]\n    volumes: [./src:/src, data:/data]\n    \
             depends_on: {db: {condition: service_healthy}}\n  db: {image: d}\nvolumes: {data: }\n",
        ),
        (
            "over.yaml",
            "services:\n  api:\n    command: [run, over]\n    environment: [B=3, C]\n    \
             ports: !override [\"90:80\"]\n    volumes: [other:/src]\n    depends_on: {db: {condition: service_healthy, restart: true}}\n\
             volumes: {other: {name: there, external: true}}\n",
        ),
    ]);
    let project =
        folder.load_with(&["compose.yaml", "over.yaml"], &[("C", "from outside")], &[]).unwrap();
    let api = &project.services["api"];
    assert_eq!(api.command.as_deref().unwrap(), ["run", "over"]);
    let environment: Vec<_> =
        api.environment.iter().map(|(k, v)| format!("{k}={}", v.as_deref().unwrap())).collect();
    assert_eq!(environment, ["A=1", "B=3", "C=from outside"]);
    assert_eq!(api.ports.len(), 1);
    assert_eq!(api.ports[0].published_port(), Some(90));
    let mounts: Vec<_> =
        api.volumes.iter().map(|m| (m.source.as_deref().unwrap(), m.target.as_str())).collect();
    assert_eq!(mounts, [("other", "/src"), ("data", "/data")]);
    assert!(api.depends_on["db"].restart);
    assert_eq!(project.volumes["data"].name.as_deref(), Some("p_data"));
    assert_eq!(project.volumes["other"].name.as_deref(), Some("there"));
    assert_eq!(project.networks["default"].name.as_deref(), Some("p_default"));
}

#[test]
fn reset_takes_away_what_an_earlier_file_says() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "services:\n  x:\n    image: i\n    ports: [80]\n    build: {args: {A: 1, B: 2}}\n",
        ),
        ("b.yaml", "services:\n  x:\n    ports: !reset []\n    build: {args: {A: !reset null}}\n"),
    ]);
    let project = folder.load(&["a.yaml", "b.yaml"]).unwrap();
    let service = &project.services["x"];
    assert!(service.ports.is_empty());
    assert_eq!(service.build.as_ref().unwrap().args.keys().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn extends_takes_over_and_rebases_paths() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "services:\n  web:\n    extends: {file: base/common.yaml, service: php}\n    environment: {B: own}\n    \
             ports: !reset []\n",
        ),
        (
            "base/common.yaml",
            "services:\n  php:\n    extends: {file: deeper/root.yaml, service: root}\n    image: php\n    \
             volumes: [./app:/app]\n    ports: [80]\n    environment: {A: base, B: base}\n",
        ),
        (
            "base/deeper/root.yaml",
            "services:\n  root:\n    env_file: root.env\n    build: {context: ./src}\n    restart: always\n",
        ),
        ("base/deeper/root.env", "FROM_FILE=yes\nA=file\n"),
    ]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let web = &project.services["web"];
    let here = |path: &str| Some(folder.path().join(path).display().to_string());
    assert_eq!(web.volumes[0].source, here("base/app"));
    assert_eq!(web.volumes[0].kind, MountKind::Bind);
    assert_eq!(web.build.as_ref().unwrap().context, here("base/deeper/src"));
    assert_eq!(web.build.as_ref().unwrap().dockerfile.as_deref(), Some("Dockerfile"));
    assert!(web.ports.is_empty());
    assert_eq!(web.restart.as_deref(), Some("always"));
    let value = |name: &str| web.environment[name].as_deref().unwrap();
    assert_eq!([value("A"), value("B"), value("FROM_FILE")], ["base", "own", "yes"]);
    assert!(web.env_file.is_empty());
}

#[test]
fn include_has_its_own_folder_and_environment() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "include:\n  - db/compose.yaml\n  - path: [mail/a.yaml, mail/b.yaml]\n    env_file: mail.env\n    project_directory: .\n\
             services:\n  web: {image: web, depends_on: [db, mail]}\n  db: {restart: always}\n",
        ),
        (
            "db/compose.yaml",
            "services:\n  db:\n    image: db:${VERSION}\n    volumes: [./init:/init]\n    build: {target: x}\n",
        ),
        ("db/.env", "VERSION=11\n"),
        (
            "mail/a.yaml",
            "services:\n  mail: {image: \"mail:${VERSION:-none}\", volumes: [./m:/m]}\n",
        ),
        ("mail/b.yaml", "services:\n  mail: {user: nobody}\n"),
        ("mail.env", "VERSION=2\n"),
    ]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let (db, mail) = (&project.services["db"], &project.services["mail"]);
    let here = |path: &str| Some(folder.path().join(path).display().to_string());
    assert_eq!(db.image.as_deref(), Some("db:11"));
    assert_eq!(db.restart.as_deref(), Some("always"));
    assert_eq!(db.volumes[0].source, here("db/init"));
    assert_eq!(db.build.as_ref().unwrap().context, here("db"));
    assert_eq!(mail.image.as_deref(), Some("mail:2"));
    assert_eq!(mail.user.as_deref(), Some("nobody"));
    assert_eq!(mail.volumes[0].source, here("m"));
    assert!(project.warnings.is_empty(), "{:?}", project.warnings);
}

#[test]
fn profiles_decide_which_services_there_are() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "services:\n  web: {image: w, depends_on: {debug: {condition: service_started, required: false}}}\n  \
         debug: {image: d, profiles: [dev], env_file: missing.env}\n",
    )]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(project.disabled.keys().collect::<Vec<_>>(), ["debug"]);
    let problems = folder.load_with(&["compose.yaml"], &[], &["dev"]).unwrap_err();
    assert!(problems.to_string().contains("missing.env: there is no such file"), "{problems}");
}

#[test]
fn secrets_and_configs_get_their_values_and_keep_them_to_themselves() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "services:\n  a:\n    image: x\n    secrets: [token]\n    configs: [{source: c, target: /c, mode: 0440}]\n\
         secrets: {token: {environment: TOKEN}}\nconfigs: {c: {content: \"name = $NAME\"}}\n",
    )]);
    let project =
        folder.load_with(&["compose.yaml"], &[("TOKEN", "hunter2"), ("NAME", "n")], &[]).unwrap();
    assert_eq!(project.secrets["token"].value.as_ref().unwrap().0, "hunter2");
    assert_eq!(project.configs["c"].content.as_deref(), Some("name = n"));
    assert_eq!(project.services["a"].configs[0].mode.unwrap().0, 0o440);
    let printed = serde_json::to_string(&project).unwrap() + &format!("{project:?}");
    assert!(!printed.contains("hunter2"));
}

#[test]
fn merge_keys_anchors_and_documents_are_followed() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "x-base: &base\n  image: one\n  restart: always\n  healthcheck: {test: curl localhost}\nx-env: &env {A: 1}\n\
         services:\n  a:\n    <<: *base\n    image: two\n    environment: {<<: [*env, {B: 2}], C: 3}\n---\n\
         services:\n  a: {restart: unless-stopped}\n  b: {image: b}\n",
    )]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let a = &project.services["a"];
    assert_eq!(a.image.as_deref(), Some("two"));
    assert_eq!(a.restart.as_deref(), Some("unless-stopped"));
    assert_eq!(a.environment.len(), 3);
    let test = a.healthcheck.as_ref().unwrap().test.clone();
    assert_eq!(test, Some(HealthTest::Shell("curl localhost".to_owned())));
    assert_eq!(project.services.len(), 2);
}

#[test]
fn compose_files_are_found_by_name_and_by_variable() {
    let folder = Folder::new(&[
        ("docker-compose.yml", ""),
        ("compose.yml", ""),
        ("compose.override.yaml", ""),
    ]);
    let names = |variables: &[(&str, &str)]| {
        let found = discover(folder.path(), &super::variables(variables)).unwrap();
        found
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["compose.yml", "compose.override.yaml"]);
    assert_eq!(names(&[("COMPOSE_FILE", "a.yml:b.yml")]), ["a.yml", "b.yml"]);
    let separated = [("COMPOSE_FILE", "a;b"), ("COMPOSE_PATH_SEPARATOR", ";")];
    assert_eq!(names(&separated), ["a", "b"]);
    assert_eq!(discover(Folder::new(&[]).path(), &variables(&[])), None);
}

#[test]
fn a_command_that_only_a_shell_understands_is_warned_of() {
    let folder =
        Folder::new(&[("compose.yaml", "services:\n  a: {image: x, command: run && rest}\n")]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    assert_eq!(project.services["a"].command.as_deref().unwrap(), ["run"]);
    assert!(project.warnings[0].message.starts_with("`&& rest` is left out"));
}

#[test]
fn the_place_of_a_key_can_be_asked_for() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "services:\n  a:\n    image: x\n    ports:\n      - \"80\"\n      - \"81\"\n",
    )]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let problem = project.problem(&["services", "a", "ports", "1"], "is taken");
    assert_eq!((problem.line, problem.column), (6, 9));
    assert_eq!(problem.key_path, "services.a.ports[1]");
    let problem = project.problem(&["services", "a", "depends_on", "b"], "x");
    assert_eq!((problem.line, problem.key_path.as_str()), (2, "services.a.depends_on.b"));
}

#[test]
fn a_project_without_a_given_name_has_the_files_or_the_folders() {
    let folder = Folder::new(&[
        ("My.Shop/a.yaml", "name: The Shop\nservices: {}\n"),
        ("My.Shop/b.yaml", "services: {}\n"),
    ]);
    let name = |file: &str| {
        let project_dir = &folder.path().join("My.Shop");
        let files = &[project_dir.join(file)];
        let environment = &variables(&[]);
        let source =
            Source { files, project_dir, project_name: "", environment, profiles: &[], named: &[] };
        load(&source).unwrap().name
    };
    assert_eq!(name("a.yaml"), "theshop");
    assert_eq!(name("b.yaml"), "myshop");
}
