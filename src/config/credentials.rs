//! Random passwords, in a file that only its owner reads and Git ignores.

use std::{fs::File, path::Path};

use indexmap::IndexMap;

use super::ConfigError;
use crate::{
    base::files::{self, AtPath as _},
    compose::dotenv,
};

/// What `write` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Names that got a value now; empty when all had one.
    pub new: Vec<String>,
}

/// Gives each of `names` that has no value in `path` a random one and writes the file (mode 0600).
///
/// Values that are there stay as they are, also of names that nothing asks for any more, and also when several processes
/// do this at once.
pub fn write(path: &Path, names: &[String]) -> Result<Written, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        files::write_atomic(&ignore, b"*\n", 0o644)?;
    }
    let lock = folder.join(".lock");
    let file = File::create(&lock).at(&lock)?;
    file.lock().at(&lock)?;
    let present =
        if path.is_file() { dotenv(path, &IndexMap::new(), &mut vec![])? } else { IndexMap::new() };
    let new: Vec<String> = names
        .iter()
        .filter(|name| present.get(*name).is_none_or(String::is_empty))
        .cloned()
        .collect();
    if new.is_empty() {
        return Ok(Written { new });
    }
    let mut text = match files::read_text(path) {
        Ok(text) => text,
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
            "# Written by `envctl credentials`; keep it out of version control. Values are never overwritten.\n"
                .to_owned()
        }
        Err(error) => return Err(error.into()),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    for name in &new {
        text.push_str(&format!("{name}={}\n", random(name)));
    }
    files::write_atomic(path, text.as_bytes(), 0o600)?;
    Ok(Written { new })
}

/// Gives names of the file at `path` other values; `None` takes one out. The rest of the file stays as it is.
pub fn change(path: &Path, values: &[(&str, Option<&str>)]) -> Result<(), ConfigError> {
    let lock = path.with_file_name(".lock");
    let file = File::create(&lock).at(&lock)?;
    file.lock().at(&lock)?;
    let text = files::read_text(path)?;
    let is_of = |line: &str, name: &str| {
        line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let others = |line: &&str| !values.iter().any(|(name, _)| is_of(line, name));
    let mut lines: Vec<String> = text.lines().filter(others).map(str::to_owned).collect();
    let given = values.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    lines.extend(given);
    lines.push(String::new());
    files::write_atomic(path, lines.join("\n").as_bytes(), 0o600)?;
    Ok(())
}

/// A new key of 256 bits, in hex.
pub fn random_key() -> String {
    random("_KEY")
}

/// 32 hex digits: 128 bits, with no character that a shell, a URL or SQL would read otherwise. What is called a key gets
/// the 256 bits of AES-256.
fn random(name: &str) -> String {
    let mut bytes = vec![0; if name.ends_with("_KEY") { 32 } else { 16 }];
    getrandom::fill(&mut bytes).expect("the system's random source answers");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_private_ignored_and_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".envctl/ci.credentials");
        let first = write(&path, &["A".into(), "B".into()]).unwrap();
        assert_eq!(first.new, ["A", "B"]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files::read_text(&path.with_file_name(".gitignore")).unwrap(), "*\n");
        let before = files::read_text(&path).unwrap();
        assert_eq!(write(&path, &["A".into(), "B".into()]).unwrap().new, Vec::<String>::new());
        assert_eq!(write(&path, &["A".into(), "C".into()]).unwrap().new, ["C"]);
        assert!(files::read_text(&path).unwrap().starts_with(&before));
    }

    #[test]
    fn a_changed_value_takes_the_place_of_the_one_before_and_leaves_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ci.credentials");
        files::write_atomic(&path, b"# mine\nKEY=a\nKEY_NEXT=b\nOTHER=KEY=\n", 0o600).unwrap();
        change(&path, &[("KEY", Some("b")), ("KEY_NEXT", None), ("KEY_PREVIOUS", Some("a"))])
            .unwrap();
        let text = files::read_text(&path).unwrap();
        assert_eq!(text, "# mine\nOTHER=KEY=\nKEY=b\nKEY_PREVIOUS=a\n");
    }

    #[test]
    fn a_key_has_256_bits_and_a_password_128() {
        assert_eq!((random("DATA_KEY").len(), random("PASSWORD").len()), (64, 32));
    }

    #[test]
    fn many_at_once_give_one_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".envctl/ci.credentials");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| write(&path, &["A".into()]).unwrap());
            }
        });
        assert_eq!(files::read_text(&path).unwrap().matches("A=").count(), 1);
    }
}
