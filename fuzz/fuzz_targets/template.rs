//! Any bytes as an environment file, whose values are interpolated, and as a text of a file that is.
#![no_main]

use envctl::compose::{dotenv, read};
use indexmap::IndexMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let variables = IndexMap::from([("A".to_owned(), "value".to_owned())]);
    let path = folder.path().join("variables");
    std::fs::write(&path, bytes).expect("the temporary folder takes files");
    let _ = dotenv(&path, &variables, &mut vec![]);

    let text = serde_json::to_string(&[String::from_utf8_lossy(bytes)]).expect("a text");
    let path = folder.path().join("text.yaml");
    std::fs::write(&path, &text).expect("the temporary folder takes files");
    if let Ok(values) = read::<Vec<String>>(&path, &variables) {
        assert_eq!(values.len(), 1, "{text}");
    }
});
