//! A color with its own copy of the database.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{
        Color::{Blue, Green},
        Mount, labels,
    },
    plan::{self, Conflict, desired::App},
};

const PROJECT: &str =
    "name: shop\ndurable: { services: [db, hub] }\napp: {}\nhooks: { before_switch: [migrate] }\n";
const COMPOSE: &str = r#"
services:
  web:
    image: a
    ports: ["8000:80"]
    environment: { DSN: "mysql://app@DB/shop" }
    links: ["db:mysql"]
    networks: [front, back]
  page: { image: a, networks: [front] }
  migrate: { image: a, networks: [back], volumes: ["data:/data"] }
  db:
    image: c
    container_name: the-db
    networks: [back]
    ports: ["3306:3306"]
    volumes: ["data:/var/lib/mysql", "./conf:/etc/mysql/conf.d", "./init:/docker-entrypoint-initdb.d"]
    healthcheck: { test: ping }
  hub: { image: d, networks: [back] }
networks: { front: , back: }
volumes: { data: }
"#;

/// A world with the durable layer and blue live.
fn begun(stage: &Stage) -> World {
    let mut world = World::default();
    let (up, _) = stage.durable_up(&world, false).unwrap();
    world.apply(&up);
    stage.deployed(&mut world, Blue, "r1");
    stage.switched(&mut world, Blue);
    world
}

fn deployed(stage: &Stage, world: &mut World) -> App {
    let app = stage.cloned(Green, "r2").unwrap();
    let plan = stage.deploy_app(world, &app, false).unwrap();
    world.apply(&plan);
    app
}

/// What stands of green's copy.
fn left(world: &World) -> Vec<&str> {
    let seen = &world.observed;
    let containers = seen.containers.iter().map(|it| &it.name);
    let networks = seen.networks.iter().map(|it| &it.name);
    let all = containers.chain(networks).chain(seen.volumes.iter().map(|it| &it.name));
    all.map(String::as_str).filter(|name| name.contains("green") && name.contains("db")).collect()
}

