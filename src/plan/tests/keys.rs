//! Every key that a service can have: done, without effect or refused, as docs/compose.md says.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize as _, Deserializer, de};

use super::stage::Stage;
use crate::{compose, model::Color};

/// A key as a file could have it, and what has to be beside the services for it.
#[rustfmt::skip]
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("annotations", "{ a: b }", ""),
    ("attach", "false", ""),
    ("blkio_config", "{ weight: 300 }", ""),
    ("build", "{ context: . }", ""),
    ("cap_add", "[NET_ADMIN]", ""),
    ("cap_drop", "[ALL]", ""),
    ("cgroup", "host", ""),
    ("cgroup_parent", "m-parent", ""),
    ("command", "[serve]", ""),
    ("configs", "[one]", "configs: { one: { content: text } }"),
    ("container_name", "called", ""),
    ("cpu_count", "2", ""),
    ("cpu_percent", "50", ""),
    ("cpu_period", "20000", ""),
    ("cpu_quota", "10000", ""),
    ("cpu_rt_period", "1400000", ""),
    ("cpu_rt_runtime", "400000", ""),
    ("cpu_shares", "512", ""),
    ("cpus", "0.5", ""),
    ("cpuset", "\"0\"", ""),
    ("credential_spec", "{ file: a.json }", ""),
    ("depends_on", "[other]", ""),
    ("deploy", "{ replicas: 2 }", ""),
    ("develop", "{ watch: [] }", ""),
    ("device_cgroup_rules", "[\"c 1:3 r\"]", ""),
    ("devices", "[/dev/null:/dev/other]", ""),
    ("dns", "[10.0.0.1]", ""),
    ("dns_opt", "[\"ndots:1\"]", ""),
    ("dns_search", "[example.org]", ""),
    ("domainname", "example.org", ""),
    ("entrypoint", "[/run]", ""),
    ("env_file", "web.env", ""),
    ("environment", "{ B: c }", ""),
    ("expose", "[\"9000-9001\"]", ""),
    ("extends", "{ file: base.yaml, service: base }", ""),
    ("external_links", "[\"legacy:old\"]", ""),
    ("extra_hosts", "{ a: 10.0.0.1 }", ""),
    ("gpus", "all", ""),
    ("group_add", "[mail]", ""),
    ("healthcheck", "{ test: \"true\" }", ""),
    ("hostname", "host", ""),
    ("image", "nginx:2", ""),
    ("init", "true", ""),
    ("ipc", "\"service:other\"", ""),
    ("isolation", "hyperv", ""),
    ("label_file", "web.env", ""),
    ("labels", "{ a: b }", ""),
    ("links", "[\"other:alias\"]", ""),
    ("logging", "{ driver: local }", ""),
    ("mac_address", "\"02:42:ac:11:00:99\"", ""),
    ("mem_limit", "64m", ""),
    ("mem_reservation", "32m", ""),
    ("mem_swappiness", "10", ""),
    ("memswap_limit", "128m", ""),
    ("models", "[llm]", "models: { llm: { model: ai/m } }"),
    ("network_mode", "none", ""),
    ("networks", "{ default: { aliases: [a] } }", ""),
    ("oom_kill_disable", "true", ""),
    ("oom_score_adj", "-500", ""),
    ("pid", "\"service:other\"", ""),
    ("pids_limit", "50", ""),
    ("platform", "linux/amd64", ""),
    ("ports", "[\"8080:80\"]", ""),
    ("post_start", "[{ command: \"true\" }]", ""),
    ("pre_start", "[{ command: \"true\" }]", ""),
    ("pre_stop", "[{ command: \"true\" }]", ""),
    ("privileged", "true", ""),
    ("profiles", "[debug]", ""),
    ("provider", "{ type: a }", ""),
    ("pull_policy", "always", ""),
    ("pull_refresh_after", "1h", ""),
    ("read_only", "true", ""),
    ("restart", "always", ""),
    ("runtime", "runsc", ""),
    ("scale", "2", ""),
    ("secrets", "[{ source: one, uid: \"5\" }]", "secrets: { one: { file: ./web.env } }"),
    ("security_opt", "[\"no-new-privileges:true\"]", ""),
    ("shm_size", "64m", ""),
    ("stdin_open", "true", ""),
    ("stop_grace_period", "3s", ""),
    ("stop_signal", "SIGINT", ""),
    ("storage_opt", "{ size: 1G }", ""),
    ("sysctls", "{ net.core.somaxconn: 1024 }", ""),
    ("tmpfs", "[/tmp]", ""),
    ("tty", "true", ""),
    ("ulimits", "{ nofile: 1000 }", ""),
    ("use_api_socket", "true", ""),
    ("user", "nobody", ""),
    ("userns_mode", "host", ""),
    ("uts", "host", ""),
    ("volumes", "[{ type: bind, source: ., target: /a, bind: { recursive: disabled } }]", ""),
    ("volumes_from", "[\"other:ro\"]", ""),
    ("working_dir", "/work", ""),
];

