//! Files of containers, stopped ones too, over the engine's archive calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
};

use futures_util::TryStreamExt as _;
use http::Method;

use super::{
    Docker,
    body::unsupported,
    call::{PATIENT, Path, QUICK, Said, bytes_of, request},
    fault::{self, Asked},
    transport::full,
};
use crate::{
    engine::{EngineError, Result},
    model::{FileSpec, Mount, ServiceSpec},
};

/// Folders that need a volume of their own, because the files in them could not be laid in: the root is read-only, or
/// a tmpfs, which exists only while the container runs, would hide them.
pub(super) fn own_folders(spec: &ServiceSpec) -> Result<Vec<String>> {
    let mut folders = BTreeSet::new();
    for file in &spec.files {
        let (folder, _) = split(&file.path);
        let refuse = |reason: &str| {
            Err(unsupported(&format!("lay `{}` into `{}`", file.path, spec.name), reason))
        };
        let cover = spec
            .mounts
            .iter()
            .filter(|mount| is_in(&file.path, target(mount)))
            .max_by_key(|mount| target(mount).len());
        match cover {
            Some(Mount::Bind { .. }) => {
                return refuse("it would be written into the host's folder that is mounted there");
            }
            Some(Mount::Volume { read_only: true, .. }) => {
                return refuse("the volume there is read-only");
            }
            Some(Mount::Volume { .. }) => {}
            Some(Mount::Tmpfs { target, .. }) if is_in(target, folder) => {
                return refuse("the tmpfs there is empty when the container starts");
            }
            None if !spec.read_only => {}
            None if folder == "/" => return refuse("the container's root is read-only"),
            Some(Mount::Tmpfs { .. }) | None => {
                folders.insert(folder.to_owned());
            }
        }
    }
    Ok(folders.into_iter().collect())
}

fn target(mount: &Mount) -> &str {
    match mount {
        Mount::Volume { target, .. } | Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } => {
            target
        }
    }
}

/// Whether `path` is `folder` or lies in it.
fn is_in(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `/run/secrets/key` is `key` in `/run/secrets`.
fn split(path: &str) -> (&str, &str) {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => ("/", path),
    }
}

pub(super) async fn write(docker: &Docker, name: &str, files: &[FileSpec]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    // The engine would make missing folders for all to write.
    let mut existing: BTreeMap<String, bool> = BTreeMap::from([("/".to_owned(), true)]);
    for file in files {
        let mut folder = split(&file.path).0;
        while !existing.contains_key(folder) {
            let there = exists(docker, name, folder).await?;
            existing.insert(folder.to_owned(), there);
            if there {
                break;
            }
            folder = split(folder).0;
        }
    }
    let missing: Vec<&str> =
        existing.iter().filter(|(_, there)| !**there).map(|(path, _)| path.as_str()).collect();
    match put(docker, name, "/", &missing, files).await {
        Err(error) if is_read_only(&error) => {}
        done => return done.map_err(|e| docker.explain(&e, writing(name))),
    }
    // The root is read-only, but a volume need not be: from inside of one the engine takes files.
    let mut by_place: BTreeMap<String, Vec<FileSpec>> = BTreeMap::new();
    for file in files {
        let mut place = split(&file.path).0;
        while existing.get(place) == Some(&false) {
            place = split(place).0;
        }
        by_place.entry(place.to_owned()).or_default().push(file.clone());
    }
    for (place, files) in by_place {
        let missing: Vec<&str> =
            missing.iter().filter(|path| is_in(path, &place)).copied().collect();
        put(docker, name, &place, &missing, &files)
            .await
            .map_err(|e| docker.explain(&e, writing(name)))?;
    }
    Ok(())
}

fn writing(name: &str) -> Asked<'_> {
    Asked::Container { name, verb: "write files of" }
}

fn is_read_only(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { message, .. }
        if message.contains("read-only"))
}

async fn exists(docker: &Docker, name: &str, path: &str) -> Result<bool> {
    let path = Path::new(&["containers", name, "archive"]).with("path", path);
    let head = request(Method::HEAD, path.as_str()).body(full("")).expect("paths are encoded");
    match docker.send(head, QUICK).await {
        Ok(_) => Ok(true),
        Err(error) if fault::status(&error) == Some(404) => Ok(false),
        Err(error) => Err(docker.explain(&error, writing(name))),
    }
}

async fn put(
    docker: &Docker,
    name: &str,
    place: &str,
    folders: &[&str],
    files: &[FileSpec],
) -> Said<()> {
    let tar = pack(place, folders, files)?;
    let path = Path::new(&["containers", name, "archive"]).with("path", place);
    let request = request(Method::PUT, path.as_str())
        .header(http::header::CONTENT_TYPE, "application/x-tar")
        .body(full(tar))
        .expect("paths are encoded");
    docker.send(request, PATIENT).await.map(|_| ())
}

/// One tar of folders (sorted, so parents first) and files, with names relative to `place`.
fn pack(place: &str, folders: &[&str], files: &[FileSpec]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(vec![]);
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    let relative = |path: &str| {
        let path = path.strip_prefix(place.trim_end_matches('/')).unwrap_or(path);
        path.trim_start_matches('/').to_owned()
    };
    for folder in folders {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(now);
        header.set_size(0);
        tar.append_data(&mut header, relative(folder), io::empty())?;
    }
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_uid(file.uid);
        header.set_gid(file.gid);
        header.set_mtime(now);
        header.set_size(file.content.len() as u64);
        tar.append_data(&mut header, relative(&file.path), file.content.as_slice())?;
    }
    tar.into_inner()
}

