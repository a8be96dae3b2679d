//! What holds for every plan, whatever is on the engine.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{stage::Stage, world::World};
use crate::{
    model::{
        Color, Container, Health, Network, Observed, Publish, Route, Routing, Stack, State, Volume,
        labels,
    },
    plan::{self, Action, Conflict, Plan, Source, desired::App},
};

const PROJECT: &str = "name: shop\ndurable: { services: [db, hub] }\napp: { workers: [worker] }\nhooks: { before_switch: [migrate] }\n";
const COMPOSE: &str = r#"
services:
  web: { image: a, ports: ["8000:80"], depends_on: [db, cache], volumes: ["uploads:/srv"] }
  cache: { image: b, scale: 2, healthcheck: { test: ping } }
  worker: { image: a, volumes: ["data:/data"] }
  migrate: { image: a }
  db: { image: c, volumes: ["data:/data"], ports: ["3306:3306"], healthcheck: { test: ping } }
  hub: { image: d, depends_on: { db: { condition: service_healthy } } }
volumes: { data: , uploads: }
"#;

/// Names that plans are about, and one that is nobody's.
const CONTAINERS: [&str; 13] = [
    "shop-devlocal-durable-db",
    "shop-devlocal-durable-hub",
    "shop-devlocal-proxy",
    "shop-devlocal-blue-web-1",
    "shop-devlocal-blue-cache-1",
    "shop-devlocal-blue-worker-1",
    "shop-devlocal-blue-migrate-1",
    "shop-devlocal-green-web-1",
    "shop-devlocal-green-cache-2",
    "shop-devlocal-green-worker-1",
    "shop-devlocal-green-db-1",
    "shop-devlocal-lock",
    "stranger",
];
const NETWORKS: [&str; 6] = [
    "shop-devlocal-durable-network",
    "shop-devlocal-proxy-network",
    "shop-devlocal-blue-network",
    "shop-devlocal-green-network",
    "shop-devlocal-green-network-db-clone",
    "strange",
];
const VOLUMES: [&str; 7] = [
    "shop-devlocal-durable-data",
    "shop-devlocal-proxy-state",
    "shop-devlocal-blue-uploads",
    "shop-devlocal-green-uploads",
    "shop-devlocal-green-db-clone",
    "envctl-ca",
    "odd",
];

fn state() -> BoxedStrategy<State> {
    prop_oneof![
        4 => Just(State::Running { health: None }),
        2 => Just(State::Running { health: Some(Health::Healthy) }),
        1 => Just(State::Running { health: Some(Health::Starting) }),
        1 => Just(State::Running { health: Some(Health::Unhealthy) }),
        2 => Just(State::Created),
        2 => Just(State::Exited { code: 0 }),
        1 => Just(State::Exited { code: 137 }),
        1 => Just(State::Paused),
        1 => Just(State::Restarting),
        1 => Just(State::Removing),
        1 => Just(State::Dead),
    ]
    .boxed()
}

/// Labels as envctl's own mostly are, and as anybody may put them on anything.
fn labels() -> BoxedStrategy<BTreeMap<String, String>> {
    let one = |key: &'static str, values: &'static [&'static str]| {
        let value = prop::sample::select(values);
        prop::option::weighted(0.9, value).prop_map(move |value| (key, value))
    };
    (
        one(labels::PROJECT, &["shop", "shop", "shop", "other"]),
        one(labels::ENVIRONMENT, &["devlocal", "devlocal", "devlocal", "ci"]),
        one(labels::LAYER, &["app", "durable", "proxy", "lock"]),
        one(labels::COLOR, &["blue", "green"]),
        one(labels::ROLE, &["worker", "job", "hook", "clone"]),
        one(labels::SPEC_HASH, &["0123456789abcdef"]),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            let all = [a, b, c, d, e, f].into_iter();
            all.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
        })
        .boxed()
}

fn observed() -> BoxedStrategy<Observed> {
    let container = |name: &'static str| {
        let some = (state(), labels(), prop::option::of(8000_u16..8003)).prop_map(
            move |(state, labels, port)| Container {
                id: format!("id of {name}"),
                name: name.to_owned(),
                image: "a".to_owned(),
                image_id: "sha256:a".to_owned(),
                state,
                labels,
                ports: port
                    .map(|port| Publish {
                        host_ip: "127.0.0.1".to_owned(),
                        host_port: Some(port),
                        container_port: 80,
                        protocol: "tcp".to_owned(),
                    })
                    .into_iter()
                    .collect(),
                ..Container::default()
            },
        );
        prop::option::weighted(0.5, some).boxed()
    };
    let network = |name: &'static str| {
        let some = labels().prop_map(move |labels| Network {
            name: name.to_owned(),
            labels,
            ..Network::default()
        });
        prop::option::weighted(0.7, some).boxed()
    };
    let volume = |name: &'static str| {
        let some = labels().prop_map(move |labels| Volume {
            name: name.to_owned(),
            labels,
            ..Volume::default()
        });
        prop::option::weighted(0.7, some).boxed()
    };
    (CONTAINERS.map(container), NETWORKS.map(network), VOLUMES.map(volume))
        .prop_map(|(containers, networks, volumes)| Observed {
            containers: containers.into_iter().flatten().collect(),
            networks: networks.into_iter().flatten().collect(),
            volumes: volumes.into_iter().flatten().collect(),
        })
        .boxed()
}