#[test]
fn the_copy_is_filled_and_answers_before_what_uses_it_starts() {
    let stage = Stage::new(PROJECT, COMPOSE);
    let mut world = begun(&stage);
    let plan = stage.deploy_app(&world, &stage.cloned(Green, "r2").unwrap(), false).unwrap();
    let lines: Vec<String> = plan.lines().iter().map(|line| line.trim_end().to_owned()).collect();
    assert_snapshot!(lines.join("\n"), @"
    [1]                create network shop-devlocal-green-network-back      not found
    [2]                create network shop-devlocal-green-network-front     not found
    [3]                create network shop-devlocal-green-network-db-clone  not found
    [4]                create volume shop-devlocal-green-db-clone           not found
    [5]  ←4            create shop-devlocal-green-db-1                      to fill the copy
    [6]  ←5            start shop-devlocal-green-db-1
    [7]  ←6            copy the data of db                                  of the-db, as it is now
    [8]  ←7            make the copy consistent                             changes that came while it was copied
    [9]  ←8            remove shop-devlocal-green-db-1                      it is full
    [10] ←3,9          create green/db (c)                                  green has its own
    [11] ←10           start green/db                                       depends on nothing
    [12] ←11           wait until green/db is healthy                       migrate, web depends on it
    [13] ←1,3,9        create green/migrate (a)                             runs when green is switched to or goes
    [14] ←2            create green/page (a)                                a fresh stack
    [15] ←14           start green/page                                     depends on nothing
    [16] ←15           wait until green/page is healthy                     it is part of the stack
    [17] ←1,2,3        create green/web (a)                                 a fresh stack
    [18] ←12,17        start green/web                                      after db
    [19] ←18           wait until green/web is ready                        a route leads to it
    [20] ←12,13,16,19  make green known to the proxy                        its preview leads to it from here on
    ");
    world.apply(&plan);
    let again = stage.deploy_app(&world, &stage.cloned(Green, "r3").unwrap(), false).unwrap();
    world.apply(&again);
    assert_eq!(left(&world).len(), 3, "{again}");
}

#[test]
fn every_name_of_the_database_leads_to_the_copy_on_every_network_of_those_that_could_reach_it() {
    let stage = Stage::new(PROJECT, COMPOSE);
    let app = stage.cloned(Green, "r2").unwrap();
    let spec = |key: &str| {
        let service = app.services.iter().find(|service| service.key == key).unwrap();
        &service.replicas[0]
    };
    let web = spec("web");
    let to = |name: &str| format!("shop-devlocal-green-db-1:{name}");
    assert_eq!(web.networks.len(), 5);
    assert!(web.networks.iter().any(|at| at.network == "shop-devlocal-durable-network"));
    for attachment in &web.networks {
        let own = web.networks.iter().position(|at| at == attachment);
        for name in ["db", "DB", "the-db"] {
            assert!(attachment.links.contains(&to(name)), "{own:?} {name}: {attachment:?}");
        }
        assert!(!attachment.links.iter().any(|link| link.starts_with("db:")), "{attachment:?}");
    }
    assert!(web.networks[0].links.contains(&to("mysql")), "{:?}", web.networks[0]);
    assert_ne!(
        web.labels[labels::SPEC_HASH],
        stage.app(Green, "r2").services[2].replicas[0].labels[labels::SPEC_HASH]
    );
    // What could not reach the database is as it was.
    assert_eq!(spec("page").networks, stage.app(Green, "r2").services[1].replicas[0].networks);

    // The copy shares neither networks nor data with the durable one, and writes into no folder of the host.
    let db = spec("db");
    let networks: Vec<&str> = db.networks.iter().map(|at| at.network.as_str()).collect();
    assert_eq!(networks, ["shop-devlocal-green-network-db-clone"]);
    assert_eq!(db.networks[0].aliases, [""; 0]);
    assert_eq!(db.volumes().collect::<Vec<_>>(), ["shop-devlocal-green-db-clone"]);
    let binds: Vec<bool> = db
        .mounts
        .iter()
        .filter_map(|mount| match mount {
            Mount::Bind { read_only, .. } => Some(*read_only),
            _ => None,
        })
        .collect();
    assert_eq!(binds, [true]);
    assert!(db.ports.is_empty());
    assert_eq!(db.labels[labels::LAYER], "app");
    assert!(!db.labels.contains_key(labels::DEFINITION));
    // Whoever mounts the database's data has the copy's.
    let migrate = spec("migrate").volumes().collect::<Vec<_>>();
    assert_eq!(migrate, ["shop-devlocal-green-db-clone"]);
}

#[test]
fn a_route_to_the_database_leads_to_the_copy() {
    let project = format!(
        "{PROJECT}proxy: {{ routes: [{{ listen: 8000, to: 'web:80' }}, {{ listen: 3307, tcp: true, to: 'db:3306' }}] }}\n"
    );
    let stage = Stage::new(&project, COMPOSE);
    let app = stage.cloned(Green, "r2").unwrap();
    let db = app.routes.iter().find(|route| route.listen == 3307).unwrap();
    assert_eq!((db.paths[0].host.as_str(), db.paths[0].durable), ("green-db", false));
    let copy = app.services.iter().find(|service| service.key == "db").unwrap();
    assert_eq!(copy.routed, Some(("green-db".to_owned(), 3306)));
    let on_proxy = &copy.replicas[0].networks[1];
    assert_eq!(on_proxy.network, "shop-devlocal-proxy-network");
    assert_eq!(on_proxy.aliases, ["green-db"]);
}

#[test]
fn a_service_that_would_reach_the_durable_one_all_the_same_is_refused() {
    let refused = |from: &str, to: &str| {
        assert!(COMPOSE.contains(from), "{from}");
        let stage = Stage::new(PROJECT, &COMPOSE.replace(from, to));
        stage.cloned(Green, "r2").unwrap_err().to_string()
    };
    let page = "page: { image: a, networks: [front] }";
    for (to, reason) in [
        ("page: { image: a, network_mode: host }", "green/page has `network_mode: host`"),
        (
            "page: { image: a, network_mode: 'service:db' }",
            "green/page has `network_mode: container:the-db`",
        ),
        (
            "page: { image: a, networks: [front], volumes_from: ['db:ro'] }",
            "green/page mounts its data",
        ),
    ] {
        let said = refused(page, to);
        assert_eq!(said, format!("green cannot have a clone of `db`: {reason}"));
    }
    let apart = COMPOSE
        .replace("    links: [\"db:mysql\"]\n    networks: [front, back]", "    networks: [front]");
    let apart = apart
        .replace("image: a, networks: [back], volumes", "image: a, networks: [front], volumes");
    let said = Stage::new(PROJECT, &apart).cloned(Green, "r2").unwrap_err().to_string();
    assert_eq!(
        said,
        "green cannot have a clone of `db`: no service of green shares a network with it"
    );
}

#[test]
fn a_copy_goes_with_its_color_and_with_its_release() {
    let stage = Stage::new(PROJECT, COMPOSE);
    let mut world = begun(&stage);
    let durable = world.durable();
    let app = deployed(&stage, &mut world);
    assert_eq!(plan::clones_of(&world.observed, stage.names(), Green), ["db"]);
    assert_eq!(plan::clones_of(&world.observed, stage.names(), Blue), [""; 0]);
    let cleaned = stage.cleanup(&world, Green).unwrap();
    let mut clean = world.clone();
    clean.apply(&cleaned);
    assert_eq!(left(&clean), [""; 0], "{cleaned}");
    // The next release has the durable one again.
    stage.deployed(&mut world, Green, "r3");
    assert_eq!(left(&world), [""; 0]);
    assert_eq!(world.durable(), durable);

    // Broken off at any step, each of both puts it in order.
    let plan = stage.deploy_app(&world, &app, false).unwrap();
    for steps in 0..=plan.steps().len() {
        let mut broken = world.clone();
        broken.apply_first(&plan, steps);
        let mut other = broken.clone();
        stage.deployed(&mut broken, Green, "r4");
        assert_eq!(left(&broken), [""; 0], "after {steps} steps of\n{plan}");
        other.apply(&stage.cleanup(&other, Green).unwrap());
        assert_eq!(left(&other), [""; 0], "after {steps} steps of\n{plan}");
    }
}

#[test]
fn a_color_with_a_copy_is_switched_to_only_by_one_who_says_so_and_gets_no_share() {
    let stage = Stage::new(PROJECT, COMPOSE);
    let mut world = begun(&stage);
    let app = deployed(&stage, &mut world);
    let refused = Conflict::HasClone { color: Green, services: vec!["db".to_owned()] };
    assert_eq!(stage.switch(&world, Green), Err(refused.clone()));
    assert_eq!(stage.switch_as(&world, Green, false, true), Err(refused.clone()), "by force");
    let shares = Conflict::SharesClone { color: Green, services: vec!["db".to_owned()] };
    assert_eq!(plan::canary(&stage.switch_input(&world, Green), 10), Err(shares.clone()));
    // Also where only its volume is left.
    let mut lost = world.clone();
    lost.remove_container("shop-devlocal-green-db-1");
    assert_eq!(stage.switch(&lost, Green), Err(refused));

    let plan = stage.switch_keeping(&world, Green).unwrap();
    world.apply(&plan);
    // It stays as it is while it is live.
    assert!(stage.switch(&world, Green).unwrap().is_empty());
    assert_eq!(stage.cleanup(&world, Green), Err(Conflict::Live { color: Green }));
    assert_eq!(plan::canary(&stage.switch_input(&world, Blue), 10), Err(shares));
    for app in [&app, &stage.app(Green, "r3")] {
        let forced = stage.deploy_app(&world, app, true);
        assert_eq!(forced, Err(Conflict::LiveDatabase { color: Green }));
    }
    let cloned_blue = stage.cloned(Blue, "r3").unwrap();
    let mut other = begun(&stage);
    let live = stage.deploy_app(&other, &cloned_blue, true);
    assert_eq!(live, Err(Conflict::LiveDatabase { color: Blue }));
    // And back, without a word.
    world.apply(&stage.switch(&world, Blue).unwrap());
    other.apply(&stage.switch(&other, Blue).unwrap());
}