pub(super) async fn read(docker: &Docker, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        let Some(tar) = archive(docker, name, &path).await? else { return Ok(None) };
        match first(&tar).map_err(|error| broken(name, &error))? {
            Entry::File(content) => return Ok(Some(content)),
            Entry::Link(to) if to.starts_with('/') => path = to,
            Entry::Link(to) => path = format!("{}/{to}", split(&path).0.trim_end_matches('/')),
            Entry::Other => {
                return Err(EngineError::Refused {
                    intention: reading(name).to_string(),
                    status: 0,
                    reason: format!("`{path}` is no file"),
                });
            }
        }
    }
    Err(broken(name, &format!("too many links at `{path}`")))
}

pub(super) async fn read_folder(
    docker: &Docker,
    name: &str,
    path: &str,
) -> Result<Option<Vec<(String, Vec<u8>)>>> {
    let Some(tar) = archive(docker, name, path).await? else { return Ok(None) };
    let mut files = flat(&tar).map_err(|error| broken(name, &error))?;
    files.sort();
    Ok(Some(files))
}

fn reading(name: &str) -> Asked<'_> {
    Asked::Container { name, verb: "read files of" }
}

fn broken(name: &str, error: &dyn std::fmt::Display) -> EngineError {
    EngineError::Io { intention: reading(name).to_string(), reason: error.to_string() }
}

pub(super) async fn archive(docker: &Docker, name: &str, path: &str) -> Result<Option<Vec<u8>>> {
    let path = Path::new(&["containers", name, "archive"]).with("path", path);
    let get = request(Method::GET, path.as_str()).body(full("")).expect("paths are encoded");
    let answer = match docker.send(get, QUICK).await {
        Ok(answer) => answer,
        Err(error) => {
            return match docker.explain(&error, reading(name)) {
                EngineError::Refused { status: 404, .. } => Ok(None),
                other => Err(other),
            };
        }
    };
    let tar = bytes_of(answer).try_fold(vec![], |mut all, bytes| async move {
        all.extend_from_slice(&bytes);
        Ok(all)
    });
    tar.await.map(Some).map_err(|e| docker.explain(&e, reading(name)))
}

enum Entry {
    File(Vec<u8>),
    Link(String),
    Other,
}

fn first(tar: &[u8]) -> io::Result<Entry> {
    let mut archive = tar::Archive::new(tar);
    let Some(entry) = archive.entries()?.next() else { return Ok(Entry::Other) };
    let mut entry = entry?;
    if entry.header().entry_type().is_symlink() {
        let to = entry.link_name()?.unwrap_or_default();
        return Ok(Entry::Link(to.to_string_lossy().into_owned()));
    }
    if !entry.header().entry_type().is_file() {
        return Ok(Entry::Other);
    }
    let mut content = vec![];
    entry.read_to_end(&mut content)?;
    Ok(Entry::File(content))
}

/// The files right in the folder that the tar is of.
fn flat(tar: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![];
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let path = path.trim_start_matches("./").trim_start_matches('/');
        let Some((_, name)) = path.split_once('/') else { continue };
        if entry.header().entry_type().is_file() && !name.contains('/') {
            let name = name.to_owned();
            let mut content = vec![];
            entry.read_to_end(&mut content)?;
            files.push((name, content));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> FileSpec {
        FileSpec { path: path.into(), content: b"x".into(), mode: 0o400, uid: 1, gid: 2 }
    }

    fn folders(spec: &ServiceSpec) -> std::result::Result<Vec<String>, String> {
        own_folders(spec).map_err(|error| error.to_string())
    }

    #[test]
    fn files_get_a_volume_where_the_root_is_read_only_or_a_tmpfs_would_hide_them() {
        let mut spec = ServiceSpec {
            name: "a".into(),
            files: vec![file("/run/secrets/key"), file("/run/secrets/other"), file("/etc/x.conf")],
            ..ServiceSpec::default()
        };
        assert_eq!(folders(&spec).unwrap(), Vec::<String>::new());
        spec.mounts =
            vec![Mount::Tmpfs { target: "/run".into(), size: None, mode: None, options: None }];
        assert_eq!(folders(&spec).unwrap(), ["/run/secrets"]);
        spec.read_only = true;
        assert_eq!(folders(&spec).unwrap(), ["/etc", "/run/secrets"]);
        spec.files = vec![file("/run/key")];
        assert!(folders(&spec).unwrap_err().contains("tmpfs"));
        spec.files = vec![file("/key")];
        assert!(folders(&spec).unwrap_err().contains("read-only"));
    }

    #[test]
    fn no_file_is_written_through_a_bind_mount() {
        let spec = ServiceSpec {
            files: vec![file("/app/conf/key")],
            mounts: vec![Mount::Bind {
                source: "/src".into(),
                target: "/app".into(),
                read_only: false,
                propagation: None,
                create: false,
                selinux: None,
                recursive: None,
            }],
            ..ServiceSpec::default()
        };
        assert!(folders(&spec).unwrap_err().contains("host's folder"));
        let beside = ServiceSpec { files: vec![file("/application/key")], ..spec };
        assert_eq!(folders(&beside).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_tar_is_read_back() {
        let tar = pack("/data", &["/data/a"], &[file("/data/a/b"), file("/data/c")]).unwrap();
        let names: Vec<_> = tar::Archive::new(tar.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a", "a/b", "c"]);
        assert_eq!(flat(&tar).unwrap(), [("b".to_owned(), b"x".to_vec())]);
    }
}
