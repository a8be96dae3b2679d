//! The proxy's own steps, and what it listens on.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::model::{Color, Container, Publish, State};

const PORTS: &str = r#"
services:
  web: { image: a, ports: ["8000:80", "0.0.0.0:9000:90"] }
  tcp: { image: a, ports: [{ target: 6379, published: 7000, app_protocol: tcp }] }
"#;

/// The steps of a deploy that are about the proxy's container.
fn proxy_steps(stage: &Stage, world: &World) -> String {
    let plan = stage.deploy(world, Color::Green, "r2").unwrap();
    world.clone().apply(&plan);
    let lines = plan.lines().into_iter().filter(|line| line.contains("proxy"));
    lines.collect::<Vec<_>>().join("\n")
}

fn deployed(stage: &Stage) -> World {
    let mut world = World::default();
    stage.deployed(&mut world, Color::Blue, "r1");
    world
}

#[test]
fn a_proxy_that_is_as_it_shall_be_is_left_alone() {
    let stage = Stage::app_only(PORTS);
    assert_snapshot!(proxy_steps(&stage, &deployed(&stage)), @"[8] ←4,7  make green known to the proxy               its preview leads to it from here on");
}

#[test]
fn a_stopped_proxy_is_started() {
    let stage = Stage::app_only(PORTS);
    let mut world = deployed(&stage);
    world.container("shop-devlocal-proxy").state = State::Exited { code: 0 };
    assert_snapshot!(proxy_steps(&stage, &world), @"
    [1]         start the proxy                             it is stopped
    [9] ←1,5,8  make green known to the proxy               its preview leads to it from here on
    ");
}

#[test]
fn a_proxy_whose_ports_changed_is_made_anew_on_its_state() {
    let world = deployed(&Stage::app_only(PORTS));
    let more = Stage::app_only(&PORTS.replace("8000:80", "8080:80"));
    assert_snapshot!(proxy_steps(&more, &world), @"
    [1]           stop the proxy                              its ports or settings changed
    [2]  ←1       remove the proxy's container                its ports or settings changed
    [3]  ←2       create the proxy                            its ports or settings changed
    [4]  ←3       start the proxy                             it carries the traffic
    [12] ←4,8,11  make green known to the proxy               its preview leads to it from here on
    ");
}

#[test]
fn a_proxy_whose_network_is_gone_is_made_anew_on_a_new_one() {
    let stage = Stage::app_only(PORTS);
    let mut world = deployed(&stage);
    for name in ["tcp", "web"] {
        world.remove_container(&format!("shop-devlocal-blue-{name}-1"));
    }
    world.container("shop-devlocal-proxy").state = State::Exited { code: 0 };
    world.remove_network("shop-devlocal-proxy-network");
    assert_snapshot!(proxy_steps(&stage, &world), @"
    [1]           stop the proxy                              what it stands on is gone
    [2]  ←1       remove the proxy's container                what it stands on is gone
    [3]  ←2       create network shop-devlocal-proxy-network  not found
    [4]  ←2,3     create the proxy                            what it stands on is gone
    [5]  ←4       start the proxy                             it carries the traffic
    [13] ←5,9,12  make green known to the proxy               its preview leads to it from here on
    ");
}

#[test]
fn a_port_of_the_proxy_that_another_container_holds_is_refused() {
    let stage = Stage::app_only(PORTS);
    let mut world = World::default();
    world.observed.containers.push(Container {
        name: "nginx".into(),
        state: State::Running { health: None },
        ports: vec![Publish {
            host_ip: "0.0.0.0".into(),
            host_port: Some(8010),
            container_port: 80,
            protocol: "tcp".into(),
        }],
        ..Container::default()
    });
    assert_eq!(
        stage.deploy(&world, Color::Blue, "r1").unwrap_err().to_string(),
        "port 8010 of 127.0.0.1 is held by the container `nginx`"
    );
}

#[test]
fn published_ports_are_routes_with_a_preview_for_each_color_and_never_a_containers() {
    let stage = Stage::app_only(PORTS);
    let ports: Vec<String> = stage
        .proxy()
        .spec
        .ports
        .iter()
        .map(|p| format!("{}:{}", p.host_ip, p.host_port.unwrap()))
        .collect();
    assert_snapshot!(ports.join("\n"), @"
    127.0.0.1:7000
    127.0.0.1:7010
    127.0.0.1:7020
    127.0.0.1:8000
    127.0.0.1:8010
    127.0.0.1:8020
    0.0.0.0:9000
    0.0.0.0:9010
    0.0.0.0:9020
    ");
    let app = stage.app(Color::Blue, "r1");
    assert!(app.services.iter().all(|service| service.replicas[0].ports.is_empty()));
    assert!(app.routes.iter().find(|route| route.listen == 7000).unwrap().tcp);
}

#[test]
fn metrics_are_published_on_loopback_and_only_where_they_are_wanted() {
    let stage = |proxy: &str| {
        let project = format!(
            "name: shop\napp: {{}}\nenvironments: {{ ci: {{ port_offset: 100 }} }}\n{proxy}"
        );
        Stage::with(
            &project,
            &[("compose.yaml", r#"services: { web: { image: nginx, ports: ["8000:80"] } }"#)],
        )
        .proxy()
        .spec
        .clone()
    };
    let (with, without) = (stage("proxy: { metrics: 9100 }\n"), stage(""));
    let publish = with.ports.last().unwrap();
    assert_eq!((publish.host_ip.as_str(), publish.host_port), ("127.0.0.1", Some(9200)));
    assert_eq!(with.environment["ENVCTL_METRICS"], "9200");
    assert!(!without.environment.contains_key("ENVCTL_METRICS"));
    assert_eq!(without.ports.len() + 1, with.ports.len());
}

#[test]
fn published_ports_whose_previews_meet_are_said_with_the_way_out() {
    let problems = |compose: &str, preview: &str| {
        Stage::new(&format!("name: shop\napp: {{}}\nproxy: {{ preview: {preview} }}\n"), compose)
            .try_app(Color::Blue, "r1")
            .map_or_else(|problems| problems, |_| vec![])
    };
    let web = |ports: &str| format!("services: {{ web: {{ image: a, ports: [{ports}] }} }}");
    let usual = "{ blue: 10, green: 20 }";
    assert_eq!(
        problems(&web("'8000:80', '8010:81'"), usual),
        [
            "no preview of 8000 on blue: 8010 is published itself; set `proxy.preview` in envctl.yaml",
            "no preview of 8010 on blue: 8020 is one of 8000's too; set `proxy.preview` in envctl.yaml",
        ]
    );
    assert_eq!(problems(&web("'8000:80', '8010:81'"), "{ blue: 1000, green: 2000 }"), [""; 0]);
    assert_eq!(problems(&web("'65530:80'"), usual).len(), 2);
    assert_eq!(problems(&web("'8000:80', '8000:81'"), usual).len(), 1);
}

#[test]
fn a_route_to_a_service_that_is_not_there_names_the_near_one() {
    let stage = Stage::new(
        "name: shop\napp: {}\nproxy: { routes: [{ listen: 3000, to: fronted:80 }] }\n",
        "services: { frontend: { image: a } }",
    );
    assert_eq!(
        stage.try_app(Color::Blue, "r1").unwrap_err(),
        [
            "route 3000 of envctl.yaml leads to `fronted:80`, and neither the app nor the durable layer has such a service; did you mean `frontend`?"
        ]
    );
}

const ROUTES: &str = "name: shop
app: {}
proxy:
  routes:
    - { listen: 3000, redirect: https }
    - { listen: 3443, tls: { cert: certs/shop.crt, key: certs/shop.key }, host: shop.example, to: web:80 }
    - listen: 3443
      tls: true
      max_body: 1k
      timeouts: { response: 2s }
      health: { path: /health }
      paths: { /api: { to: web:80, strip_prefix: true }, /rpc: 'rpc:50051' }
";
const SERVICES: &str = "services:
  web: { image: a }
  rpc: { image: a, ports: [{ target: 50051, app_protocol: grpc }] }
";

#[test]
fn own_certificates_are_given_before_the_stack_is_known() {
    let stage = Stage::new(ROUTES, SERVICES);
    let steps = proxy_steps(&stage, &World::default());
    let at = |words: &str| steps.find(words).unwrap_or_else(|| panic!("{words} in\n{steps}"));
    assert!(at("start the proxy") < at("give the proxy its certificates"));
    assert!(at("shop.crt") < at("make green known"));
}

#[test]
fn routes_are_what_the_project_file_says() {
    let stage = Stage::new(ROUTES, SERVICES);
    let routes = stage.app(Color::Green, "r1").routes;
    let lines: Vec<String> =
        routes.iter().map(|route| serde_json::to_string(route).unwrap()).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    {"listen":3000,"tls":false,"tcp":false,"redirect":3443,"paths":[]}
    {"listen":3443,"tls":true,"tcp":false,"hosts":["shop.example"],"paths":[{"prefix":"/","host":"green-web","port":80,"strip":false}]}
    {"listen":3443,"tls":true,"tcp":false,"limits":{"response_ms":2000,"body":1024},"health":{"path":"/health","interval_ms":5000,"threshold":3},"paths":[{"prefix":"/api","host":"green-web","port":80,"strip":true},{"prefix":"/rpc","host":"green-rpc","port":50051,"strip":false,"protocol":"h2c"}]}
    "#);
    let ports: Vec<u16> = stage.proxy().spec.ports.iter().map(|port| port.container_port).collect();
    assert_eq!(ports, [3000, 3010, 3020, 3443, 3453, 3463]);
}
