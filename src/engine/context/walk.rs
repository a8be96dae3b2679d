//! What a build is sent: the context's files less the ignored ones, and the Dockerfile wherever it is.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    dockerfile::{images, with_images},
    ignore::{Ignore, Matches},
};
use crate::{
    engine::{EngineError, Result},
    model::BuildSpec,
};

/// The name under which a Dockerfile from outside of the context is sent.
pub const RESERVED: &str = ".envctl.dockerfile";
const IGNORE_FILE: &str = ".dockerignore";

/// Files to send, parents before children, sorted by name in each folder.
#[derive(Debug)]
pub struct Context {
    pub root: PathBuf,
    pub entries: Vec<Entry>,
    /// The Dockerfile's path in what is sent.
    pub dockerfile: String,
    /// The Dockerfile, with the images of further contexts in it.
    pub text: Vec<u8>,
    /// Files that are not the context's own: an outer Dockerfile, and the ignore file that hides it from `COPY`.
    pub added: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root.
    pub path: PathBuf,
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Since 1970.
    pub modified: Duration,
    /// It is ignored, and sent only because the classic builder wants it; no instruction sees it.
    pub hidden: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    Folder,
    File { size: u64 },
    Link { to: PathBuf },
}

impl Context {
    pub fn read(spec: &BuildSpec) -> Result<Self> {
        let root = spec.context.clone();
        let seen = fs::metadata(&root).map_err(|error| failed(&root, &error))?;
        if !seen.is_dir() {
            return Err(failed(&root, &"it is no folder"));
        }
        let (mut dockerfile, text, mut inner) = dockerfile(spec)?;
        let ignore_file = ignore_file(&root, &dockerfile);
        let changed = with_contexts(spec, &text);
        if changed != text {
            (dockerfile, inner) = (RESERVED.to_owned(), false);
        }
        let ignored = match &ignore_file {
            Some(path) => fs::read_to_string(path).map_err(|error| failed(path, &error))?,
            None => String::new(),
        };
        let ignore = Ignore::parse(&ignored)
            .map_err(|bad| failed(&root.join(ignore_file.unwrap_or_default()), &bad.0))?;
        let mut added = vec![];
        let mut always = BTreeSet::from([PathBuf::from(IGNORE_FILE)]);
        if inner {
            always.insert(PathBuf::from(&dockerfile));
        } else {
            // The engine leaves a Dockerfile that is ignored out of the build.
            let own = fs::read_to_string(root.join(IGNORE_FILE));
            let mut hidden = own.unwrap_or_else(|_| IGNORE_FILE.to_owned());
            hidden.extend(["\n", RESERVED, "\n"]);
            added.push((IGNORE_FILE.to_owned(), hidden.into_bytes()));
            added.push((RESERVED.to_owned(), changed.clone()));
        }
        let mut walk = Walk { root: &root, ignore: &ignore, always, entries: vec![] };
        walk.folder(Path::new(""), &ignore.root())?;
        let mut entries = walk.entries;
        entries.retain(|entry| !added.iter().any(|(name, _)| entry.path == Path::new(name)));
        Ok(Self { root, entries, dockerfile, text: changed, added })
    }
}

/// The images that a build's Dockerfile builds on or takes from, as it names them.
pub fn base_images(spec: &BuildSpec) -> Result<Vec<String>> {
    let (_, text, _) = dockerfile(spec)?;
    Ok(images(&String::from_utf8_lossy(&text), &spec.args))
}

/// The Dockerfile with images in the place of further contexts' names.
fn with_contexts(spec: &BuildSpec, text: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) if !spec.contexts.is_empty() => {
            with_images(text, &spec.args, &spec.contexts).into_bytes()
        }
        _ => text.to_vec(),
    }
}

/// The Dockerfile's path in what is sent, its text, and whether it comes from the context.
fn dockerfile(spec: &BuildSpec) -> Result<(String, Vec<u8>, bool)> {
    if let Some(text) = &spec.dockerfile_inline {
        return Ok((RESERVED.to_owned(), text.clone().into_bytes(), false));
    }
    let named = if spec.dockerfile.as_os_str().is_empty() {
        Path::new("Dockerfile")
    } else {
        &spec.dockerfile
    };
    let path = spec.context.join(named);
    let text = fs::read(&path).map_err(|error| failed(&path, &error))?;
    let inner = path.strip_prefix(&spec.context).ok().and_then(normal);
    Ok(inner.map_or((RESERVED.to_owned(), text.clone(), false), |inner| (inner, text, true)))
}

/// The path without `.` and `..`; none where it leaves its folder.
fn normal(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = vec![];
    for part in path.components() {
        match part {
            std::path::Component::Normal(part) => parts.push(part.to_str()?),
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                parts.pop()?;
            }
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

/// The Dockerfile's own ignore file, else the context's.
fn ignore_file(root: &Path, dockerfile: &str) -> Option<PathBuf> {
    [root.join(format!("{dockerfile}{IGNORE_FILE}")), root.join(IGNORE_FILE)]
        .into_iter()
        .find(|path| path.is_file())
}

struct Walk<'a> {
    root: &'a Path,
    ignore: &'a Ignore,
    /// Sent though they are ignored.
    always: BTreeSet<PathBuf>,
    entries: Vec<Entry>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, above: &Matches) -> Result<()> {
        let full = self.root.join(folder);
        let mut names = fs::read_dir(&full)
            .and_then(|list| {
                list.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
            })
            .map_err(|error| failed(&full, &error))?;
        names.sort();
        for name in names {
            self.entry(&folder.join(name), above)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, above: &Matches) -> Result<()> {
        let text = path.to_string_lossy();
        let matches = self.ignore.matches(&text, above);
        let hidden = self.ignore.ignores(&matches);
        let ignored = hidden && !self.always.contains(path);
        let full = self.root.join(path);
        if ignored && !full.is_dir() {
            return Ok(());
        }
        let seen = match fs::symlink_metadata(&full) {
            // It went away since its folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            seen => seen.map_err(|error| failed(&full, &error))?,
        };
        let kind = if seen.is_dir() {
            Kind::Folder
        } else if seen.is_symlink() {
            Kind::Link { to: fs::read_link(&full).map_err(|error| failed(&full, &error))? }
        } else if seen.is_file() {
            Kind::File { size: seen.len() }
        } else if seen.file_type().is_socket() {
            return Ok(());
        } else {
            return Err(failed(&full, &"it is neither file nor folder nor link; ignore it"));
        };
        if ignored && kind != Kind::Folder {
            return Ok(());
        }
        let inside = kind == Kind::Folder
            && (!ignored
                || self.ignore.may_except_below(&text)
                || self.always.iter().any(|always| always.starts_with(path)));
        let modified = Duration::new(
            u64::try_from(seen.mtime()).unwrap_or(0),
            u32::try_from(seen.mtime_nsec()).unwrap_or(0),
        );
        let mode = seen.mode() & 0o7777;
        let mut entry = Entry { path: path.to_owned(), kind, mode, modified, hidden };
        let at = self.entries.len();
        if inside {
            self.folder(path, &matches)?;
        }
        // An ignored folder is sent only for what is in it.
        if !ignored || self.entries.len() > at {
            entry.hidden = hidden && self.entries[at..].iter().all(|below| below.hidden);
            self.entries.insert(at, entry);
        }
        Ok(())
    }
}

pub(super) fn failed(path: &Path, reason: &dyn std::fmt::Display) -> EngineError {
    EngineError::Context { path: path.to_owned(), reason: reason.to_string() }
}