/// What comes of a service with one more key: its stack and warnings, or what it is refused for.
fn outcome(key: &str, value: &str, beside: &str) -> Result<(String, Vec<String>), String> {
    let image = if key == "image" { "" } else { "    image: nginx\n" };
    let own = if key.is_empty() { String::new() } else { format!("    {key}: {value}\n") };
    let compose = format!("services:\n  web:\n{image}{own}  other: {{ image: other }}\n{beside}\n");
    let files = [
        ("compose.yaml", compose.as_str()),
        ("web.env", "A=b\n"),
        ("base.yaml", "services: { base: { image: nginx, user: nobody } }\n"),
    ];
    let stage = Stage::with("name: shop\napp: {}\n", &files);
    let app = stage.stack(Color::Blue, "r1").map_err(|problems| {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        shown.join("\n")
    })?;
    let warnings = app.warnings.clone();
    // Less the folder, which is another one each time.
    let stack =
        format!("{:#?}{:#?}{:#?}{:#?}", app.services, app.networks, app.volumes, app.routes);
    Ok((stack.replace(&stage.project.root.display().to_string(), "FOLDER"), warnings))
}

/// `done`, `no effect` or `refused`, by key.
fn documented() -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose.md");
    let text = fs::read_to_string(page).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        Some((cells.next()?.trim_end_matches('`').to_owned(), cells.next()?.to_owned()))
    });
    rows.collect()
}

/// The keys that the reader takes.
fn known() -> Vec<String> {
    struct Names<'a>(&'a mut Vec<String>);
    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = de::value::Error;

        fn deserialize_struct<V: de::Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields.iter().map(|&field| field.to_owned()));
            Err(de::Error::custom("only the names are of interest"))
        }

        fn deserialize_any<V: de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            unreachable!("a service is a mapping")
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut names = vec!["extends".to_owned()];
    assert!(compose::Service::deserialize(Names(&mut names)).is_err());
    names.extend(compose::SERVICE_KEYS.iter().map(|(key, _)| (*key).to_owned()));
    names.sort();
    names
}

#[test]
fn every_key_of_a_service_is_documented_and_has_an_example() {
    let documented: Vec<String> = documented().into_keys().collect();
    assert_eq!(documented, known());
    let examples: Vec<&str> = EXAMPLES.iter().map(|(key, ..)| *key).collect();
    assert_eq!(documented, examples);
}

#[test]
fn every_key_of_a_service_does_what_its_documentation_says() {
    let documented = documented();
    let (bare, _) = outcome("", "", "").unwrap();
    for (key, value, beside) in EXAMPLES {
        let outcome = outcome(key, value, beside);
        match (documented[*key].as_str(), outcome) {
            ("done", Ok((stack, _))) => assert_ne!(stack, bare, "`{key}` changes nothing"),
            ("no effect", Ok((stack, _))) => assert_eq!(stack, bare, "`{key}` has an effect"),
            ("refused", Err(reason)) => {
                let place = format!("compose.yaml:4:5 services.web.{key}: ");
                assert!(reason.contains(&place), "`{key}`: {reason}");
                assert!(reason.contains("not support"), "`{key}`: {reason}");
            }
            (said, found) => panic!("`{key}` is documented as {said}: {found:?}"),
        }
    }
}

