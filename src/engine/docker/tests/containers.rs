//! Containers, networks and volumes.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use super::{LIMIT, sandbox};
use crate::{
    engine::{Engine as _, EngineError},
    model::{Attachment, FileSpec, Mount, NetworkSpec, Publish, State, VolumeSpec},
};

#[tokio::test]
async fn real_engine_joins_every_network_before_a_container_has_its_name() {
    sandbox(async |s| {
        let network = |name: &str| NetworkSpec {
            name: s.name(name),
            labels: s.labels(),
            ..NetworkSpec::default()
        };
        let (one, two) = (network("one"), network("two"));
        s.docker.create_network(&one).await.unwrap();
        s.docker.create_network(&two).await.unwrap();
        let again = s.docker.create_network(&one).await.unwrap_err();
        assert!(matches!(again, EngineError::NameTaken { kind: "network", .. }), "{again:?}");

        let mut spec = s.spec("both", "idles");
        let attach = |network: &NetworkSpec, alias: &str| Attachment {
            network: network.name.clone(),
            aliases: vec![alias.to_owned()],
            ..Attachment::default()
        };
        spec.networks = vec![attach(&one, "green-api"), attach(&two, "db")];
        spec.files =
            vec![FileSpec { path: "/a".into(), content: vec![], mode: 0o600, uid: 0, gid: 0 }];
        // What a kill in the middle of an earlier creation would have left.
        let mut left = spec.clone();
        left.name = format!("{}.unfinished", spec.name);
        left.networks.truncate(1);
        left.files.clear();
        s.docker.create(&left).await.unwrap();

        s.docker.create(&spec).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();
        let observed = s.docker.observe().await.unwrap();
        assert_eq!(
            observed.container(&spec.name).unwrap().networks,
            [one.name.clone(), two.name.clone()]
        );
        assert!(observed.container(&left.name).is_none());
        assert_eq!(s.docker.inspect(&spec.name).await.unwrap().unwrap().addresses.len(), 2);
        let raw = s.raw(&spec.name).await;
        for (network, alias) in [(&one, "green-api"), (&two, "db")] {
            let aliases = &raw["NetworkSettings"]["Networks"][&network.name]["Aliases"];
            assert!(aliases.as_array().unwrap().contains(&alias.into()), "{aliases}");
        }
        s.docker.connect(&spec.name, &attach(&one, "green-api")).await.unwrap();

        let used = s.docker.remove_network(&one.name).await.unwrap_err();
        assert!(used.to_string().contains("active endpoints"), "{used}");
        s.docker.remove(&spec.name).await.unwrap();
        s.docker.remove_network(&one.name).await.unwrap();
        s.docker.remove_network(&one.name).await.unwrap();

        // All or nothing: a file that cannot be laid in leaves no container.
        spec.networks = vec![attach(&two, "a")];
        let path = "/program/is/no/folder".to_owned();
        spec.files = vec![FileSpec { path, content: vec![], mode: 0o600, uid: 0, gid: 0 }];
        s.docker.create(&spec).await.unwrap_err();
        let observed = s.docker.observe().await.unwrap();
        assert!(!observed.containers.iter().any(|it| it.name.starts_with(&spec.name)));
    })
    .await;
}

