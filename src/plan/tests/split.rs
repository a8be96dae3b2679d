//! Durable services that are split out of the app's own files: the app finds them as before.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    model::{Color, Mount},
    plan::Conflict,
};

const PROJECT: &str = "name: shop\ndurable: { services: [db] }\napp: {}\n";
const COMPOSE: &str = r#"
services:
  web:
    image: nginx
    environment: { DB_HOST: db }
    ports: ["8000:80"]
    depends_on: { db: { condition: service_healthy } }
  cache: { image: redis, networks: [front] }
  backup: { image: tool, network_mode: none, volumes: ["data:/data:ro"] }
  db:
    image: postgres:17
    container_name: postgres
    networks: { default: { aliases: [database] }, back: { aliases: [store] } }
    volumes: ["data:/var/lib/postgresql/data"]
volumes: { data: }
networks: { back: , front: }
"#;

fn stage() -> Stage {
    Stage::new(PROJECT, COMPOSE)
}

fn networks(stage: &Stage, service: &str) -> Vec<(String, Vec<String>)> {
    let app = stage.app(Color::Blue, "r1");
    let service = app.services.into_iter().find(|own| own.key == service).unwrap();
    service.replicas[0].networks.iter().map(|a| (a.network.clone(), a.aliases.clone())).collect()
}

