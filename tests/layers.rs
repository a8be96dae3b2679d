//! A module imports only from layers below its own, and modules of one layer do not know each other.

use std::{fs, path::Path};

const LAYERS: &[&[&str]] = &[
    &["base"],
    &["model"],
    &["compose", "engine", "proxy", "database", "aws"],
    &["config"],
    &["plan"],
    &["run"],
    &["ops"],
    &["ui"],
    &["cli"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The modules of the crate that a source text names by `crate::…`, in `use` trees and in paths.
fn imports(source: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = vec![];
    for (at, _) in source.match_indices("crate::") {
        let rest = &source[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(name(rest));
            continue;
        };
        let (mut depth, mut word) = (0_usize, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => found.push(name(std::mem::take(&mut word).trim())),
                c if depth == 0 => word.push(c),
                _ => {}
            }
        }
        found.push(name(word.trim()));
    }
    found.retain(|module| !module.is_empty());
    found
}

fn check(path: &Path, module: &str, wrong: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            check(&entry.unwrap().path(), module, wrong);
        }
        return;
    }
    let own =
        layer(module).unwrap_or_else(|| panic!("src/{module} has no layer in tests/layers.rs"));
    for import in imports(&fs::read_to_string(path).unwrap()) {
        match layer(&import) {
            Some(other) if other < own || import == module => {}
            _ => wrong.push(format!("{}: `crate::{import}`", path.display())),
        }
    }
}

#[test]
fn no_import_points_up_or_sideways() {
    let mut wrong = vec![];
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if module != "lib" && module != "main" {
            check(&path, &module, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let source = "use crate::{model::{a, b}, engine};\nlet x = crate::ops::up();";
    assert_eq!(imports(source), ["model", "engine", "ops"]);
}
