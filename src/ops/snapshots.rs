//! Where snapshots lie: on the machine that envctl runs on, one file with the data and one that tells of it. The second is
//! written last, so what was broken off is never taken for a snapshot.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{OpsError, Session};
use crate::{
    base::files::{self, AtPath as _},
    config::Keep,
    database::{Kind, Position},
};

const FORMAT: u32 = 1;
/// A file that is being written.
pub(super) const PARTIAL: &str = ".partial";

/// What is known of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub(super) format: u32,
    pub name: String,
    pub environment: String,
    pub service: String,
    pub volume: String,
    pub engine: Kind,
    /// As the server tells it.
    pub version: String,
    /// A dump of statements; else the server's own files.
    pub logical: bool,
    /// The data, in the same folder.
    pub file: String,
    /// Bytes of the file, and of what it holds.
    pub size: u64,
    pub uncompressed: u64,
    /// Of the file, in hex.
    pub sha256: String,
    pub position: Option<Position>,
    /// Which life of the data it is of: that since the restore with this id, empty before the first one.
    pub life: String,
    /// Which key its data is encrypted by; empty where it is not.
    #[serde(default)]
    pub key: String,
    /// RFC 3339: when it was begun and when it was done. It holds what was there at its end.
    pub begun: String,
    pub time: String,
    pub milliseconds: u64,
    /// Of the checkout.
    pub revision: Option<String>,
    pub who: String,
    /// What it was taken for.
    pub why: String,
    /// Whether somebody named it: those are kept until they are removed by name.
    pub named: bool,
}

impl Snapshot {
    pub(super) const fn format() -> u32 {
        FORMAT
    }
}

/// A snapshot as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stored {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Whether its file is there and as long as it was.
    pub whole: bool,
    pub path: PathBuf,
}

/// A file that should tell of a snapshot and cannot be read. Nothing else is kept from its work by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broken {
    pub path: PathBuf,
    pub reason: String,
}

/// The snapshots of an environment.
#[derive(Debug)]
pub(super) struct Store {
    pub folder: PathBuf,
}

impl Store {
    /// Those of the session's environment, or of another one of the project.
    pub fn of(session: &Session<'_>, environment: Option<&str>) -> Self {
        let project = session.project;
        let base = match &project.file.durable.snapshots.path {
            Some(path) => project.root.join(path),
            None => session.shell.data_folder().join("envctl/snapshots"),
        };
        let environment = environment.unwrap_or(&project.names.environment);
        Self { folder: base.join(&project.names.project).join(environment) }
    }

    /// Makes the folder, for its owner alone, and clears away what was broken off.
    pub fn open(&self) -> Result<(), OpsError> {
        fs::create_dir_all(&self.folder).at(&self.folder)?;
        let owner = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.folder, owner).at(&self.folder)?;
        for entry in fs::read_dir(&self.folder).at(&self.folder)? {
            let path = entry.at(&self.folder)?.path();
            if path.to_string_lossy().ends_with(PARTIAL) {
                fs::remove_file(&path).at(&path)?;
            }
        }
        Ok(())
    }

    /// All of them that can be read, oldest first.
    pub fn list(&self) -> Result<Vec<Stored>, OpsError> {
        Ok(self.look()?.0)
    }

    /// All of them, oldest first, and the files that should tell of one and do not.
    fn look(&self) -> Result<(Vec<Stored>, Vec<Broken>), OpsError> {
        let (mut all, mut broken) = (vec![], vec![]);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((all, broken)),
            entries => entries.at(&self.folder)?,
        };
        for entry in entries {
            let path = entry.at(&self.folder)?.path();
            if path.extension().is_some_and(|end| end == "json") {
                match self.read(&path) {
                    Ok(stored) => all.push(stored),
                    Err(reason) => broken.push(Broken { path, reason }),
                }
            }
        }
        all.sort_by(|a, b| {
            (&a.snapshot.time, &a.snapshot.name).cmp(&(&b.snapshot.time, &b.snapshot.name))
        });
        broken.sort_by(|a, b| a.path.cmp(&b.path));
        Ok((all, broken))
    }

    /// The one that a file tells of, or why it does not.
    fn read(&self, manifest: &Path) -> Result<Stored, String> {
        let not = |reason: String| format!("`{}` cannot be read: {reason}", manifest.display());
        let bytes = fs::read(manifest).map_err(|error| not(error.to_string()))?;
        let snapshot: Snapshot =
            serde_json::from_slice(&bytes).map_err(|error| not(error.to_string()))?;
        let path = self.folder.join(&snapshot.file);
        let whole = fs::metadata(&path).is_ok_and(|found| found.len() == snapshot.size);
        Ok(Stored { snapshot, whole, path })
    }

    /// The one of this name.
    pub fn find(&self, name: &str) -> Result<Stored, OpsError> {
        let missing = |reason: String| OpsError::NoSnapshot { name: name.to_owned(), reason };
        let (all, broken) = self.look()?;
        if let Some(Broken { reason, .. }) =
            broken.iter().find(|broken| broken.path == self.manifest(name))
        {
            return Err(missing(reason.clone()));
        }
        let known: Vec<&str> = all.iter().map(|stored| stored.snapshot.name.as_str()).collect();
        let Some(found) = all.iter().find(|stored| stored.snapshot.name == name) else {
            let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(missing(format!("`{}` has {there}", self.folder.display())));
        };
        if !found.whole {
            return Err(missing(format!("`{}` is not what was written", found.path.display())));
        }
        Ok(found.clone())
    }

    pub fn manifest(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Puts a finished file in its place and tells of it.
    pub fn keep(&self, snapshot: &Snapshot, partial: &Path) -> Result<Stored, OpsError> {
        let path = self.folder.join(&snapshot.file);
        fs::rename(partial, &path).at(&path)?;
        let text = serde_json::to_vec_pretty(snapshot).expect("plain values");
        files::write_atomic(&self.manifest(&snapshot.name), &text, 0o600)?;
        Ok(Stored { snapshot: snapshot.clone(), whole: true, path })
    }

    /// First that which tells of it.
    pub fn remove(&self, stored: &Stored) -> Result<(), OpsError> {
        for path in [self.manifest(&stored.snapshot.name), stored.path.clone()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.at(&path)?,
            }
        }
        Ok(())
    }

    /// Removes what `keep` no longer asks for; returns the names.
    pub fn prune(&self, keep: Keep) -> Result<Vec<String>, OpsError> {
        let all = self.list()?;
        let mut gone = vec![];
        for stored in surplus(&all, keep, &TimeZone::system()) {
            self.remove(stored)?;
            gone.push(stored.snapshot.name.clone());
        }
        Ok(gone)
    }
}

