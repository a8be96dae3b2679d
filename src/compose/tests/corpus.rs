//! The corpus of documents with what Compose makes of them. It lies beside the project (its README says how to read
//! it); nothing of it is copied here, and a missing corpus fails the tests.

use std::{path::PathBuf, sync::LazyLock};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::compose::{
    Problems, Project, Source,
    canonical::{self, Context},
    dotenv,
    load::{self, Options},
    merge,
    node::Node,
    problem::Files,
    template::{self, TemplateError},
    unique, yaml,
};

type Variables = IndexMap<String, String>;

/// Documents that Compose loads and envctl refuses by name, with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("C:loader__loader_test.go__267.yaml", "develop"),
    ("C:loader__tests__develop_test.go__30.yaml", "develop"),
    ("D:watch/compose.yaml", "develop"),
    ("D:watch/rebuild-deps.yaml", "develop"),
    ("D:watch/with-external-network.yaml", "develop"),
    ("E:develop.md__71.yaml", "develop"),
    ("C:loader__loader_test.go__3065.yaml", "models"),
    ("C:override__merge_models_test.go__172.yaml", "models"),
    ("E:models.md__9.yaml", "models"),
    ("C:loader__tests__credential_spec_test.go__27.yaml", "credential_spec: Windows"),
    ("C:loader__tests__use_api_socket_test.go__27.yaml", "use_api_socket"),
];

/// Documents whose expectation is a fault of the tool that wrote it, not of the document.
const FAULTY: &[(&str, &str)] = &[(
    "C:loader__loader_test.go__2013.yaml",
    "the document loads; writing `ssh` keys with a path as JSON fails",
)];

fn text(file: &str) -> String {
    let folder = option_env!("ENVCTL_COMPOSE_CORPUS")
        .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/compose-golden"));
    let path = PathBuf::from(folder).join(file);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("the corpus is not at {}: {error}", path.display()))
}

fn cases<T: for<'de> Deserialize<'de>>(file: &str) -> Vec<T> {
    serde_json::from_str(&text(file)).unwrap()
}

/// Prints the count and fails on any case that is neither right nor refused on purpose.
fn conclude(file: &str, passed: usize, refused: usize, wrong: &[String]) {
    println!("{file} corpus: {passed} passed, {refused} refused on purpose");
    assert!(wrong.is_empty(), "{} wrong in {file}:\n{}", wrong.len(), wrong.join("\n"));
}

#[derive(Deserialize)]
struct TemplateCase {
    env: Variables,
    r#in: String,
    out: String,
    warn: Option<usize>,
}

