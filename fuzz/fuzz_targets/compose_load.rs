//! Any bytes as a Compose file: loaded or refused, and what loads can be printed and read again.
#![no_main]

use std::path::Path;

use envctl::compose::{Problems, Project, Source, load};
use indexmap::IndexMap;
use libfuzzer_sys::fuzz_target;

fn read(folder: &Path, text: &[u8]) -> Result<Project, Problems> {
    let path = folder.join("compose.yaml");
    std::fs::write(&path, text).expect("the temporary folder takes files");
    load(&Source {
        files: &[path],
        project_dir: folder,
        project_name: "fuzz",
        environment: &IndexMap::from([("A".to_owned(), "value".to_owned())]),
        profiles: &["*".to_owned()],
        named: &[],
    })
}

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    if let Ok(project) = read(folder.path(), bytes) {
        // JSON is YAML, and what is a variable's sign is escaped.
        let text = serde_json::to_string(&project).expect("own types have text keys");
        if let Err(problems) = read(folder.path(), text.replace('$', "$$").as_bytes()) {
            panic!("{text}\nis not read again:\n{problems}");
        }
    }
});
