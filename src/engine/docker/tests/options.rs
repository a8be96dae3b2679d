//! Every option of a service, read back from the engine.

use std::{collections::BTreeMap, time::Duration};

use super::{LIMIT, sandbox};
use crate::{
    engine::Engine as _,
    model::{
        Attachment, Device, Gpu, Healthcheck, Logging, Mount, NetworkSpec, Restart, State, Test,
        Ulimit, VolumeSpec,
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
        spec.annotations = BTreeMap::new();
        spec.dns_opt = vec!["ndots:1".into()];
        spec.device_cgroup_rules = vec!["c 1:3 r".into()];
        spec.devices = vec![Device {
            source: "/dev/null".into(),
            target: "/dev/other".into(),
            permissions: "r".into(),
        }];
        spec.ipc = Some("private".into());
        spec.cgroup = Some("private".into());
        spec.cgroup_parent = Some("/envctl-test".into());
        spec.runtime = Some("runc".into());
        spec.tty = true;
        spec.stdin_open = true;
        spec.stop_signal = Some("SIGINT".into());
        spec.resources.memory_reservation = Some(32 << 20);
        spec.resources.memory_swap = Some(128 << 20);
        spec.resources.memory_swappiness = Some(10);
        spec.resources.oom_kill_disable = Some(true);
        spec.resources.oom_score_adj = Some(100);
        spec.resources.cpu_shares = Some(512);
        spec.resources.cpuset = Some("0".into());
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
                recursive: None,
            },
            Mount::Bind {
                source: folder.path().join("made"),
                target: "/made".into(),
                read_only: false,
                propagation: None,
                create: true,
                selinux: None,
                recursive: None,
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
            (&config["StopSignal"], "SIGINT".into()),
            (&config["Tty"], true.into()),
            (&config["OpenStdin"], true.into()),
            (&host["Annotations"], serde_json::Value::Null),
            (&host["DnsOptions"], serde_json::json!(["ndots:1"])),
            (&host["DnsSearch"], serde_json::json!(["example.org"])),
            (&host["DeviceCgroupRules"], serde_json::json!(["c 1:3 r"])),
            (&host["Devices"][0]["PathInContainer"], "/dev/other".into()),
            (&host["Devices"][0]["CgroupPermissions"], "r".into()),
            (&host["IpcMode"], "private".into()),
            (&host["CgroupnsMode"], "private".into()),
            (&host["CgroupParent"], "/envctl-test".into()),
            (&host["Runtime"], "runc".into()),
            (&host["SecurityOpt"], serde_json::json!(["no-new-privileges:true"])),
            (&host["CapAdd"], serde_json::json!(["NET_BIND_SERVICE"])),
            (&host["MemoryReservation"], (32 << 20).into()),
            (&host["MemorySwap"], (128 << 20).into()),
            (&host["MemorySwappiness"], 10.into()),
            (&host["OomKillDisable"], true.into()),
            (&host["OomScoreAdj"], 100.into()),
            (&host["CpuShares"], 512.into()),
            (&host["CpusetCpus"], "0".into()),
            (&host["Tmpfs"]["/run"], "uid=1000,size=1048576".into()),
            (&host["LogConfig"]["Type"], "json-file".into()),
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
async fn real_engine_keeps_what_it_is_asked_for_before_a_start() {
    sandbox(async |s| {
        let mut source = s.spec("source", "idles");
        source.mounts = vec![Mount::Volume {
            source: None,
            target: "/t".into(),
            read_only: false,
            nocopy: false,
            subpath: None,
        }];
        s.docker.create(&source).await.unwrap();
        let mut spec = s.spec("kept", "idles");
        spec.volumes_from = vec![format!("{}:ro", source.name)];
        spec.privileged = true;
        spec.pid = Some("host".into());
        spec.uts = Some("host".into());
        spec.userns = Some("host".into());
        spec.isolation = Some("default".into());
        spec.resources.cpu_period = Some(20_000);
        spec.resources.cpu_quota = Some(10_000);
        spec.resources.blkio.weight = Some(300);
        spec.resources.blkio.weight_device = vec![("/dev/null".into(), 200)];
        spec.resources.blkio.read_bps = vec![("/dev/null".into(), 1 << 20)];
        spec.gpus =
            vec![Gpu { count: Some(-1), capabilities: vec!["gpu".into()], ..Gpu::default() }];
        spec.mounts = vec![Mount::Bind {
            source: "/".into(),
            target: "/host".into(),
            read_only: true,
            propagation: None,
            create: false,
            selinux: None,
            recursive: Some("disabled".into()),
        }];
        s.docker.create(&spec).await.unwrap();
        let raw = s.raw(&spec.name).await;
        let host = &raw["HostConfig"];
        for (found, expected) in [
            (&host["VolumesFrom"][0], spec.volumes_from[0].clone().into()),
            (&host["Privileged"], true.into()),
            (&host["PidMode"], "host".into()),
            (&host["UTSMode"], "host".into()),
            (&host["UsernsMode"], "host".into()),
            (&host["Isolation"], "default".into()),
            (&host["CpuPeriod"], 20_000.into()),
            (&host["CpuQuota"], 10_000.into()),
            (&host["DeviceRequests"][0]["Count"], (-1).into()),
            (&host["DeviceRequests"][0]["Capabilities"], serde_json::json!([["gpu"]])),
            (&host["Mounts"][0]["BindOptions"]["NonRecursive"], true.into()),
        ] {
            assert_eq!(*found, expected, "{host}");
        }
    })
    .await;
}

#[tokio::test]
async fn real_engine_answers_by_the_further_names_of_a_link() {
    sandbox(async |s| {
        let network =
            NetworkSpec { name: s.name("net"), labels: s.labels(), ..NetworkSpec::default() };
        s.docker.create_network(&network).await.unwrap();
        let on = |aliases: &[&str], links: &[&str]| Attachment {
            network: network.name.clone(),
            aliases: aliases.iter().map(|&name| name.to_owned()).collect(),
            links: links.iter().map(|&link| link.to_owned()).collect(),
            ..Attachment::default()
        };
        let mut db = s.spec("db", "idles");
        db.networks = vec![on(&["db"], &[])];
        s.docker.create(&db).await.unwrap();
        s.docker.start(&db.name).await.unwrap();
        for (name, links, code) in [("stranger", &[][..], 4), ("web", &["db:mysql"], 0)] {
            let mut web = s.spec(name, "looks_a_name_up");
            web.networks = vec![on(&[name], links)];
            s.docker.create(&web).await.unwrap();
            s.docker.start(&web.name).await.unwrap();
            assert_eq!(s.docker.wait(&web.name).await.unwrap(), code, "{name}");
        }
    })
    .await;
}
