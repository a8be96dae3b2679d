//! Files of other shapes: envctl's own.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::compose::{Problems, dotenv, read, read_warned};

use super::{Folder, variables};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    levels: BTreeMap<String, Level>,
    extra: Option<bool>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    listen: u16,
    to: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Low,
    High,
    At(u32),
}

fn read_file(text: &str) -> Result<File, Problems> {
    let folder = Folder::new(&[("envctl.yaml", text)]);
    read(&folder.path().join("envctl.yaml"), &variables(&[("PORT", "3000")]))
}

#[test]
fn a_file_of_any_shape_is_read_and_interpolated() {
    let file = read_file(
        "name: x\nroutes: [{listen: \"${PORT}\", to: \"a:80\"}]\nlevels: {a: low, b: {at: 5}}\nextra:\nx-own: 1\n",
    )
    .unwrap();
    assert_eq!(file.routes, [Route { listen: 3000, to: "a:80".to_owned() }]);
    assert_eq!(file.levels["a"], Level::Low);
    assert_eq!(file.levels["b"], Level::At(5));
    assert_eq!(file.extra, None);
}

#[test]
fn its_errors_have_places_and_near_names() {
    let text = "nam: x\nroutes:\n  - {listen: 70000, to: a}\n  - {listen: 80}\n  - {lisen: 80, to: b}\nlevels: {a: hihg}\n";
    let problems = read_file(text).unwrap_err();
    let shown: Vec<String> = problems
        .0
        .iter()
        .map(|p| {
            let hint = p.hint.as_deref().unwrap_or("-");
            format!("{}:{} {}: {} ({hint})", p.line, p.column, p.key_path, p.message)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1:1 nam: unknown key `nam` (did you mean `name`?)",
            "3:14 routes[0].listen: expected a whole number from 0 to 65535, found the number 70000 (-)",
            "4:5 routes[1]: the key `to` is missing (-)",
            "5:6 routes[2].lisen: unknown key `lisen` (did you mean `listen`?)",
            "6:13 levels.a: expected `low`, `high` or `at`, found `hihg` (did you mean `high`?)",
        ]
    );
}

#[test]
fn an_undefined_variable_is_told_of() {
    let folder = Folder::new(&[("f.yaml", "name: a${NONE}b\n")]);
    let (file, warnings): (File, _) =
        read_warned(&folder.path().join("f.yaml"), &variables(&[])).unwrap();
    assert_eq!(file.name, "ab");
    assert_eq!(warnings.len(), 1);
    assert_eq!((warnings[0].line, warnings[0].column), (1, 7));
}

#[test]
fn environment_files_use_the_environment() {
    let folder = Folder::new(&[(".env", "A=1\nexport B=\"$A-${C}\"\nINHERITED\n#x\nC=own\n")]);
    let environment = variables(&[("C", "outer"), ("INHERITED", "yes")]);
    let found = dotenv(&folder.path().join(".env"), &environment, &mut vec![]).unwrap();
    let expected = [("A", "1"), ("B", "1-outer"), ("INHERITED", "yes"), ("C", "own")];
    assert_eq!(found, variables(&expected));
}

#[test]
fn a_known_key_without_a_value_is_absent_and_an_unknown_one_is_not_overlooked() {
    assert_eq!(read_file("name: x\nroutes:\nlevels:\n").unwrap().routes, []);
    let message = |text: &str| read_file(text).unwrap_err().0.remove(0).message;
    assert_eq!(message("name: x\nrouts:\n"), "unknown key `routs`");
    assert_eq!(message("name:\n"), "the key `name` is missing");
}
