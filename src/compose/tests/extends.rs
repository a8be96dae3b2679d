//! `extends`, `!reset` and `!override` together.

use super::Folder;

#[test]
fn override_counts_at_each_step_of_a_chain_over_files() {
    let folder = Folder::new(&[
        (
            "base.yaml",
            "services:\n  base:\n    volumes: [/foo:/foo]\n    networks: [foo]\n    ports: [1]\n",
        ),
        (
            "middle.yaml",
            "services:\n  middle:\n    extends: {file: ./base.yaml, service: base}\n    \
             volumes: !override [/bar:/bar]\n    networks: !override [bar]\n    ports: !reset []\n",
        ),
        (
            "compose.yaml",
            "services:\n  test:\n    image: test\n    extends: {file: ./middle.yaml, service: middle}\n    \
             volumes: [/zot:/zot]\n    networks: !override [zot]\nnetworks: {zot: {}}\n",
        ),
    ]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let test = &project.services["test"];
    let targets: Vec<&str> = test.volumes.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/bar", "/zot"]);
    assert_eq!(test.networks.keys().collect::<Vec<_>>(), ["zot"]);
    assert!(test.ports.is_empty());
}

#[test]
fn services_of_one_file_extend_each_other_with_override() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "services:\n  one: {image: i}\n  two: {extends: {service: one}}\n  \
         main-one: {image: i, depends_on: [one]}\n  \
         main-two: {extends: main-one, depends_on: !override [two]}\n  \
         main: {extends: {service: main-two}, depends_on: [base]}\n  base: {image: i}\n",
    )]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    let names: Vec<&String> = project.services["main"].depends_on.keys().collect();
    assert_eq!(names, ["two", "base"]);
}

#[test]
fn an_override_may_say_only_a_part_of_a_dependency() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "services:\n  x: {image: i, depends_on: {y: {condition: service_healthy}}}\n  y: {image: i}\n",
        ),
        ("b.yaml", "services:\n  x: {depends_on: {y: {required: false}}}\n"),
    ]);
    let project = folder.load(&["a.yaml", "b.yaml"]).unwrap();
    let dependency = &project.services["x"].depends_on["y"];
    assert_eq!(dependency.condition, crate::compose::Condition::Healthy);
    assert!(!dependency.required);
    let problems = folder.load(&["b.yaml"]).unwrap_err();
    assert!(problems.to_string().contains("the key `condition` is missing"), "{problems}");
}

#[test]
fn what_is_extended_may_refer_to_services_of_this_project_only() {
    let folder = Folder::new(&[
        ("base.yaml", "services:\n  b: {image: i, network_mode: \"service:zot\"}\n"),
        ("compose.yaml", "services:\n  a: {extends: {file: base.yaml, service: b}}\n"),
    ]);
    let problems = folder.load(&["compose.yaml"]).unwrap_err();
    assert!(problems.to_string().contains("there is no service `zot`"), "{problems}");
    folder.write(
        "compose.yaml",
        "services:\n  a: {extends: {file: base.yaml, service: b}}\n  zot: {image: i}\n",
    );
    assert!(folder.load(&["compose.yaml"]).is_ok());
}

#[test]
fn what_an_included_file_names_is_looked_up_in_its_own_environment() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "include: [{path: module/compose.yaml, env_file: custom.env}]\n\
             services: {a: {image: i, environment: [NAME]}}\n",
        ),
        (
            "module/compose.yaml",
            "services: {b: {image: i, environment: [NAME], secrets: [s]}}\n\
             secrets: {s: {environment: NAME}}\n",
        ),
        ("custom.env", "NAME=value\n"),
    ]);
    let project = folder.load(&["compose.yaml"]).unwrap();
    assert_eq!(project.services["a"].environment["NAME"], None);
    assert_eq!(project.services["b"].environment["NAME"].as_deref(), Some("value"));
    assert_eq!(project.secrets["s"].value.as_ref().unwrap().0, "value");
}

#[test]
fn what_is_not_there_to_be_extended_is_told_with_the_near_name() {
    let folder = Folder::new(&[
        ("base.yaml", "services:\n  common: {image: i}\n"),
        (
            "compose.yaml",
            "services:\n  a: {extends: {file: base.yaml, service: comon}}\n  \
             b: {extends: {file: none.yaml, service: x}}\n  \
             c: {extends: {service: a, fil: x}}\n",
        ),
    ]);
    let shown = folder.shorten(&folder.load(&["compose.yaml"]).unwrap_err());
    assert!(
        shown.contains(
            "compose.yaml:2:16 services.a.extends: there is no service `comon` in base.yaml"
        ),
        "{shown}"
    );
    assert!(shown.contains("did you mean `common`?"), "{shown}");
    assert!(shown.contains("services.b.extends: there is no file none.yaml"), "{shown}");
    assert!(shown.contains("services.c.extends.fil: unknown key `fil`"), "{shown}");
}
