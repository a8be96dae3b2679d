//! What a service finds in its file system: volumes, folders of the host, secrets and configs.

use super::{service::Place, support};
use crate::{
    compose::{self, MountKind, Problem},
    model::{FileSpec, Mount},
};

pub(super) fn mount(
    index: usize,
    own: &compose::Mount,
    place: &Place<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Mount> {
    let target = own.target.clone();
    let read_only = own.read_only;
    match own.kind {
        MountKind::Volume => {
            let options = own.volume.clone().unwrap_or_default();
            Some(Mount::Volume {
                source: own.source.as_deref().map(|key| (place.volume)(key)),
                target,
                read_only,
                nocopy: options.nocopy,
                subpath: options.subpath,
            })
        }
        MountKind::Bind => {
            let options = own.bind.clone().unwrap_or_default();
            Some(Mount::Bind {
                source: own.source.clone().unwrap_or_default().into(),
                target,
                read_only,
                propagation: options.propagation,
                create: own.creates_host_path(),
                selinux: options.selinux,
                recursive: options.recursive,
            })
        }
        MountKind::Tmpfs => {
            let options = own.tmpfs.clone().unwrap_or_default();
            Some(Mount::Tmpfs {
                target,
                size: options.size.map(|size| size.0),
                mode: options.mode,
                options: None,
            })
        }
        MountKind::Cluster | MountKind::Npipe | MountKind::Image => {
            let (kind, reason) = match own.kind {
                MountKind::Cluster => ("cluster", "only a Swarm has such volumes"),
                MountKind::Npipe => ("npipe", "only Windows has named pipes"),
                _ => ("image", "copy what you need of it in a `build`"),
            };
            let message = format!("envctl does not support the type `{kind}`: {reason}");
            problems.push(place.problem(&["volumes", &index.to_string(), "type"], message));
            None
        }
    }
}

/// A secret or config: a folder's file is mounted, a text is laid in before the start.
pub(super) fn file(
    own: &compose::FileMount,
    object: &compose::FileObject,
    (folder, at): (&str, &[&str; 2]),
    place: &Place<'_>,
    (mounts, files): (&mut Vec<Mount>, &mut Vec<FileSpec>),
    problems: &mut Vec<Problem>,
) {
    let name = own.target.clone().unwrap_or_else(|| {
        if folder.is_empty() { format!("/{}", own.source) } else { own.source.clone() }
    });
    let path = if name.starts_with('/') { name } else { format!("{folder}/{name}") };
    support::object((at[0], &own.source), object, place.project, problems);
    if object.external {
        let message = format!(
            "`{}` is external, which only a Swarm has: give it a `file` or an `environment`",
            own.source
        );
        problems.push(place.problem(at, message));
        return;
    }
    let content = match (&object.content, &object.value, &object.file) {
        (Some(content), ..) => content.clone(),
        (None, Some(value), _) => value.0.clone(),
        (None, None, Some(source)) => {
            mounts.push(Mount::Bind {
                source: source.into(),
                target: path,
                read_only: true,
                propagation: None,
                create: false,
                selinux: None,
                recursive: None,
            });
            return;
        }
        (None, None, None) => {
            let message = format!(
                "`{}` takes its value from the variable `{}`, which is not set",
                own.source,
                object.environment.as_deref().unwrap_or("?")
            );
            problems.push(place.problem(at, message));
            return;
        }
    };
    let mut id = |key: &str, text: &Option<String>| match text.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(id)) => id,
        Some(Err(_)) => {
            let keys = [at[0], at[1], key];
            problems.push(
                place.problem(&keys, "expected a number: the image's names are not known here"),
            );
            0
        }
    };
    files.push(FileSpec {
        path,
        content: content.into_bytes(),
        mode: own.mode.map_or(0o444, |mode| mode.0),
        uid: id("uid", &own.uid),
        gid: id("gid", &own.gid),
    });
}