fn routing() -> impl Strategy<Value = Routing> {
    let stack = || {
        prop::option::of(prop::option::of(any::<bool>())).prop_map(|tests| {
            tests.map(|tests| Stack {
                release: "r0".to_owned(),
                revision: None,
                created: "2026-11-21T08:00:00Z".to_owned(),
                images: BTreeMap::new(),
                routes: Vec::<Route>::new(),
                replicas: BTreeMap::new(),
                tests: tests.map(|passed| serde_json::json!({ "passed": passed })),
            })
        })
    };
    (stack(), stack(), prop::option::of(prop::sample::select(&Color::ALL[..]))).prop_map(
        |(blue, green, live)| {
            let stacks = [(Color::Blue, blue), (Color::Green, green)];
            let stacks: BTreeMap<Color, Stack> =
                stacks.into_iter().filter_map(|(color, stack)| Some((color, stack?))).collect();
            let live = live.filter(|live| stacks.contains_key(live));
            Routing { live, stacks, ..Routing::default() }
        },
    )
}

fn worlds() -> BoxedStrategy<World> {
    (observed(), routing())
        .prop_map(|(observed, routing)| World { observed, routing, ..World::default() })
        .boxed()
}

thread_local! {
    static STAGE: Stage = Stage::new(PROJECT, COMPOSE);
    /// As they are, and with a copy of the database.
    static APPS: [App; 4] = STAGE.with(|stage| {
        let [blue, green] = Color::ALL.map(|color| stage.app(color, "r1"));
        let [own_blue, own_green] = Color::ALL.map(|color| stage.cloned(color, "r1").unwrap());
        [blue, green, own_blue, own_green]
    });
}

/// Every plan that a command other than `durable` may come to.
fn plans(stage: &Stage, world: &World) -> Vec<Result<Plan, Conflict>> {
    let mut all = [false, true].map(|confirmed| stage.down(world, confirmed)).to_vec();
    APPS.with(|apps| {
        for app in apps {
            for force in [false, true] {
                all.push(stage.deploy_app(world, app, force));
                all.push(stage.switch_as(world, app.color, true, force));
                all.push(stage.switch_keeping(world, app.color));
            }
            all.push(stage.cleanup(world, app.color));
            for service in &app.services {
                all.push(plan::scale(&plan::Scale {
                    aws: None,
                    names: stage.names(),
                    app,
                    service,
                    observed: &world.observed,
                    images: &world.images,
                    routing: &world.routing,
                    drain: Duration::from_secs(30),
                }));
            }
        }
    });
    all
}

/// The containers and volumes that a plan takes away or stops.
fn touched(plan: &Plan) -> (Vec<&str>, Vec<&str>) {
    let (mut containers, mut volumes) = (vec![], vec![]);
    for step in plan.steps() {
        match &step.action {
            Action::Stop(name)
            | Action::StopCleanly(name)
            | Action::Remove(name)
            | Action::RemoveDurable(name) => {
                containers.push(name.as_str());
            }
            Action::RemoveVolume(name) => volumes.push(name.as_str()),
            _ => {}
        }
    }
    (containers, volumes)
}

fn makes(plan: &Plan, name: &str) -> bool {
    let made = |action: &Action| matches!(action, Action::Create(spec) if spec.name == name);
    plan.steps().iter().any(|step| made(&step.action))
}

/// Whether a step does no more to the database than to read it, and no copy of it is on its volume or networks.
fn leaves_durable_alone(world: &World, action: &Action) -> bool {
    const DB: &str = "shop-devlocal-durable-db";
    match action {
        // Its labels say whether it is the database; what is made here has a name alone.
        Action::Start(name) | Action::Connect(name, _) => {
            let found = world.observed.container(name);
            !name.starts_with(DB) || found.is_some_and(|found| !is_durable(&found.labels))
        }
        Action::Pipe(pipe) => {
            let reads = match &pipe.from {
                Source::Command { container, command } => {
                    container == DB && command[4..] == ["backup"]
                }
                from => *from == Source::Nothing,
            };
            reads && pipe.container != DB
        }
        Action::Create(spec) if spec.labels.get(labels::ROLE).is_some_and(|it| it == "clone") => {
            spec.volumes().all(|name| name.ends_with("-db-clone"))
                && spec.networks.iter().all(|at| at.network.ends_with("-network-db-clone"))
        }
        _ => true,
    }
}

