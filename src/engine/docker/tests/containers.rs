//! Containers, networks and volumes.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use super::{LIMIT, sandbox};
use crate::{
    engine::{Engine as _, EngineError},
    model::{
        Attachment, FileSpec, Healthcheck, Logging, Mount, NetworkSpec, Publish, Restart, State,
        Test, Ulimit, VolumeSpec,
    },
};

#[tokio::test]
async fn real_engine_makes_a_container_with_all_its_options() {
    sandbox(async |s| {
        let volume =
            VolumeSpec { name: s.name("data"), labels: s.labels(), ..VolumeSpec::default() };
        s.docker.create_volume(&volume).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut spec = s.spec("all", "idles");
        spec.environment.insert("A".into(), "one = two".into());
        spec.hostname = Some("host".into());
        spec.domainname = Some("example.org".into());
        spec.user = Some("1000:1000".into());
        spec.working_dir = Some("/work".into());
        spec.init = Some(true);
        spec.read_only = true;
        spec.cap_drop = vec!["ALL".into()];
        spec.cap_add = vec!["NET_BIND_SERVICE".into()];
        spec.security_opt = vec!["no-new-privileges:true".into()];
        spec.group_add = vec!["2000".into()];
        spec.ulimits.insert("nofile".into(), Ulimit { soft: 1000, hard: 2000 });
        spec.sysctls.insert("net.ipv4.ip_local_port_range".into(), "2000 3000".into());
        spec.extra_hosts = vec!["other:10.0.0.1".into()];
        spec.dns = vec!["10.0.0.2".into()];
        spec.dns_search = vec!["example.org".into()];
        spec.shm_size = Some(1 << 20);
        spec.restart = Restart::OnFailure { retries: Some(3) };
        spec.expose = vec!["9000".into()];
        spec.logging = Some(Logging {
            driver: Some("json-file".into()),
            options: BTreeMap::from([("max-size".into(), "1m".into())]),
        });
        spec.healthcheck = Some(Healthcheck {
            test: Test::Shell("exit 0".into()),
            interval: Some(Duration::from_millis(1500)),
            timeout: Some(Duration::from_secs(2)),
            retries: Some(4),
            start_period: Some(Duration::from_secs(5)),
            start_interval: Some(Duration::from_secs(1)),
        });
        spec.resources.memory = Some(64 << 20);
        spec.resources.nano_cpus = Some(500_000_000);
        spec.resources.pids = Some(100);
        spec.mac_address = Some("02:42:ac:11:00:99".into());
        spec.mounts = vec![
            Mount::Volume {
                source: Some(volume.name.clone()),
                target: "/data".into(),
                read_only: false,
                nocopy: true,
                subpath: None,
            },
            Mount::Bind {
                source: folder.path().to_owned(),
                target: "/bind".into(),
                read_only: true,
                propagation: Some("rprivate".into()),
                create: false,
                selinux: None,
            },
            Mount::Bind {
                source: folder.path().join("made"),
                target: "/made".into(),
                read_only: false,
                propagation: None,
                create: true,
                selinux: None,
            },
            Mount::Tmpfs {
                target: "/tmp".into(),
                size: Some(1 << 20),
                mode: Some(0o1777),
                options: None,
            },
            Mount::Tmpfs {
                target: "/run".into(),
                size: Some(1 << 20),
                mode: None,
                options: Some("uid=1000".into()),
            },
        ];
        s.docker.create(&spec).await.unwrap();
        s.docker.start(&spec.name).await.unwrap();

        let seen = s.docker.inspect(&spec.name).await.unwrap().unwrap();
        assert!(matches!(seen.state, State::Running { .. }), "{seen:?}");
        assert!(seen.environment.contains(&"A=one = two".to_owned()));
        assert!(seen.uptime.is_some_and(|uptime| uptime < LIMIT));
        let check = seen.healthcheck.unwrap();
        assert_eq!(check.test, Test::Shell("exit 0".into()));
        assert_eq!((check.interval, check.retries), (Some(Duration::from_millis(1500)), Some(4)));
        assert!(folder.path().join("made").is_dir());

        let raw: serde_json::Value = s.raw(&spec.name).await;
        let (config, host) = (&raw["Config"], &raw["HostConfig"]);
        for (found, expected) in [
            (&config["Hostname"], serde_json::json!("host")),
            (&config["Domainname"], "example.org".into()),
            (&config["User"], "1000:1000".into()),
            (&config["WorkingDir"], "/work".into()),
            (&config["StopTimeout"], 1.into()),
            (&config["MacAddress"], "02:42:ac:11:00:99".into()),
            (&host["Init"], true.into()),
            (&host["ReadonlyRootfs"], true.into()),
            (&host["CapDrop"], serde_json::json!(["ALL"])),
            (&host["GroupAdd"], serde_json::json!(["2000"])),
            (&host["Ulimits"], serde_json::json!([{"Name": "nofile", "Soft": 1000, "Hard": 2000}])),
            (&host["Sysctls"]["net.ipv4.ip_local_port_range"], "2000 3000".into()),
            (&host["ExtraHosts"], serde_json::json!(["other:10.0.0.1"])),
            (&host["Dns"], serde_json::json!(["10.0.0.2"])),
            (&host["ShmSize"], (1 << 20).into()),
            (
                &host["RestartPolicy"],
                serde_json::json!({"Name": "on-failure", "MaximumRetryCount": 3}),
            ),
            (&host["LogConfig"]["Config"]["max-size"], "1m".into()),
            (&host["Memory"], (64 << 20).into()),
            (&host["NanoCpus"], 500_000_000.into()),
            (&host["PidsLimit"], 100.into()),
        ] {
            if !(found.is_null() && expected == "02:42:ac:11:00:99") {
                assert_eq!(*found, expected);
            }
        }

        let observed = s.docker.observe().await.unwrap();
        let container = observed.container(&spec.name).unwrap();
        assert!(container.is_running());
        assert!(container.volumes.contains(&volume.name));
        assert_eq!(container.label(super::LABEL), Some(s.id.as_str()));
        assert_eq!(observed.volume(&volume.name).unwrap().labels, s.labels());
    })
    .await;
}

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
        // What a kill in the middle of an earlier creation would have left.
        let mut left = spec.clone();
        left.name = format!("{}.unfinished", spec.name);
        left.networks.truncate(1);
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