#[test]
fn the_layer_and_the_app_are_planned_apart_from_one_file() {
    let stage = stage();
    let mut world = World::default();
    let refused = stage.deploy(&world, Color::Blue, "r1").unwrap_err();
    let network = "shop-devlocal-durable-network".to_owned();
    assert_eq!(refused, Conflict::NoDurable { network });
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    assert_snapshot!(plan, @"
    [1]         pull image postgres:17                        db needs it
    [2]         create network shop-devlocal-durable-network  not found
    [3]         create volume shop-devlocal-durable-data      not found
    [4] ←1,2,3  create db (postgres:17)                       not found
    [5] ←4      start db                                      depends on nothing
    [6] ←5      wait until db is healthy                      it is part of the stack
    ");
    world.apply(&plan);
    let plan = stage.deploy(&world, Color::Blue, "r1").unwrap();
    assert_snapshot!(plan, @"
    [1]               make image envctl-proxy:1                        the proxy runs from it
    [2]               create network shop-devlocal-proxy-network       not found
    [3]               create volume shop-devlocal-proxy-state          not found
    [4]               create volume envctl-ca                          not found
    [5]  ←1,2,3,4     create the proxy                                 not found
    [6]  ←5           start the proxy                                  it carries the traffic
    [7]               pull image tool                                  backup needs it
    [8]               pull image redis                                 cache needs it
    [9]               pull image nginx                                 web needs it
    [10]              create network shop-devlocal-blue-network        not found
    [11]              create network shop-devlocal-blue-network-front  not found
    [12] ←7           create blue/backup (tool)                        a fresh stack
    [13] ←12          start blue/backup                                depends on nothing
    [14] ←13          wait until blue/backup is healthy                it is part of the stack
    [15] ←8,11        create blue/cache (redis)                        a fresh stack
    [16] ←15          start blue/cache                                 depends on nothing
    [17] ←16          wait until blue/cache is healthy                 it is part of the stack
    [18] ←2,9,10      create blue/web (nginx)                          a fresh stack
    [19] ←18          start blue/web                                   depends on nothing
    [20] ←6,19        wait until blue/web is ready                     a route leads to it
    [21] ←6,14,17,20  make blue known to the proxy                     its preview leads to it from here on
    ");
    world.apply(&plan);
}

#[test]
fn a_service_that_shares_a_network_with_the_database_joins_the_durable_one_without_a_name_there() {
    assert_eq!(
        networks(&stage(), "web"),
        [
            ("shop-devlocal-blue-network".to_owned(), vec!["web".to_owned()]),
            ("shop-devlocal-durable-network".to_owned(), vec![]),
            ("shop-devlocal-proxy-network".to_owned(), vec!["blue-web".to_owned()]),
        ]
    );
}

#[test]
fn a_service_that_shares_none_does_not() {
    assert_eq!(
        networks(&stage(), "cache"),
        [("shop-devlocal-blue-network-front".to_owned(), vec!["cache".to_owned()])]
    );
}

#[test]
fn the_database_answers_to_all_its_names_on_the_one_durable_network() {
    let stage = stage();
    let durable = stage.durable();
    let db = &durable.services[0].replicas[0];
    assert_eq!(db.name, "postgres");
    assert_eq!(db.networks.len(), 1);
    assert_eq!(db.networks[0].network, "shop-devlocal-durable-network");
    assert_eq!(db.networks[0].aliases, ["db", "database", "store"]);
}

#[test]
fn a_volume_of_the_database_is_the_layers_also_where_the_app_mounts_it() {
    let app = stage().app(Color::Green, "r1");
    assert_eq!(app.volumes, []);
    assert!(app.external.contains(&("volume", "shop-devlocal-durable-data".to_owned())));
    let backup = app.services.iter().find(|service| service.key == "backup").unwrap();
    let source = match &backup.replicas[0].mounts[0] {
        Mount::Volume { source, .. } => source.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(source.as_deref(), Some("shop-devlocal-durable-data"));
}

#[test]
fn a_durable_service_that_the_files_do_not_have_is_said() {
    let stage = Stage::new(
        "name: shop\ndurable: { services: [mysql] }\napp: {}\n",
        "services: { web: { image: nginx } }",
    );
    let error = stage.project.load_app(Color::Blue, "r1").unwrap_err().to_string();
    assert!(error.contains("envctl.yaml:2:23 durable.services[0]: no service `mysql`"), "{error}");
}

#[test]
fn the_durable_services_own_ports_are_no_routes() {
    let stage = Stage::new(
        PROJECT,
        r#"services: { web: { image: nginx, ports: ["80:80"] }, db: { image: pg, ports: ["5432:5432"] } }"#,
    );
    let app = stage.app(Color::Blue, "r1");
    assert_eq!(app.routes.iter().map(|route| route.listen).collect::<Vec<_>>(), [80]);
}

#[test]
fn a_durable_volume_keeps_the_name_that_its_file_gives_it_in_both_layers() {
    let compose = COMPOSE.replace("volumes: { data: }", "volumes: { data: { name: shop-data } }");
    let stage = Stage::new(PROJECT, &compose);
    let (plan, _) = stage.durable_up(&World::default(), false).unwrap();
    assert!(plan.to_string().contains("create volume shop-data "), "{plan}");
    let app = stage.app(Color::Blue, "r1");
    let backup = app.services.iter().find(|own| own.key == "backup").unwrap();
    let named = |mount: &Mount| matches!(mount, Mount::Volume { source: Some(name), .. } if name == "shop-data");
    assert!(backup.replicas[0].mounts.iter().any(named));
}

#[test]
fn a_volume_of_the_app_that_has_a_name_is_one_for_each_color_with_a_warning() {
    let compose = COMPOSE
        .replace("image: redis,", "image: redis, volumes: [\"files:/files\"],")
        .replace("volumes: { data: }", "volumes: { data: , files: { name: uploads } }");
    let app = Stage::new(PROJECT, &compose).app(Color::Blue, "r1");
    assert!(app.volumes.iter().any(|volume| volume.name == "shop-devlocal-blue-files"));
    assert!(
        app.warnings.iter().any(|warning| warning.contains("`name: uploads`")),
        "{:?}",
        app.warnings
    );
}

#[test]
fn a_known_database_without_a_health_check_is_asked_over_tcp() {
    use crate::model::Test;

    let stage = stage();
    let (plan, _) = stage.durable_up(&World::default(), false).unwrap();
    let test = plan.steps().iter().find_map(|step| match &step.action {
        crate::plan::Action::Create(spec) => spec.healthcheck.clone(),
        _ => None,
    });
    assert!(matches!(test.unwrap().test, Test::Shell(line) if line.contains("127.0.0.1")));
}

const ROUTED: &str = "name: shop
durable: { compose: [hub.yaml] }
app: {}
proxy: { routes: [{ listen: 8000, paths: { /: web:80, /hub: hub:81 } }] }
";

#[test]
fn a_durable_service_that_a_route_leads_to_joins_the_proxys_network() {
    let stage = Stage::with(
        ROUTED,
        &[
            ("hub.yaml", "services: { hub: { image: mercure:1 }, db: { image: mariadb:11.8 } }"),
            ("compose.yaml", "services: { web: { image: nginx } }"),
        ],
    );
    let networks = |key: &str| -> Vec<(String, Vec<String>)> {
        let durable = stage.durable();
        let service = durable.services.iter().find(|service| service.key == key).unwrap();
        let own = service.replicas[0].networks.iter();
        own.map(|joined| (joined.network.clone(), joined.aliases.clone())).collect()
    };
    let durable = ("shop-devlocal-durable-network".to_owned(), vec!["hub".to_owned()]);
    let proxy = ("shop-devlocal-proxy-network".to_owned(), vec!["durable-hub".to_owned()]);
    assert_eq!(networks("hub"), [durable, proxy]);
    assert_eq!(networks("db").len(), 1);

    // Its network comes first, and is the proxy's from the beginning.
    let mut world = World::default();
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    assert!(plan.to_string().contains("create network shop-devlocal-proxy-network"), "{plan}");
    world.apply(&plan);
    let (again, differences) = stage.durable_up(&world, false).unwrap();
    assert!(again.is_empty() && differences.is_empty(), "{again}");
    let plan = stage.deploy(&world, Color::Blue, "r1").unwrap();
    let text = plan.to_string();
    assert!(!text.contains("create network shop-devlocal-proxy-network"), "{text}");
    assert!(text.contains("wait until hub is ready"), "{text}");

    // The route is the same for both colors, its neighbour is not.
    let rules = Color::ALL.map(|color| stage.app(color, "r1").routes[0].paths.clone());
    assert_eq!(rules[0][0], rules[1][0]);
    assert_eq!((rules[0][0].host.as_str(), rules[0][0].port), ("durable-hub", 81));
    assert!(rules[0][0].durable && !rules[0][1].durable);
    assert_ne!(rules[0][1], rules[1][1]);
}

#[test]
fn a_route_may_lead_to_a_durable_service_of_the_apps_own_files() {
    let stage = Stage::new(
        "name: shop\ndurable: { services: [db] }\napp: {}\n\
         proxy: { routes: [{ listen: 5432, tcp: true, to: db:5432 }] }\n",
        "services: { web: { image: nginx }, db: { image: postgres:17, container_name: pg } }",
    );
    let app = stage.app(Color::Green, "r1");
    assert_eq!(app.routes[0].paths[0].host, "durable-db");
    assert_eq!(app.durable.get("db").map(String::as_str), Some("pg"));
    let aliases = &stage.durable().services[0].replicas[0].networks.last().unwrap().aliases;
    assert_eq!(*aliases, ["durable-db"]);
}
