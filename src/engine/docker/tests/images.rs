//! Builds and images.

use std::{
    os::unix::fs::symlink,
    process::Command,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use super::{LIMIT, program, sandbox};
use crate::{
    engine::{Engine as _, EngineError, Step},
    model::BuildSecret,
};

#[tokio::test]
async fn real_engine_builds_what_the_ignore_file_leaves() {
    sandbox(async |s| {
        let dockerfile = "ARG BASE\nFROM $BASE AS first\nCOPY . /context/\nFROM first AS second\n";
        let (folder, mut spec) = s.context(&[
            (".dockerignore", "**/*.log\n!keep.log\nDockerfile\nnode_modules\n"),
            ("Dockerfile", dockerfile),
            ("a/b.php", "b"),
            ("a/b.log", "l"),
            ("keep.log", "k"),
            ("node_modules/x/y", "y"),
        ]);
        symlink("b.php", folder.path().join("a/link")).unwrap();
        spec.args.insert("BASE".into(), s.image.clone());
        spec.target = Some("first".into());
        spec.tags = vec![format!("{}:2", s.name("image"))];
        let lines = Mutex::new(vec![]);
        let image = s.docker.build(&spec, &|step| lines.lock().unwrap().push(step)).await.unwrap();
        assert!(
            lines
                .lock()
                .unwrap()
                .iter()
                .any(|step| matches!(step, Step::Instruction { text, .. } if text.contains("COPY . /context/")))
        );
        assert_eq!(image.labels[super::LABEL], s.id);
        assert_eq!(image.tags, [spec.tag.clone(), spec.tags[0].clone()]);
        assert_eq!(s.docker.image(&spec.tags[0]).await.unwrap().unwrap().id, image.id);

        let mut list = s.spec("list", "lists_the_root");
        list.image.clone_from(&spec.tag);
        s.docker.create(&list).await.unwrap();
        s.docker.start(&list.name).await.unwrap();
        assert_eq!(s.docker.wait(&list.name).await.unwrap(), 0);
        let mut files: Vec<_> = s
            .log(&list.name)
            .await
            .lines()
            .filter_map(|line| line.strip_prefix("file /context/").map(str::to_owned))
            .collect();
        files.sort();
        assert_eq!(files, [".dockerignore", "a", "a/b.php", "a/link", "keep.log"]);

        // The same content at another time is the same image.
        let touched =
            std::fs::File::options().append(true).open(folder.path().join("a/b.php")).unwrap();
        touched.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
        assert_eq!(s.docker.build(&spec, &|_| {}).await.unwrap().id, image.id);
    })
    .await;
}

#[tokio::test]
async fn real_engine_says_how_a_build_failed_and_leaves_nothing() {
    sandbox(async |s| {
        let run = serde_json::to_string(&program::command("fails_loudly")).unwrap();
        let dockerfile = format!("FROM {}\nLABEL {}={}\nRUN {run}\n", s.image, super::LABEL, s.id);
        let (_folder, spec) = s.context(&[("Dockerfile", &dockerfile)]);
        let classic = s.docker.clone().with_classic_builder();
        for (docker, instruction, code) in [
            (&s.docker, "[2/2] RUN [", "exit code: 3"),
            (&classic, " : RUN [", "returned a non-zero code: 3"),
        ] {
            match docker.build(&spec, &|_| {}).await.unwrap_err() {
                EngineError::Build { tag, reason, lines } => {
                    assert_eq!(tag, spec.tag);
                    assert!(reason.contains(code), "{reason}");
                    assert!(lines[0].contains(instruction), "{lines:?}");
                    assert_eq!(lines[1], "line 11");
                    assert_eq!(lines.last().unwrap(), "line 30");
                    assert_eq!(lines.len(), 21);
                }
                other => panic!("{other:?}"),
            }
        }
        let seen = s.docker.observe().await.unwrap();
        assert!(!seen.containers.iter().any(|it| it.label(super::LABEL) == Some(&s.id)));

        let (_folder, spec) = s.context(&[("Dockerfile", "FROM scratch\nNONSENSE\n")]);
        for docker in [&s.docker, &classic] {
            let error = docker.build(&spec, &|_| {}).await.unwrap_err().to_string();
            assert!(error.to_uppercase().contains("NONSENSE"), "{error}");
        }

        let (_folder, mut spec) = s.context(&[("Dockerfile", "FROM scratch\n")]);
        spec.secrets.insert("a".into(), BuildSecret::Value(vec![]));
        let error = classic.build(&spec, &|_| {}).await.unwrap_err();
        assert!(matches!(error, EngineError::Unsupported { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_ends_a_classic_build_that_is_dropped() {
    sandbox(async |s| {
        let run = serde_json::to_string(&program::command("idles")).unwrap();
        let dockerfile = format!("FROM {}\nLABEL {}={}\nRUN {run}\n", s.image, super::LABEL, s.id);
        let (_folder, spec) = s.context(&[("Dockerfile", &dockerfile)]);
        let ready = tokio::sync::Notify::new();
        let note = |step| {
            if step == Step::Line("ready".into()) {
                ready.notify_one();
            }
        };
        let classic = s.docker.clone().with_classic_builder();
        tokio::select! {
            built = classic.build(&spec, &note) => panic!("{built:?}"),
            () = ready.notified() => {}
        }
        let start = Instant::now();
        let mine = async || {
            let seen = s.docker.observe().await.unwrap();
            seen.containers.iter().any(|it| it.label(super::LABEL) == Some(&s.id))
        };
        while mine().await {
            assert!(start.elapsed() < LIMIT, "the build goes on");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_takes_the_layers_that_dockers_own_client_built() {
    sandbox(async |s| {
        let dockerfile = format!("FROM {}\nCOPY app /app\nCMD [\"/app\"]\n", s.image);
        let (folder, spec) = s.context(&[("Dockerfile", &dockerfile), ("app/deep/file", "x")]);
        let label = format!("--label={}={}", super::LABEL, s.id);
        let theirs = Command::new("docker")
            .args(["build", "--quiet", &label])
            .arg(folder.path())
            .env("DOCKER_BUILDKIT", "0")
            .output();
        assert!(theirs.unwrap().status.success());
        let lines = Mutex::new(vec![]);
        let note = |step| lines.lock().unwrap().push(step);
        s.docker.clone().with_classic_builder().build(&spec, &note).await.unwrap();
        let lines = lines.into_inner().unwrap();
        let reused = lines.iter().filter(|step| **step == Step::Line(" ---> Using cache".into()));
        assert!(reused.count() >= 2, "{lines:#?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_tags_lists_and_removes_images() {
    sandbox(async |s| {
        let (_folder, spec) = s.context(&[("Dockerfile", "FROM scratch\nCOPY . /\n")]);
        let image = s.docker.build(&spec, &|_| {}).await.unwrap();
        let other = format!("{}:other", s.name("image"));
        s.docker.tag(&image.id, &other).await.unwrap();
        let listed = s.docker.images(super::LABEL, Some(&s.id)).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].id, listed[0].tags.len()), (&image.id, 2));
        s.docker.remove_image(&spec.tag).await.unwrap();
        assert!(s.docker.image(&spec.tag).await.unwrap().is_none());
        assert!(s.docker.image(&other).await.unwrap().is_some());

        // One in use stays.
        let mut user = s.spec("user", "idles");
        user.image.clone_from(&other);
        s.docker.create(&user).await.unwrap();
        s.docker.remove_image(&other).await.unwrap();
        assert!(s.docker.image(&image.id).await.unwrap().is_some());
        let error = s.docker.tag("no-such-image", &other).await.unwrap_err();
        assert!(matches!(error, EngineError::NoImage { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_says_why_a_pull_failed() {
    sandbox(async |s| {
        // Nobody listens on a port that was just given back.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let reference = format!("127.0.0.1:{port}/nothing:1");
        match tokio::time::timeout(LIMIT, s.docker.pull(&reference, None, &|_| {}))
            .await
            .unwrap()
            .unwrap_err()
        {
            EngineError::Pull { reference: named, reason } => {
                assert_eq!(named, reference);
                assert!(reason.contains("refuses the connection"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
}