#[test]
fn what_has_no_effect_is_told_with_its_place() {
    for (key, value, place) in [
        ("deploy", "{ update_config: { order: start-first } }", "deploy.update_config"),
        ("deploy", "{ rollback_config: { order: start-first } }", "deploy.rollback_config"),
        ("deploy", "{ placement: { constraints: [a] } }", "deploy.placement"),
        ("deploy", "{ endpoint_mode: dnsrr }", "deploy.endpoint_mode"),
        ("deploy", "{ labels: { a: b } }", "deploy.labels"),
        ("deploy", "{ restart_policy: { delay: 5s } }", "deploy.restart_policy.delay"),
        (
            "deploy",
            "{ resources: { reservations: { cpus: 1 } } }",
            "deploy.resources.reservations.cpus",
        ),
        (
            "volumes",
            "[{ type: volume, target: /a, volume: { labels: { a: b } } }]",
            "volumes[0].volume.labels",
        ),
    ] {
        let (_, warnings) = outcome(key, value, "").unwrap();
        assert!(
            warnings.iter().any(|text| text.contains("compose.yaml:4:")
                && text.contains(&format!("services.web.{place}: has no effect: "))),
            "{place}: {warnings:?}"
        );
    }
}

#[test]
fn what_only_a_swarm_or_windows_has_is_refused_with_its_place() {
    for (key, value, beside, place) in [
        ("deploy", "{ mode: replicated-job }", "", "services.web.deploy.mode"),
        ("secrets", "[one]", "secrets: { one: { external: true } }", "services.web.secrets[0]"),
        (
            "secrets",
            "[{ source: one, uid: www-data }]",
            "secrets: { one: { file: web.env } }",
            "services.web.secrets[0].uid",
        ),
        (
            "configs",
            "[one]",
            "configs: { one: { file: web.env, template_driver: golang } }",
            "configs.one.template_driver",
        ),
        ("volumes", "[{ type: npipe, source: a, target: /a }]", "", "services.web.volumes[0].type"),
        ("uts", "other", "", "services.web.uts"),
    ] {
        let reason = outcome(key, value, beside).unwrap_err();
        assert!(reason.contains(&format!("{place}: ")), "{place}: {reason}");
    }
}

#[test]
fn another_services_container_is_the_colors_own_or_the_durable_one() {
    let stage = Stage::new(
        "name: shop\ndurable: { services: [db] }\napp: {}\n",
        "services:
  web: { image: a, network_mode: \"service:db\", volumes_from: [\"other:ro\", \"container:old\"] }
  other: { image: a, pid: \"service:db\", links: [\"db:mysql\", db], external_links: [\"legacy:old\"] }
  db: { image: b, container_name: the-db }
",
    );
    let app = stage.app(Color::Green, "r1");
    let [other, web] = [0, 1].map(|index| &app.services[index].replicas[0]);
    assert_eq!(web.network_mode.as_deref(), Some("container:the-db"));
    assert_eq!(web.volumes_from, ["shop-devlocal-green-other-1:ro", "old"]);
    assert_eq!(other.pid.as_deref(), Some("container:the-db"));
    for network in &other.networks {
        assert_eq!(network.links, ["db:mysql", "legacy:old"], "{network:?}");
    }
    let plan = stage.durable_up(&super::world::World::default(), false).unwrap().0;
    let mut world = super::world::World::default();
    world.apply(&plan);
    // What mounts are taken from is made before.
    let plan = stage.deploy(&world, Color::Green, "r1").unwrap();
    let made = |name: &str| {
        let title = format!("create green/{name} (a)");
        plan.steps().iter().position(|step| step.title == title).unwrap()
    };
    assert!(made("other") < made("web"), "{plan}");
}

#[test]
fn a_durable_service_cannot_need_what_comes_and_goes() {
    let stage = Stage::new(
        "name: shop\ndurable: { services: [db] }\napp: {}\n",
        "services:
  web: { image: a }
  db: { image: b, volumes_from: [web], networks: { default: { ipv4_address: 10.9.0.2 } } }
",
    );
    let problems = stage.try_durable().unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
}
