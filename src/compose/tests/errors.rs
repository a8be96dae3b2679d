//! What errors say: place, cause, the line, and a way out.

use super::Folder;

#[test]
fn a_typo_has_its_place_its_line_and_the_near_name() {
    let text = "services:\n  api:\n    image: nginx\n    enviroment:\n      A: b\n";
    assert_eq!(
        Folder::problems_of(text),
        "compose.yaml:4:5 services.api.enviroment: unknown key `enviroment`\n     \
         4 |     enviroment:\n       \
         = did you mean `environment`?"
    );
}

#[test]
fn several_errors_are_found_in_one_run_in_the_order_of_their_lines() {
    let text = "\
services:
  api:
    image: [nginx]
    ports:
      - \"80:x\"
      - target: 80
        pubished: 8080
    healthcheck:
      interval: ten
      retries: many
    depends_on:
      db:
        condition: healthy
  web:
    imag: x
    stop_grace_period: 10
";
    let shown = Folder::problems_of(text);
    let heads: Vec<&str> = shown.lines().filter(|line| line.starts_with("compose.yaml")).collect();
    assert_eq!(
        heads,
        [
            "compose.yaml:3:12 services.api.image: expected a text, found a list",
            "compose.yaml:5:9 services.api.ports[0]: `80:x` is no port: `x` is no port from 0 to 65535",
            "compose.yaml:7:9 services.api.ports[1].pubished: unknown key `pubished`",
            "compose.yaml:9:17 services.api.healthcheck.interval: expected a duration such as 1m30s or 500ms, found the text `ten`",
            "compose.yaml:10:16 services.api.healthcheck.retries: expected a whole number from 0, found the text `many`",
            "compose.yaml:13:20 services.api.depends_on.db.condition: expected `service_started`, `service_healthy` or `service_completed_successfully`, found `healthy`",
            "compose.yaml:15:5 services.web.imag: unknown key `imag`",
            "compose.yaml:16:24 services.web.stop_grace_period: expected a duration such as 1m30s or 500ms, found the number 10",
        ],
        "{shown}"
    );
    assert!(shown.contains("did you mean `published`?"), "{shown}");
    assert!(shown.contains("did you mean `service_healthy`?"), "{shown}");
    assert!(shown.contains("did you mean `image`?"), "{shown}");
}

#[test]
fn after_a_merge_the_place_is_that_of_the_file_that_set_the_value() {
    let folder = Folder::new(&[
        ("compose.yaml", "services:\n  api:\n    image: a\n    restart: always\n"),
        ("over.yaml", "services:\n  api:\n    networks: [backed]\nnetworks:\n  backend:\n"),
    ]);
    let problems = folder.load(&["compose.yaml", "over.yaml"]).unwrap_err();
    assert_eq!(
        folder.shorten(&problems),
        "over.yaml:3:16 services.api.networks.backed: there is no network `backed`\n     \
         3 |     networks: [backed]\n       = did you mean `backend`?"
    );
}

#[test]
fn what_envctl_does_not_support_is_refused_by_name_with_the_reason() {
    let text = "services:\n  api:\n    image: a\n    develop:\n      watch: []\n";
    let shown = Folder::problems_of(text);
    assert!(
        shown.starts_with(
            "compose.yaml:4:5 services.api.develop: `develop` is not supported by envctl: it is for"
        ),
        "{shown}"
    );
}

#[test]
fn broken_yaml_and_missing_files_have_their_place() {
    let shown = Folder::problems_of("services:\n  a: [\n");
    assert!(shown.starts_with("compose.yaml:3:1: not YAML:"), "{shown}");
    let shown = Folder::problems_of("services:\n  a: {image: x}\n  a: {image: y}\n");
    assert!(shown.starts_with("compose.yaml:3:3: the key `a` is here twice"), "{shown}");
    let folder = Folder::new(&[]);
    let problems = folder.load(&["none.yaml"]).unwrap_err();
    assert_eq!(folder.shorten(&problems), "none.yaml: there is no such file");
    assert_eq!(Folder::problems_of("# nothing\n"), "compose.yaml: there is nothing in it");
}

