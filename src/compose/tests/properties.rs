//! What holds for every input.

use indexmap::IndexMap;
use proptest::prelude::*;

use crate::compose::{
    Problems, Project, dotenv, interpolate, node::Node, problem::Files, template, yaml,
};

use super::Folder;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn interpolation_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = template::expand(&text, &|name| Some(name.to_owned()), &mut vec![]);
    }

    #[test]
    fn interpolation_of_what_looks_like_a_template_never_panics(
        text in "([$]|[{]|[}]|:|-|[+]|[?]|[A-C]|é| |\n){0,40}"
    ) {
        let lookup = |name: &str| (name == "A").then(|| "v".to_owned());
        let _ = template::expand(&text, &lookup, &mut vec![]);
    }

    #[test]
    fn environment_files_never_panic(text in "([A-C]|=|:|\n|\"|'|\\\\|[$]|[{]|[}]|#| |0|7|é){0,60}") {
        let _ = dotenv::parse(&text, &mut IndexMap::new(), &|_| None);
        dotenv::parse_raw(&text, &mut IndexMap::new(), &|_| None);
    }

    #[test]
    fn yaml_never_panics(text in "([a-c]|:|-|\n| |[&*!]a|<<|[\\[\\]{}]|,|\"|'|[|>]|%|\t|0|é){0,80}") {
        let mut files = Files::default();
        let file = files.add("x".as_ref(), text.as_str().into());
        if let Ok(documents) = yaml::parse(&files, file, &text) {
            for mut document in documents {
                let mut problems = Problems::default();
                interpolate::interpolate(
                    &mut document, &files, &IndexMap::new(), &mut vec![], &mut problems,
                );
            }
        }
    }
}

/// A service that says something of everything that is merged by a rule of its own.
fn service() -> impl Strategy<Value = String> {
    let word = "[a-z]{1,6}";
    let words =
        proptest::collection::vec(word, 0..4).prop_map(|words| format!("[{}]", words.join(", ")));
    let pairs = proptest::collection::vec((word, word), 0..4).prop_map(|pairs| {
        let list: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("[{}]", list.join(", "))
    });
    let ports = proptest::collection::vec((1_u16..9999, 1_u16..9999), 0..4).prop_map(|ports| {
        let list: Vec<String> = ports.iter().map(|(p, t)| format!("\"{p}:{t}\"")).collect();
        format!("[{}]", list.join(", "))
    });
    let mounts = proptest::collection::btree_set(word, 0..4).prop_map(|names| {
        let list: Vec<String> = names.iter().map(|n| format!("./{n}:/{n}:ro")).collect();
        format!("[{}]", list.join(", "))
    });
    let seconds = 1_u32..5000;
    let key = |name: &'static str, value: BoxedStrategy<String>| {
        proptest::option::of(value)
            .prop_map(move |value| {
                value.map_or(String::new(), |value| format!("    {name}: {value}\n"))
            })
            .boxed()
    };
    vec![
        key("command", words.clone().boxed()),
        key("environment", pairs.clone().boxed()),
        key("labels", pairs.clone().boxed()),
        key("ports", ports.boxed()),
        key("volumes", mounts.boxed()),
        key("cap_add", words.clone().boxed()),
        key("dns_search", words.boxed()),
        key("extra_hosts", pairs.boxed()),
        key("stop_grace_period", seconds.clone().prop_map(|s| format!("{s}s")).boxed()),
        key("mem_limit", seconds.prop_map(|s| format!("{s}k")).boxed()),
        key("healthcheck", Just("{test: exit 0, interval: 5s, retries: 3}".to_owned()).boxed()),
        key("ulimits", Just("{nofile: 5, nproc: {soft: 1, hard: 2}}".to_owned()).boxed()),
    ]
    .prop_map(|keys| keys.concat())
}

fn document(service: &str) -> String {
    format!(
        "services:\n  a:\n    image: x\n{service}  b:\n    build: .\n    depends_on: [a]\n    \
         networks: {{n: {{aliases: [q]}}}}\n    secrets: [s]\n    deploy: {{replicas: 2, resources: {{limits: {{cpus: '0.5', memory: 64m}}}}}}\n    \
         tmpfs: /t\n    command: $$HOME\nnetworks:\n  n: {{driver: bridge, ipam: {{config: [{{subnet: 10.1.0.0/16}}]}}}}\n\
         secrets:\n  s: {{file: ./s}}\n"
    )
}