#[test]
fn templates_expand_as_in_compose() {
    let cases: Vec<TemplateCase> = cases("template.json");
    let mut wrong = vec![];
    for case in &cases {
        let mut undefined = vec![];
        let lookup = |name: &str| case.env.get(name).cloned();
        let out = match template::expand(&case.r#in, &lookup, &mut undefined) {
            Ok(text) => format!("ok:{text}"),
            Err(TemplateError::Invalid(_) | TemplateError::NoOutput(_)) => "invalid".to_owned(),
            Err(TemplateError::Required { variable, reason }) => {
                format!("required:{variable}:{reason}")
            }
        };
        if out != case.out || case.warn.is_some_and(|warn| warn != undefined.len()) {
            wrong.push(format!("{}: {out} instead of {}", case.r#in, case.out));
        }
    }
    assert_eq!(cases.len(), 81);
    conclude("template.json", cases.len() - wrong.len(), 0, &wrong);
}

#[derive(Deserialize)]
struct DotenvCase {
    input: String,
    want: Option<Variables>,
    error: Option<String>,
}

#[test]
fn environment_files_read_as_in_compose() {
    let cases: Vec<DotenvCase> = cases("dotenv.json");
    let mut wrong = vec![];
    for case in &cases {
        let mut vars = Variables::new();
        let result = dotenv::parse(&case.input, &mut vars, &|_| None);
        let right = match (&case.want, &case.error, &result) {
            (Some(want), None, Ok(_)) => *want == vars,
            (None, Some(part), Err(error)) => error.to_string().contains(part.as_str()),
            _ => false,
        };
        if !right {
            wrong.push(format!("{:?}: {result:?} {vars:?}", case.input));
        }
    }
    assert_eq!(cases.len(), 68);
    conclude("dotenv.json", cases.len() - wrong.len(), 0, &wrong);
}

#[derive(Deserialize)]
struct MergeCase {
    id: String,
    base: String,
    over: Option<String>,
    want: String,
}

/// A text's document in its long form.
fn canonical_document(text: &str) -> Node {
    let files = Files::default();
    let mut document = yaml::parse(&files, 0, text).unwrap().remove(0);
    let (mut problems, mut warnings) = (Problems::default(), vec![]);
    let mut context = Context { files: &files, problems: &mut problems, warnings: &mut warnings };
    canonical::document(&mut document, &mut context);
    assert!(problems.is_empty(), "{problems}");
    unique::document(&mut document);
    document
}

#[test]
fn documents_merge_as_in_compose() {
    let cases: Vec<MergeCase> = cases("merge.json");
    let mut wrong = vec![];
    for case in &cases {
        let mut merged = canonical_document(&case.base);
        let mut problems = Problems::default();
        if let Some(over) = &case.over {
            let over = canonical_document(over);
            merge::documents(&mut merged, over, &Files::default(), &mut problems);
            unique::document(&mut merged);
            merge::settle(&mut merged);
        }
        let want = canonical_document(&case.want);
        if !problems.is_empty() || merged != want {
            wrong.push(format!("{}: {problems}\n{merged:?}\n{want:?}", case.id));
        }
    }
    assert_eq!(cases.len(), 64);
    conclude("merge.json", cases.len() - wrong.len(), 0, &wrong);
}

#[derive(Deserialize)]
struct LoaderCase {
    id: String,
    text: String,
    want: Option<Json>,
    error: Option<String>,
}

fn load_text(folder: &std::path::Path, text: &str) -> Result<Project, Problems> {
    let path = folder.join("compose.yaml");
    std::fs::write(&path, text).unwrap();
    let source = Source {
        files: &[path],
        project_dir: folder,
        project_name: "p",
        environment: &Variables::new(),
        profiles: &["*".to_owned()],
        named: &[],
    };
    load::load(&source, Options { resolve_paths: false, read_env_files: false })
}

/// What two projects are compared by: no empty values but those that mean something, numbers as floats, ports sorted.
fn comparable(value: &Json, key: &str) -> Json {
    match value {
        Json::Object(map) => {
            let keeps_nulls = matches!(key, "environment" | "networks");
            map.iter()
                .map(|(name, value)| (name, comparable(value, name)))
                .filter(|(name, value)| {
                    let empty = match value {
                        Json::Null => !keeps_nulls,
                        // Compose does not write an empty text of a key of its own.
                        Json::String(text) if name.as_str() == "name" => text.is_empty(),
                        // The builder's default: some expectations leave it out.
                        Json::String(text) if key == "build" => text == "Dockerfile",
                        Json::Object(map) => map.is_empty() && name.as_str() != "services",
                        Json::Array(list) => {
                            list.is_empty() && !matches!(name.as_str(), "command" | "entrypoint")
                        }
                        _ => false,
                    };
                    !empty || key == "networks"
                })
                .map(|(name, value)| {
                    let value = match (key, &value) {
                        ("networks", Json::Object(map)) if map.is_empty() => Json::Null,
                        ("ulimits", Json::Number(number)) => {
                            serde_json::json!({"soft": number, "hard": number})
                        }
                        _ => value,
                    };
                    (name.clone(), value)
                })
                .collect()
        }
        Json::Array(list) => {
            let mut list: Vec<Json> = list.iter().map(|value| comparable(value, "")).collect();
            if key == "ports" {
                list.sort_by_key(ToString::to_string);
            }
            Json::Array(list)
        }
        Json::Number(number) => serde_json::json!(number.as_f64()),
        other => other.clone(),
    }
}

#[test]
fn documents_load_as_in_compose() {
    let folder = tempfile::tempdir().unwrap();
    let (mut passed, mut refused, mut wrong) = (0, 0, vec![]);
    let text = text("loader.jsonl");
    for line in text.lines() {
        let case: LoaderCase = serde_json::from_str(line).unwrap();
        let result = load_text(folder.path(), &case.text);
        if REFUSED.iter().any(|(id, _)| *id == case.id) {
            let problems = result.unwrap_err();
            assert!(problems.to_string().contains("not supported by envctl"), "{problems}");
            assert!(problems.0.iter().all(|problem| problem.line > 0), "{problems}");
            refused += 1;
            continue;
        }
        if let Some((id, fault)) = FAULTY.iter().find(|(id, _)| *id == case.id) {
            assert!(result.is_ok(), "{id}");
            println!("{id} is not counted: {fault}");
            continue;
        }
        match (case.want, case.error, result) {
            (Some(want), _, Ok(project)) => {
                let found = serde_json::to_value(&project).unwrap();
                let parts = ["services", "networks", "volumes", "secrets", "configs"];
                let different: Vec<&str> = parts
                    .into_iter()
                    .filter(|part| comparable(&found[*part], "") != comparable(&want[*part], ""))
                    .collect();
                if different.is_empty() {
                    passed += 1;
                } else {
                    for part in different {
                        wrong.push(format!(
                            "{} {part}\n  found {}\n  want  {}",
                            case.id,
                            comparable(&found[part], ""),
                            comparable(&want[part], "")
                        ));
                    }
                }
            }
            (None, Some(_), Err(_)) => passed += 1,
            (_, error, Ok(_)) => wrong.push(format!("{} loads, but: {error:?}", case.id)),
            (_, _, Err(problems)) => wrong.push(format!("{} is refused: {problems}", case.id)),
        }
    }
    assert!(REFUSED.len() + FAULTY.len() <= 12);
    assert_eq!(passed + refused + wrong.len() + FAULTY.len(), 404);
    conclude("loader.jsonl", passed, refused, &wrong);
}

/// Documents of the corpus, as they are written.
pub static DOCUMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    text("loader.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<LoaderCase>(line).unwrap().text)
        .collect()
});

#[test]
fn what_is_printed_loads_as_the_same_project() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for document in DOCUMENTS.iter() {
        let Ok(project) = load_text(folder.path(), document) else { continue };
        let printed = serde_yaml::to_string(&project).unwrap().replace('$', "$$");
        let again = load_text(folder.path(), &printed)
            .unwrap_or_else(|problems| panic!("{document}\n{printed}\n{problems}"));
        let json = |project: &Project| serde_json::to_value(project).unwrap();
        assert_eq!(json(&project), json(&again), "{document}\n{printed}");
        count += 1;
    }
    assert!(count > 200, "{count}");
}
