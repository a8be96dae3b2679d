//! Contexts on a real file system.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::{context_hash, tar::bytes, walk::Context};
use crate::model::BuildSpec;

/// A folder with these files; a text `-> x` makes a link.
fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, BuildSpec) {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(to) => symlink(to, path).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }
    let spec = BuildSpec { context: root.path().to_owned(), ..BuildSpec::default() };
    (root, spec)
}

fn sent(spec: &BuildSpec) -> Vec<String> {
    let context = Context::read(spec).unwrap();
    let tar = bytes(&context);
    tar::Archive::new(tar.as_slice())
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            match entry.link_name().unwrap() {
                Some(to) => format!("{path} -> {}", to.display()),
                None => path,
            }
        })
        .collect()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_ignored_is_not_sent_and_the_dockerfile_always_is() {
    let (_root, spec) = folder(&[
        (".dockerignore", "*\n!src\nsrc/*.log\n!deep/**/keep\n"),
        ("Dockerfile", "FROM scratch"),
        ("src/a.php", "a"),
        ("src/a.log", "a"),
        ("src/link", "-> a.php"),
        ("deep/x/y/keep", "k"),
        ("deep/x/y/other", "o"),
        ("node_modules/a/b", "b"),
    ]);
    assert_eq!(
        sent(&spec),
        [
            ".dockerignore",
            "Dockerfile",
            "deep/",
            "deep/x/",
            "deep/x/y/",
            "deep/x/y/keep",
            "src/",
            "src/a.php",
            "src/link -> a.php",
        ]
    );
}

#[test]
fn a_dockerfile_has_its_own_ignore_file_and_may_lie_in_an_ignored_folder() {
    let (_root, mut spec) = folder(&[
        (".dockerignore", "a\n"),
        ("docker/Dockerfile", "FROM scratch"),
        ("docker/Dockerfile.dockerignore", "docker\nb\n"),
        ("docker/other", ""),
        ("a", ""),
        ("b", ""),
    ]);
    spec.dockerfile = "docker/Dockerfile".into();
    assert_eq!(sent(&spec), [".dockerignore", "a", "docker/", "docker/Dockerfile"]);
}

#[test]
fn a_dockerfile_from_elsewhere_is_sent_under_a_reserved_name_and_hidden_from_the_build() {
    let (_root, mut spec) = folder(&[("a", "")]);
    let (other, _) = folder(&[("Dockerfile", "FROM scratch")]);
    spec.dockerfile = other.path().join("Dockerfile");
    let context = Context::read(&spec).unwrap();
    assert_eq!(context.dockerfile, ".envctl.dockerfile");
    assert_eq!(sent(&spec), ["a", ".dockerignore", ".envctl.dockerfile"]);
    assert_eq!(context.added[0].1, b".dockerignore\n.envctl.dockerfile\n");
    spec.dockerfile_inline = Some("FROM a".into());
    assert_eq!(Context::read(&spec).unwrap().added[1].1, b"FROM a");
}

#[test]
fn a_dockerfile_is_found_by_any_spelling() {
    let (root, mut spec) = folder(&[("d/Dockerfile", "FROM scratch"), ("e/x", "")]);
    for spelling in
        ["d/Dockerfile".into(), "./e/../d/Dockerfile".into(), root.path().join("d/Dockerfile")]
    {
        spec.dockerfile = spelling;
        assert_eq!(Context::read(&spec).unwrap().dockerfile, "d/Dockerfile");
    }
    spec.context = root.path().join("e");
    spec.dockerfile = "../d/Dockerfile".into();
    assert_eq!(Context::read(&spec).unwrap().dockerfile, ".envctl.dockerfile");
}

#[test]
fn what_cannot_be_read_is_named() {
    let (root, mut spec) = folder(&[("a", "")]);
    let error = Context::read(&spec).unwrap_err().to_string();
    assert!(error.contains("Dockerfile") && error.contains("No such file"), "{error}");
    fs::write(root.path().join("Dockerfile"), "").unwrap();
    fs::write(root.path().join(".dockerignore"), "[").unwrap();
    let error = Context::read(&spec).unwrap_err().to_string();
    assert!(error.contains(".dockerignore") && error.contains("no pattern"), "{error}");
    spec.context = PathBuf::from("/nowhere");
    assert!(Context::read(&spec).unwrap_err().to_string().contains("/nowhere"));
}

#[test]
fn the_hash_changes_with_what_the_image_depends_on_and_with_nothing_else() {
    let (root, mut spec) =
        folder(&[("Dockerfile", "FROM a"), ("a", "1"), ("log", "1"), (".dockerignore", "log")]);
    let first = context_hash(&spec).unwrap();
    assert_eq!(first.len(), 16);
    let mut seen = vec![first.clone()];
    let mut differs = |spec: &BuildSpec, why: &str| {
        let hash = context_hash(spec).unwrap();
        assert!(!seen.contains(&hash), "{why}");
        seen.push(hash);
    };
    fs::write(root.path().join("a"), "2").unwrap();
    differs(&spec, "content");
    chmod(&root.path().join("a"), 0o755);
    differs(&spec, "mode");
    fs::rename(root.path().join("a"), root.path().join("b")).unwrap();
    differs(&spec, "name");
    fs::create_dir(root.path().join("c")).unwrap();
    differs(&spec, "folder");
    spec.args.insert("A".into(), "1".into());
    differs(&spec, "argument");
    spec.target = Some("x".into());
    differs(&spec, "target");
    spec.dockerfile_inline = Some("FROM b".into());
    differs(&spec, "Dockerfile");

    let (other, spec) =
        folder(&[(".dockerignore", "log"), ("a", "1"), ("Dockerfile", "FROM a"), ("log", "2")]);
    assert_eq!(context_hash(&spec).unwrap(), first, "ignored content and place on disk");
    fs::File::options()
        .write(true)
        .open(other.path().join("a"))
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(context_hash(&spec).unwrap(), first, "time");
    let tagged = BuildSpec { tag: "t".into(), no_cache: true, pull: true, ..spec };
    assert_eq!(context_hash(&tagged).unwrap(), first, "name and manner");
}

#[test]
fn modes_and_long_names_are_kept_in_the_tar() {
    let long = format!("{}/file", "folder-with-a-name-of-some-length/".repeat(6));
    let (root, spec) = folder(&[("Dockerfile", ""), (&long, "x")]);
    chmod(&root.path().join("Dockerfile"), 0o751);
    let context = Context::read(&spec).unwrap();
    let tar = bytes(&context);
    let mut archive = tar::Archive::new(tar.as_slice());
    let seen: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.path().unwrap().into_owned(),
                entry.header().mode().unwrap(),
                entry.header().uid().unwrap(),
            )
        })
        .collect();
    assert_eq!(seen[0], (PathBuf::from("Dockerfile"), 0o751, 0));
    assert!(seen.iter().any(|(path, ..)| path.to_str().unwrap().ends_with("length/file")));
}