#[tokio::test]
async fn real_engine_refuses_a_taken_name_with_files_and_without() {
    sandbox(async |s| {
        let mut spec = s.spec("taken", "idles");
        s.docker.create(&spec).await.unwrap();
        for files in [
            vec![],
            vec![FileSpec { path: "/a".into(), content: vec![], mode: 0o600, uid: 0, gid: 0 }],
        ] {
            spec.files = files;
            match s.docker.create(&spec).await.unwrap_err() {
                EngineError::NameTaken { kind: "container", name } => assert_eq!(name, spec.name),
                other => panic!("{other:?}"),
            }
        }
        let observed = s.docker.observe().await.unwrap();
        assert_eq!(
            observed.containers.iter().filter(|it| it.name.starts_with(&spec.name)).count(),
            1
        );
        let volume = VolumeSpec { name: s.name("v"), labels: s.labels(), ..VolumeSpec::default() };
        s.docker.create_volume(&volume).await.unwrap();
        let again = s.docker.create_volume(&volume).await.unwrap_err();
        assert!(matches!(again, EngineError::NameTaken { kind: "volume", .. }), "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_names_the_port_that_is_taken() {
    sandbox(async |s| {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let mut spec = s.spec("port", "idles");
        let publish = |host_port| Publish {
            host_ip: "127.0.0.1".into(), host_port, container_port: 80, protocol: "tcp".into(),
        };
        spec.ports = vec![publish(Some(port))];
        s.docker.create(&spec).await.unwrap();
        match s.docker.start(&spec.name).await.unwrap_err() {
            EngineError::PortTaken { container, address, port: taken, holder: None } => {
                assert_eq!((container, address.as_str(), taken), (spec.name.clone(), "127.0.0.1", port));
            }
            other => panic!("{other:?}"),
        }
        s.docker.remove(&spec.name).await.unwrap();

        // By another container, which got any free port.
        spec.ports = vec![publish(None)];
        s.docker.create(&spec).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();
        let bound = s.docker.inspect(&spec.name).await.unwrap().unwrap().ports;
        assert_eq!((bound.len(), bound[0].container_port), (1, 80));
        assert_eq!(s.docker.observe().await.unwrap().container(&spec.name).unwrap().ports, bound);
        let mut other = s.spec("port-2", "idles");
        other.ports.clone_from(&bound);
        s.docker.create(&other).await.unwrap();
        let error = s.docker.start(&other.name).await.unwrap_err();
        assert!(matches!(error, EngineError::PortTaken { port, .. } if Some(port) == bound[0].host_port), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn real_engine_names_what_is_missing() {
    sandbox(async |s| {
        let mut spec = s.spec("missing", "idles");
        spec.mounts = vec![Mount::Bind {
            source: "/nowhere/at/all".into(),
            target: "/a".into(),
            read_only: false,
            propagation: None,
            create: false,
            selinux: None,
            recursive: None,
        }];
        let error = s.docker.create(&spec).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::NoBindSource { path, .. } if path == "/nowhere/at/all"),
            "{error:?}"
        );
        spec.mounts.clear();
        spec.image = s.name("no-image");
        let error = s.docker.create(&spec).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::NoImage { reference } if *reference == spec.image),
            "{error:?}"
        );

        let name = s.name("nobody");
        let error = s.docker.start(&name).await.unwrap_err();
        assert!(matches!(error, EngineError::NoContainer { .. }), "{error:?}");
        let error = s.docker.wait(&name).await.unwrap_err();
        assert!(matches!(error, EngineError::NoContainer { .. }), "{error:?}");
        assert!(s.docker.inspect(&name).await.unwrap().is_none());
        s.docker.stop(&name, None).await.unwrap();
        s.docker.remove(&name).await.unwrap();
        s.docker.remove_network(&name).await.unwrap();
        s.docker.remove_volume(&name).await.unwrap();
        s.docker.remove_image(&name).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn real_engine_tells_how_a_container_ended() {
    sandbox(async |s| {
        let first = s.run("seven", "ends_with_seven").await;
        assert_eq!(tokio::time::timeout(LIMIT, s.docker.wait(&first)).await.unwrap().unwrap(), 7);
        let seen = s.docker.inspect(&first).await.unwrap().unwrap();
        assert_eq!((seen.exit_code, seen.oom_killed, seen.uptime), (Some(7), false, None));
        assert_eq!(
            s.docker.observe().await.unwrap().container(&first).unwrap().state,
            State::Exited { code: 7 }
        );

        let mut eater = s.spec("eater", "eats_memory");
        eater.resources.memory = Some(32 << 20);
        eater.resources.memory_swap = Some(32 << 20);
        s.docker.create(&eater).await.unwrap();
        assert_eq!(s.docker.inspect(&eater.name).await.unwrap().unwrap().exit_code, None);
        s.docker.start(&eater.name).await.unwrap();
        assert_eq!(
            tokio::time::timeout(LIMIT, s.docker.wait(&eater.name)).await.unwrap().unwrap(),
            137
        );
        assert!(s.docker.inspect(&eater.name).await.unwrap().unwrap().oom_killed);

        let mut broken = s.spec("none", "idles");
        broken.command = Some(vec!["/no-such-program".into()]);
        s.docker.create(&broken).await.unwrap();
        let error = s.docker.start(&broken.name).await.unwrap_err().to_string();
        assert!(error.contains("/no-such-program"), "{error}");
        let seen = s.docker.inspect(&broken.name).await.unwrap().unwrap();
        assert_eq!(seen.exit_code, Some(127));
        assert!(seen.error.unwrap().contains("/no-such-program"));
    })
    .await;
}

#[tokio::test]
async fn real_engine_stops_and_starts_and_keeps_volumes_over_a_removal() {
    sandbox(async |s| {
        let volume =
            VolumeSpec { name: s.name("kept"), labels: s.labels(), ..VolumeSpec::default() };
        s.docker.create_volume(&volume).await.unwrap();
        let mut spec = s.spec("keeper", "idles");
        let mount = |source: Option<&String>, target: &str| Mount::Volume {
            source: source.cloned(),
            target: target.into(),
            read_only: false,
            nocopy: false,
            subpath: None,
        };
        spec.mounts = vec![mount(Some(&volume.name), "/data"), mount(None, "/cache")];
        s.docker.create(&spec).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();
        let file = FileSpec {
            path: "/data/a".into(),
            content: b"kept".into(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        s.docker.write_files(&spec.name, &[file]).await.unwrap();
        let seen = s.docker.observe().await.unwrap();
        let anonymous = seen
            .container(&spec.name)
            .unwrap()
            .volumes
            .iter()
            .find(|it| **it != volume.name)
            .unwrap()
            .clone();

        s.docker.stop(&spec.name, Some(Duration::ZERO)).await.unwrap();
        s.docker.stop(&spec.name, None).await.unwrap();
        assert_eq!(
            s.docker.observe().await.unwrap().container(&spec.name).unwrap().state,
            State::Exited { code: 137 }
        );
        s.docker.remove(&spec.name).await.unwrap();
        let seen = s.docker.observe().await.unwrap();
        assert!(seen.volume(&anonymous).is_none() && seen.container(&spec.name).is_none());
        s.docker.create(&spec).await.unwrap();
        assert_eq!(
            s.docker.read_file(&spec.name, "/data/a").await.unwrap().as_deref(),
            Some(b"kept".as_slice())
        );
    })
    .await;
}

#[tokio::test]
async fn real_engine_keeps_nothing_of_a_creation_that_is_dropped() {
    sandbox(async |s| {
        let mut spec = s.spec("dropped", "idles");
        let path = "/run/secrets/key".to_owned();
        spec.files = vec![FileSpec { path, content: b"x".to_vec(), mode: 0o600, uid: 0, gid: 0 }];
        let names = async || {
            let seen = s.docker.observe().await.unwrap().containers.into_iter();
            let names = seen.map(|it| it.name).filter(|name| name.starts_with(&spec.name));
            names.collect::<Vec<_>>()
        };
        let until = async |wanted: &dyn Fn(&[String]) -> bool| {
            let start = Instant::now();
            while !wanted(&names().await) {
                assert!(start.elapsed() < LIMIT, "{:?}", names().await);
                tokio::task::yield_now().await;
            }
        };
        for _ in 0..5 {
            tokio::select! {
                made = s.docker.create(&spec) => made.unwrap(),
                () = until(&|names| !names.is_empty()) => {}
            }
            // Whole if it was dropped at the very end.
            until(&|names| names.iter().all(|name| *name == spec.name)).await;
            s.docker.remove(&spec.name).await.unwrap();
        }
        s.docker.create(&spec).await.unwrap();
        assert_eq!(names().await, [spec.name.clone()]);
    })
    .await;
}

#[tokio::test]
async fn real_engine_measures_what_runs_and_leaves_out_the_rest() {
    sandbox(async |s| {
        let docker = &s.docker;
        let (idle, made) = (s.name("idle"), s.name("made"));
        let mut spec = s.spec("idle", "idles");
        spec.resources.memory = Some(64 << 20);
        docker.create(&spec).await.unwrap();
        docker.start(&idle).await.unwrap();
        docker.create(&s.spec("made", "idles")).await.unwrap();
        let id = |name: String| async move { docker.inspect(&name).await.unwrap().unwrap().id };
        let (idle, made) = (id(idle).await, id(made).await);
        let usage = docker.usage(&[&idle, &made, "no-such-container"]).await.unwrap();
        let found = usage[&idle];
        assert!(found.cpu >= 0.0 && found.memory > 0, "{found:?}");
        assert_eq!(found.memory_limit, Some(64 << 20));
        assert_eq!(usage.len(), 1, "{usage:?}");
    })
    .await;
}
