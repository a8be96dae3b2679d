//! Files, with their path in every error, and written so that a crash leaves the old or the new one.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

/// An I/O error with the path it concerns.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", shown(path).display())]
pub struct FileError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Puts the path on an [`io::Error`].
pub trait AtPath<T> {
    fn at(self, path: &Path) -> Result<T, FileError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { path: path.to_owned(), source })
    }
}

/// The path as messages show it: from the working folder on where it lies in that.
pub fn shown(path: &Path) -> &Path {
    std::path::absolute(".")
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .filter(|inside| !inside.as_os_str().is_empty())
        .unwrap_or(path)
}

pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).at(path)
}

/// The file's text; bytes that are not UTF-8 are an error of kind `InvalidData`.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).at(path)
}

/// Writes `bytes` in place of `path`: temporary file beside it, fsync, rename, fsync of the folder.
///
/// `mode` is the file's permission bits (`0o600`); the folder is made when missing.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).at(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".envctl-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .at(folder)?;
    file.write_all(bytes).at(path)?;
    file.as_file().sync_all().at(path)?;
    file.persist(path).map_err(|error| error.error).at(path)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).at(folder)
}

/// Puts two files or folders of one file system into each other's places, at one instant, and on the disk.
pub fn exchange(one: &Path, other: &Path) -> Result<(), FileError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(io::Error::from).at(one)?;
    for path in [one, other] {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::File::open(folder).and_then(|folder| folder.sync_all()).at(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_has_its_mode_and_replaces_the_old_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/file");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(read_text(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn two_folders_change_places() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a/_data"), folder.path().join("b/_data"));
        for (path, text) in [(&a, "of a"), (&b, "of b")] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("file"), text).unwrap();
        }
        exchange(&a, &b).unwrap();
        assert_eq!(read_text(&a.join("file")).unwrap(), "of b");
        assert_eq!(read_text(&b.join("file")).unwrap(), "of a");
        assert!(exchange(&a, &folder.path().join("c")).is_err());
    }

    #[test]
    fn an_error_names_the_path() {
        assert!(
            read(Path::new("/nowhere/at/all")).unwrap_err().to_string().contains("/nowhere/at/all")
        );
    }
}