fn is_durable(labels: &BTreeMap<String, String>) -> bool {
    labels.get(labels::LAYER).map(String::as_str) == Some("durable")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_durable_commands_touches_the_durable_layer_or_what_is_not_ours(world in worlds()) {
        STAGE.with(|stage| {
            for plan in plans(stage, &world).into_iter().flatten() {
                let (containers, volumes) = touched(&plan);
                for name in containers {
                    // What fills a copy is made and removed by one plan.
                    let Some(found) = world.observed.container(name) else {
                        prop_assert!(makes(&plan, name), "{name}\n{plan}");
                        continue;
                    };
                    prop_assert!(!is_durable(&found.labels), "{name}\n{plan}");
                    prop_assert!(found.belongs_to(stage.names()), "{name}\n{plan}");
                }
                for name in volumes {
                    let found = &world.observed.volume(name).unwrap().labels;
                    let label = |key: &str| found.get(key).map(String::as_str);
                    prop_assert_eq!(label(labels::LAYER), Some("app"), "{}\n{}", name, plan);
                    prop_assert_eq!(label(labels::PROJECT), Some("shop"), "{}\n{}", name, plan);
                    prop_assert_eq!(label(labels::ENVIRONMENT), Some("devlocal"), "{}\n{}", name, plan);
                }
                for step in plan.steps() {
                    prop_assert!(leaves_durable_alone(&world, &step.action), "{}\n{plan}", step.title);
                }
                for step in plan.steps() {
                    let makes_durable = match &step.action {
                        Action::RemoveNetwork(name) => {
                            is_durable(&world.observed.network(name).unwrap().labels)
                        }
                        Action::Create(spec) => is_durable(&spec.labels),
                        Action::CreateNetwork(spec) => is_durable(&spec.labels),
                        Action::CreateVolume(spec) => is_durable(&spec.labels),
                        _ => false,
                    };
                    prop_assert!(!makes_durable, "{}\n{plan}", step.title);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn durable_up_and_down_touch_only_the_durable_layer_and_never_its_volumes(
        world in worlds(),
        apply in any::<bool>(),
    ) {
        STAGE.with(|stage| {
            let up = stage.durable_up(&world, apply).map(|(plan, _)| plan);
            let down = plan::durable_down(stage.names(), &world.observed, false).unwrap();
            for plan in up.into_iter().chain([down]) {
                let (containers, volumes) = touched(&plan);
                for name in containers {
                    let found = world.observed.container(name).unwrap();
                    prop_assert!(is_durable(&found.labels), "{name}\n{plan}");
                    prop_assert!(found.belongs_to(stage.names()), "{name}\n{plan}");
                }
                prop_assert_eq!(volumes, Vec::<&str>::new(), "{}", plan);
            }
            Ok(())
        })?;
    }

    #[test]
    fn every_edge_leads_to_an_earlier_step_and_planning_is_repeatable(world in worlds()) {
        STAGE.with(|stage| {
            let (one, two) = (plans(stage, &world), plans(stage, &world));
            prop_assert_eq!(&one, &two);
            let up = stage.durable_up(&world, true);
            prop_assert_eq!(&up, &stage.durable_up(&world, true));
            let up = up.map(|(plan, _)| plan);
            for plan in one.into_iter().chain([up]).flatten() {
                for (index, step) in plan.steps().iter().enumerate() {
                    prop_assert_eq!(step.id.0, index + 1);
                    prop_assert!(step.after.iter().all(|before| *before < step.id), "{}", plan);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_order_in_which_the_engine_lists_things_does_not_matter(world in worlds()) {
        STAGE.with(|stage| {
            let mut other = world.clone();
            other.observed.containers.reverse();
            other.observed.networks.reverse();
            other.observed.volumes.reverse();
            let lines = |world: &World| -> Vec<Option<String>> {
                plans(stage, world).into_iter().map(|plan| Some(plan.ok()?.to_string())).collect()
            };
            prop_assert_eq!(lines(&world), lines(&other));
            Ok(())
        })?;
    }

    #[test]
    fn a_durable_layer_in_any_state_is_up_after_one_run(
        killed_at in 0_usize..12,
        states in prop::array::uniform2(prop::option::of(state())),
        network in any::<bool>(),
        volume in any::<bool>(),
    ) {
        STAGE.with(|stage| {
            let mut world = World::default();
            let (first, _) = stage.durable_up(&world, false).unwrap();
            world.apply_first(&first, killed_at.min(first.steps().len()));
            for (name, state) in ["shop-devlocal-durable-db", "shop-devlocal-durable-hub"].iter().zip(states) {
                match state {
                    None => world.remove_container(name),
                    Some(state) if world.observed.container(name).is_some() => {
                        world.container(name).state = state;
                    }
                    Some(_) => {}
                }
            }
            if network {
                world.remove_network("shop-devlocal-durable-network");
            }
            if volume && world.observed.container("shop-devlocal-durable-db").is_none() {
                world.remove_volume("shop-devlocal-durable-data");
            }
            let (plan, differences) = stage.durable_up(&world, false).unwrap();
            prop_assert_eq!(differences, vec![]);
            world.apply(&plan);
            prop_assert_eq!(world.durable().iter().filter(|(_, runs)| *runs).count(), 2);
            let (again, _) = stage.durable_up(&world, false).unwrap();
            prop_assert!(again.only_waits(), "{}\nthen\n{}", plan, again);
            Ok(())
        })?;
    }
}
