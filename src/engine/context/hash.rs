//! A hash of all that a build's result depends on.

use std::{fs::File, io::Read as _, os::unix::ffi::OsStrExt as _};

use sha2::{Digest as _, Sha256};

use super::walk::{Context, Kind, failed};
use crate::{engine::Result, model::BuildSpec};

/// 16 hex digits over what a build would be sent (paths, modes, content) and how it is told to build: equal means that
/// the image need not be built again.
pub fn context_hash(spec: &BuildSpec) -> Result<String> {
    let context = Context::read(spec)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
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
            Kind::File { size } => {
                hash.update([3]);
                hash.update(size.to_le_bytes());
                let full = context.root.join(&entry.path);
                let mut file = File::open(&full).map_err(|error| failed(&full, &error))?;
                loop {
                    let read = file.read(&mut buffer).map_err(|error| failed(&full, &error))?;
                    if read == 0 {
                        break;
                    }
                    hash.update(&buffer[..read]);
                }
            }
        }
    }
    for (name, content) in &context.added {
        hash.update([4]);
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    let told = (
        &context.dockerfile,
        &spec.args,
        &spec.target,
        &spec.platform,
        &spec.network,
        &spec.extra_hosts,
        &spec.contexts,
    );
    hash.update(serde_json::to_vec(&told).expect("specifications have string keys only"));
    Ok(hex::encode(&hash.finalize()[..8]))
}