/// Those that are neither named, nor among the last, nor the last of one of the last days that have any.
fn surplus<'a>(all: &'a [Stored], keep: Keep, zone: &TimeZone) -> Vec<&'a Stored> {
    let mut by_service: BTreeSet<&str> = BTreeSet::new();
    by_service.extend(all.iter().map(|stored| stored.snapshot.service.as_str()));
    let mut gone = vec![];
    for service in by_service {
        let newest_first = all.iter().rev().filter(|stored| {
            stored.snapshot.service == service && !stored.snapshot.named && stored.whole
        });
        let mut days = BTreeSet::new();
        for (number, stored) in newest_first.enumerate() {
            let time: Option<Timestamp> = stored.snapshot.time.parse().ok();
            let day = time.map(|time| time.to_zoned(zone.clone()).date());
            let first_of_day = !days.contains(&day);
            let of_a_day = first_of_day && days.len() < usize::from(keep.daily);
            days.insert(day);
            if number >= usize::from(keep.last) && !of_a_day {
                gone.push(stored);
            }
        }
    }
    gone
}

/// The snapshots of an environment, oldest first, and those of which nothing is known any more.
pub fn snapshots(
    session: &Session<'_>,
    environment: Option<&str>,
) -> Result<(Vec<Stored>, Vec<Broken>), OpsError> {
    Store::of(session, environment).look()
}

/// Removes a snapshot.
pub fn remove_snapshot(session: &Session<'_>, name: &str) -> Result<(), OpsError> {
    let store = Store::of(session, None);
    let all = store.list()?;
    match all.iter().find(|stored| stored.snapshot.name == name) {
        Some(stored) => store.remove(stored),
        None => store.find(name).map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: &str, time: &str, named: bool) -> Stored {
        let snapshot = Snapshot {
            format: FORMAT,
            name: name.into(),
            environment: "ci".into(),
            service: "db".into(),
            volume: "v".into(),
            engine: Kind::MariaDb,
            version: "11.8".into(),
            logical: false,
            file: format!("{name}.mbstream.zst"),
            size: 1,
            uncompressed: 2,
            sha256: String::new(),
            position: None,
            key: String::new(),
            life: String::new(),
            begun: time.into(),
            time: time.into(),
            milliseconds: 1,
            revision: None,
            who: "ann".into(),
            why: String::new(),
            named,
        };
        Stored { snapshot, whole: true, path: PathBuf::new() }
    }

    #[test]
    fn the_last_ones_and_one_a_day_are_kept_and_named_ones_always() {
        let all = [
            stored("named", "2026-11-01T08:00:00Z", true),
            stored("18a", "2026-11-18T08:00:00Z", false),
            stored("19a", "2026-11-19T08:00:00Z", false),
            stored("19b", "2026-11-19T20:00:00Z", false),
            stored("20a", "2026-11-20T08:00:00Z", false),
            stored("20b", "2026-11-20T09:00:00Z", false),
            stored("20c", "2026-11-20T10:00:00Z", false),
        ];
        let gone = |daily, last| {
            let gone = surplus(&all, Keep { daily, last }, &TimeZone::UTC);
            gone.into_iter().map(|s| s.snapshot.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(gone(2, 2), ["20a", "19a", "18a"]);
        assert_eq!(gone(7, 1), ["20b", "20a", "19a"]);
        assert_eq!(gone(0, 6), [""; 0]);
        assert_eq!(gone(0, 0).len(), 6);
    }

    #[test]
    fn a_snapshot_without_its_manifest_or_with_half_its_file_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { folder: folder.path().join("deep") };
        store.open().unwrap();
        let partial = store.folder.join(format!("a{PARTIAL}"));
        fs::write(&partial, b"x").unwrap();
        assert_eq!(store.list().unwrap(), []);
        let kept =
            store.keep(&stored("a", "2026-11-18T08:00:00Z", false).snapshot, &partial).unwrap();
        assert!(store.find("a").unwrap().whole);
        fs::write(&kept.path, b"").unwrap();
        assert!(!store.list().unwrap()[0].whole);
        assert!(store.find("a").unwrap_err().to_string().contains("not what was written"));
        fs::write(store.manifest("half"), b"{").unwrap();
        let (all, broken) = store.look().unwrap();
        assert_eq!((all.len(), &broken[0].path), (1, &store.manifest("half")));
        let refused = store.find("half").unwrap_err().to_string();
        assert!(refused.contains("half.json` cannot be read"), "{refused}");
        assert_eq!(store.prune(Keep { daily: 0, last: 0 }).unwrap(), [""; 0]);
        fs::remove_file(store.manifest("half")).unwrap();
        fs::write(store.folder.join(format!("b{PARTIAL}")), b"x").unwrap();
        store.open().unwrap();
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 2);
        store.remove(&kept).unwrap();
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 0);
    }
}
