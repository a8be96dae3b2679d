//! What outlives the proxy's process: the routing and the history, in its state folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::ProxyError;
use crate::{
    base::files::{self, AtPath as _, FileError},
    model::{Routing, control::Record},
};

#[derive(Debug)]
pub(super) struct Store {
    routing: PathBuf,
    history: PathBuf,
}

/// Records that are kept.
const KEPT: usize = 1000;

impl Store {
    pub fn new(folder: &Path) -> Self {
        Self { routing: folder.join("routing.json"), history: folder.join("history") }
    }

    /// The routing as it was last saved; an empty one where there is none.
    pub fn load(&self) -> Result<Routing, ProxyError> {
        let bad = |reason: String| ProxyError::State { path: self.routing.clone(), reason };
        let bytes = match files::read(&self.routing) {
            Ok(bytes) => bytes,
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                return Ok(Routing::default());
            }
            Err(error) => return Err(error.into()),
        };
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(Routing::FORMAT) => {}
            Some(format) => {
                return Err(bad(format!("format {format}, known is {}", Routing::FORMAT)));
            }
            None => return Err(bad("it has no `format`".into())),
        }
        let routing: Routing = serde_path_to_error::deserialize(value)
            .map_err(|error| bad(format!("`{}`: {}", error.path(), error.inner())))?;
        match (routing.live, &routing.canary) {
            (Some(live), _) if !routing.stacks.contains_key(&live) => {
                Err(bad(format!("{live} is live and has no stack")))
            }
            (live, Some(canary))
                if live.is_none_or(|live| live == canary.to)
                    || !routing.stacks.contains_key(&canary.to)
                    || !(1..100).contains(&canary.weight) =>
            {
                Err(bad(format!("{} cannot get a share of {} %", canary.to, canary.weight)))
            }
            _ => Ok(routing),
        }
    }

    pub fn save(&self, routing: &Routing) -> Result<(), FileError> {
        files::write_atomic(&self.routing, &json(routing, &self.routing)?, 0o644)
    }

    /// Adds a record, and lets go of the oldest beyond a thousand.
    pub fn record(&self, record: &Record) -> Result<(), FileError> {
        let path = self.history.join(format!("{}.json", record.name));
        files::write_atomic(&path, &json(&record.value, &path)?, 0o644)?;
        let names = self.names()?;
        for old in names.iter().take(names.len().saturating_sub(KEPT)) {
            let path = self.history.join(format!("{old}.json"));
            fs::remove_file(&path).at(&path)?;
        }
        Ok(())
    }

    /// The newest `limit` records, newest last.
    pub fn history(&self, limit: Option<usize>) -> Result<Vec<Record>, FileError> {
        let names = self.names()?;
        let skipped = names.len().saturating_sub(limit.unwrap_or(KEPT));
        let mut records = vec![];
        for name in names.into_iter().skip(skipped) {
            let path = self.history.join(format!("{name}.json"));
            let value =
                serde_json::from_slice(&files::read(&path)?).map_err(io::Error::from).at(&path)?;
            records.push(Record { name, value });
        }
        Ok(records)
    }

    /// Names of all records, sorted.
    fn names(&self) -> Result<Vec<String>, FileError> {
        let entries = match fs::read_dir(&self.history) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(source) => return Err(FileError { path: self.history.clone(), source }),
        };
        let mut names = vec![];
        for entry in entries {
            let name = entry.at(&self.history)?.file_name();
            if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".json"))
                && is_name(name)
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Whether a record may have this name: it becomes a file's.
pub(super) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

fn json<T: serde::Serialize>(value: &T, path: &Path) -> Result<Vec<u8>, FileError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from).at(path)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broken_state_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        for (text, reason) in [
            ("{", "EOF while parsing"),
            ("{\"live\":null}", "it has no `format`"),
            ("{\"format\":9}", "format 9, known is 1"),
            ("{\"format\":1,\"live\":\"red\",\"stacks\":{},\"drain_ms\":1}", "`live`"),
            ("{\"format\":1,\"live\":\"blue\",\"stacks\":{},\"drain_ms\":1}", "blue is live"),
            (
                r#"{"format":1,"live":null,"stacks":{},"drain_ms":1,"canary":{"to":"green","weight":9,"since":""}}"#,
                "green cannot get a share of 9 %",
            ),
        ] {
            fs::write(folder.path().join("routing.json"), text).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains("routing.json") && error.contains(reason), "{error}");
        }
    }

    #[test]
    fn the_history_is_sorted_and_limited() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        assert_eq!(store.history(None).unwrap(), []);
        for name in ["b", "a", "c"] {
            store.record(&Record { name: name.into(), value: json!({ "of": name }) }).unwrap();
        }
        let names = |limit| -> Vec<String> {
            store.history(limit).unwrap().into_iter().map(|record| record.name).collect()
        };
        assert_eq!(names(None), ["a", "b", "c"]);
        assert_eq!(names(Some(2)), ["b", "c"]);
        assert!(!is_name("../x") && !is_name(".x") && !is_name(""));
    }
}
