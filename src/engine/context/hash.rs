//! A hash of all that a build's result depends on.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::walk::{Context, Kind, failed};
use crate::{engine::Result, model::BuildSpec};

/// 16 hex digits over what a build would be sent (paths, modes, content) and how it is told to build: equal means that
/// the image need not be built again.
pub fn context_hash(spec: &BuildSpec) -> Result<String> {
    Hasher::default().hash(spec)
}

/// Hashes one build after another, and reads a file only once, however many of them take it.
#[derive(Debug, Default)]
pub struct Hasher {
    files: BTreeMap<PathBuf, [u8; 32]>,
}

impl Hasher {
    /// As [`context_hash`]. Images and services that are further contexts count by their names only.
    pub fn hash(&mut self, spec: &BuildSpec) -> Result<String> {
        let context = Context::read(spec)?;
        let mut hash = Sha256::new();
        for entry in &context.entries {
            let path = entry.path.as_os_str().as_bytes();
            hash.update([0]);
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update(entry.mode.to_le_bytes());
            match &entry.kind {
                Kind::Folder => hash.update([1]),
                Kind::Link { to } => {
                    hash.update([2]);
                    hash.update(to.as_os_str().as_bytes());
                }
                Kind::File { .. } => {
                    hash.update([3]);
                    hash.update(self.file(&context.root.join(&entry.path))?);
                }
            }
        }
        for (name, content) in &context.added {
            hash.update([4]);
            hash.update(name);
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        for folder in spec.contexts.values().filter(|from| Path::new(from).is_absolute()) {
            let inline = Some(String::new());
            let folder = BuildSpec {
                context: folder.into(),
                dockerfile_inline: inline,
                ..BuildSpec::default()
            };
            hash.update(self.hash(&folder)?);
        }
        let told = (
            &context.dockerfile,
            &spec.args,
            &spec.target,
            &spec.platform,
            &spec.network,
            &spec.extra_hosts,
            &spec.contexts,
            &spec.labels,
        );
        hash.update(serde_json::to_vec(&told).expect("specifications have string keys only"));
        Ok(hex::encode(&hash.finalize()[..8]))
    }

    fn file(&mut self, path: &Path) -> Result<[u8; 32]> {
        if let Some(known) = self.files.get(path) {
            return Ok(*known);
        }
        let wrong = |error: std::io::Error| failed(path, &error);
        let mut file = File::open(path).map_err(wrong)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
        loop {
            match file.read(&mut buffer).map_err(wrong)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let known = hash.finalize().into();
        self.files.insert(path.to_owned(), known);
        Ok(known)
    }
}
