//! Files laid into containers and read out of them.

use super::sandbox;
use crate::{
    engine::{Engine as _, EngineError},
    model::{FileSpec, Mount, VolumeSpec},
};

fn file(path: &str, text: &str) -> FileSpec {
    FileSpec { path: path.into(), content: text.into(), mode: 0o440, uid: 1234, gid: 5678 }
}

#[tokio::test]
async fn real_engine_lays_files_in_with_owner_and_mode() {
    sandbox(async |s| {
        let mut spec = s.spec("files", "idles");
        spec.files = vec![
            file("/run/secrets/key", "secret"),
            file("/etc/app/deep/a.conf", "a"),
            file("/top", "t"),
        ];
        s.docker.create(&spec).await.unwrap();
        let read = async |path: &str| s.docker.read_file(&spec.name, path).await.unwrap();
        assert_eq!(read("/run/secrets/key").await.as_deref(), Some(b"secret".as_slice()));
        assert_eq!(read("/top").await.as_deref(), Some(b"t".as_slice()));
        assert_eq!(read("/nothing").await, None);
        assert_eq!(read("/nothing/at/all").await, None);
        let headers = s.headers(&spec.name, "/run").await;
        assert_eq!(
            headers,
            [
                ("run/".to_owned(), 0o755, 0, 0),
                ("run/secrets/".to_owned(), 0o755, 0, 0),
                ("run/secrets/key".to_owned(), 0o440, 1234, 5678),
            ]
        );
        assert_eq!(
            s.docker.read_folder(&spec.name, "/run/secrets").await.unwrap().unwrap(),
            [("key".to_owned(), b"secret".to_vec())]
        );
        assert_eq!(s.docker.read_folder(&spec.name, "/run").await.unwrap().unwrap(), []);
        assert_eq!(s.docker.read_folder(&spec.name, "/nothing").await.unwrap(), None);

        // A folder that is there keeps its mode.
        s.docker.write_files(&spec.name, &[file("/run/secrets/key", "new")]).await.unwrap();
        assert_eq!(read("/run/secrets/key").await.as_deref(), Some(b"new".as_slice()));
        let name = s.name("nobody");
        for error in [
            s.docker.write_files(&name, &[file("/a", "")]).await.unwrap_err(),
            s.docker.read_file(&name, "/a").await.unwrap_err(),
        ] {
            assert!(matches!(error, EngineError::NoContainer { .. }), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_lays_files_into_read_only_containers_and_below_a_tmpfs() {
    sandbox(async |s| {
        let volume =
            VolumeSpec { name: s.name("state"), labels: s.labels(), ..VolumeSpec::default() };
        s.docker.create_volume(&volume).await.unwrap();
        let mut spec = s.spec("readonly", "idles");
        spec.read_only = true;
        spec.mounts = vec![
            Mount::Volume {
                source: Some(volume.name),
                target: "/state".into(),
                read_only: false,
                nocopy: false,
                subpath: None,
            },
            Mount::Tmpfs { target: "/run".into(), size: None, mode: None, options: None },
        ];
        spec.files = vec![
            file("/run/secrets/key", "secret"),
            file("/state/deep/a", "a"),
            file("/opt/app/b", "b"),
        ];
        s.docker.create(&spec).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();
        for (path, text) in
            [("/run/secrets/key", "secret"), ("/state/deep/a", "a"), ("/opt/app/b", "b")]
        {
            let content = s.docker.read_file(&spec.name, path).await.unwrap();
            assert_eq!(content.as_deref(), Some(text.as_bytes()), "{path}");
        }
        s.docker.write_files(&spec.name, &[file("/state/other/c", "c")]).await.unwrap();
        assert!(s.docker.read_file(&spec.name, "/state/other/c").await.unwrap().is_some());
        let error = s.docker.write_files(&spec.name, &[file("/etc/x", "")]).await.unwrap_err();
        assert!(error.to_string().contains("read-only"), "{error}");
    })
    .await;
}
