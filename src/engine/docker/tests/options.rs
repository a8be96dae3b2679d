//! Every option of a service, read back from the engine.

use std::{collections::BTreeMap, time::Duration};

use super::{LIMIT, sandbox};
use crate::{
    engine::Engine as _,
    model::{Healthcheck, Logging, Mount, Restart, State, Test, Ulimit, VolumeSpec},
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