#[test]
fn a_required_variable_stops_and_an_undefined_one_is_warned_of() {
    let shown = Folder::problems_of("services:\n  a:\n    image: ${TAG:?set the tag}\n");
    assert_eq!(
        shown.lines().next().unwrap(),
        "compose.yaml:3:12 services.a.image: the variable `TAG` is not set: set the tag"
    );
    let text = "services:\n  a:\n    image: x\n    command: [\"$NOT\", \"$NOT\"]\n";
    let folder = Folder::new(&[("compose.yaml", text)]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let warnings: Vec<String> = project
        .warnings
        .iter()
        .map(|w| format!("{}:{} {}", w.line, w.key_path, w.message))
        .collect();
    assert_eq!(
        warnings,
        ["4:services.a.command[0] the variable `NOT` is not set, an empty text is used"]
    );
}

#[test]
fn what_contradicts_itself_is_found_with_its_place() {
    for (text, head) in [
        (
            "services:\n  a:\n    command: x\n",
            "compose.yaml:2:3 services.a: has neither `image` nor `build`",
        ),
        (
            "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: x\n    depends_on: [a]\n",
            "compose.yaml:7:18 services.b.depends_on.a: services wait for each other: a → b → a",
        ),
        (
            "services:\n  a:\n    image: x\n    volumes: [data:/x]\n",
            "compose.yaml:4:15 services.a.volumes[0]: there is no volume `data`",
        ),
        (
            "services:\n  a:\n    image: x\n    scale: 2\n    container_name: nn\n",
            "compose.yaml:5:5 services.a.container_name: several containers cannot have one name",
        ),
        (
            "services:\n  a: {extends: b, image: x}\n  b: {extends: a, image: x}\n",
            "compose.yaml:2:16 services.a.extends: services extend each other: a → b → a",
        ),
    ] {
        assert_eq!(Folder::problems_of(text).lines().next().unwrap(), head);
    }
}

#[test]
fn a_value_of_an_environment_file_is_never_shown() {
    let folder = Folder::new(&[
        ("compose.yaml", "services:\n  a:\n    image: x\n    env_file: secret.env\n"),
        ("secret.env", "GOOD=1\nPASSWORD=\"hunter2\n"),
    ]);
    let problems = folder.load(&["compose.yaml"]).unwrap_err();
    let shown = folder.shorten(&problems);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.starts_with("compose.yaml:4:15 services.a.env_file[0]: secret.env:2:1: unterminated quoted value of `PASSWORD`"), "{shown}");
}

#[test]
fn what_a_parser_stumbles_over_has_a_likely_cause() {
    for (text, cause) in [
        ("services:\n\tweb: {}\n", "never with tabs"),
        ("services:\n  web\n    image: a\n", "lack its `:`"),
        ("services:\n  web:\n    image: \"a\n    ports: [80]\n", "a quote not closed"),
        ("services:\n  web:\n    image: a\n   user: b\n", "indented as its neighbours"),
    ] {
        let shown = Folder::problems_of(text);
        assert!(shown.contains(cause), "{text}: {shown}");
    }
}

#[test]
fn an_included_file_that_is_missing_is_said_where_it_is_included() {
    let shown = Folder::problems_of("services: {a: {image: x}}\ninclude:\n  - other.yaml\n");
    assert!(shown.starts_with("compose.yaml:3:5 include[0]: there is no file"), "{shown}");
}

#[test]
fn what_does_not_fit_together_is_told_in_the_order_of_its_lines() {
    let shown = Folder::problems_of(
        "services:\n  web:\n    image: a\n    depends_on: [dbb]\n    restart: alway\n    networks: [x]\n  db: {image: a}\n",
    );
    let lines: Vec<&str> =
        shown.lines().filter_map(|line| line.strip_prefix("compose.yaml:")?.get(..1)).collect();
    assert_eq!(lines, ["4", "5", "6"], "{shown}");
    assert!(shown.contains("expected `no`, `always`, `unless-stopped` or `on-failure`"), "{shown}");
}

#[test]
fn a_dollar_in_an_environment_file_that_blanks_a_value_is_warned_of_without_the_value() {
    let text =
        "services:\n  a: {image: x, env_file: own.env}\n  b: {image: x, env_file: own.env}\n";
    let own = "PLAIN=abc\nKEY=abc$def\nQUOTED='abc$def'\n";
    let folder = Folder::new(&[("compose.yaml", text), ("own.env", own)]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let [warning] = &project.warnings[..] else { panic!("{:?}", project.warnings) };
    assert!(warning.file.ends_with("own.env") && warning.line == 2, "{warning:?}");
    assert_eq!(
        warning.message,
        "the value of `KEY` uses a variable that is not set, an empty text is used"
    );
    assert!(!format!("{warning:?}").contains("def"), "{warning:?}");
    assert_eq!(project.services["a"].environment["QUOTED"].as_deref(), Some("abc$def"));
}

#[test]
fn a_device_is_no_file_to_read() {
    let folder = Folder::new(&[("compose.yaml", "services: {a: {image: x, env_file: /dev/zero}}")]);
    let problems = folder.load(&["compose.yaml"]).unwrap_err();
    assert!(problems.to_string().contains("/dev/zero"), "{problems}");
}