fn load(folder: &Folder, files: &[&str]) -> Project {
    folder.load(files).unwrap_or_else(|problems| panic!("{problems}"))
}

fn json(project: &Project) -> serde_json::Value {
    serde_json::to_value(project).unwrap()
}

/// A printed project as a file: what is a variable's sign is escaped.
fn printed(project: &Project) -> String {
    serde_yaml::to_string(&json(project)).unwrap().replace('$', "$$")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_file_merged_onto_itself_changes_nothing(service in service()) {
        let folder = Folder::new(&[("a.yaml", &document(&service))]);
        let once = load(&folder, &["a.yaml"]);
        let twice = load(&folder, &["a.yaml", "a.yaml"]);
        prop_assert_eq!(json(&once), json(&twice));
    }

    #[test]
    fn a_printed_project_loads_as_itself(service in service()) {
        let folder = Folder::new(&[("a.yaml", &document(&service))]);
        let project = load(&folder, &["a.yaml"]);
        folder.write("b.yaml", &printed(&project));
        let again = load(&folder, &["b.yaml"]);
        prop_assert_eq!(json(&project), json(&again));
        folder.write("c.yaml", &printed(&again));
        prop_assert_eq!(printed(&again), printed(&load(&folder, &["c.yaml"])));
    }
}

#[test]
fn lists_without_names_append_when_a_file_is_merged_onto_itself() {
    let text = "services:\n  a: {image: x, pre_stop: [{command: [a]}]}\n";
    let folder = Folder::new(&[("a.yaml", text)]);
    let twice = load(&folder, &["a.yaml", "a.yaml"]);
    assert_eq!(twice.services["a"].pre_stop.len(), 2);
}

#[test]
fn nodes_know_their_places() {
    let text = "a:\n  - é\n  - {b: 1}\nc: &x\n  d: \"q\"\ne: *x\n";
    let mut files = Files::default();
    let file = files.add("x".as_ref(), text.into());
    let document = yaml::parse(&files, file, text).unwrap().remove(0);
    let at = |node: &Node| (node.at.line, node.at.column);
    let list = document.get("a").unwrap().as_list().unwrap();
    assert_eq!(at(&list[0]), (2, 5));
    assert_eq!(at(list[1].get("b").unwrap()), (3, 9));
    assert_eq!(at(document.get("e").unwrap().get("d").unwrap()), (5, 6));
    assert_eq!(document.get("e").unwrap().key.line, 6);
}

/// Replaces, drops and doubles lines and words of a document.
fn damage(text: &str, steps: &[(u8, usize, usize)]) -> String {
    const PUT: &[&str] = &[
        "[]",
        "{}",
        "~",
        "x",
        "-1",
        "${",
        "!reset",
        "*a",
        "&a",
        "<<: {a: b}",
        "- x",
        "\"80:",
        "0.5",
        ": ",
    ];
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    for (kind, at, what) in steps {
        if lines.is_empty() {
            break;
        }
        let at = at % lines.len();
        let put = PUT[what % PUT.len()];
        let line = lines[at].clone();
        match kind % 5 {
            0 => {
                lines.remove(at);
            }
            1 => lines.insert(at, line),
            2 => {
                if let Some((key, _)) = line.split_once(':') {
                    lines[at] = format!("{key}: {put}");
                }
            }
            3 => {
                let other = lines[what % lines.len()].clone();
                lines[at] = other;
            }
            _ => {
                let cut = line.char_indices().nth(what % (line.chars().count() + 1));
                let cut = cut.map_or(line.len(), |(cut, _)| cut);
                lines[at] = format!("{}{put}{}", &line[..cut], &line[cut..]);
            }
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_document_never_panics(
        index in any::<prop::sample::Index>(),
        steps in proptest::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 1..6),
    ) {
        let documents = &*super::corpus::DOCUMENTS;
        let folder = Folder::new(&[("compose.yaml", &damage(&documents[index.index(documents.len())], &steps))]);
        if let Err(problems) = folder.load(&["compose.yaml"]) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.0.iter().all(|problem| !problem.message.is_empty()));
        }
    }
}
