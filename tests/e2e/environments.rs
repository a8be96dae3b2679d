//! Two environments of one project on one host: nothing of one reaches the other.

use std::collections::BTreeSet;

use crate::support::{
    Sandbox,
    customer::Customer,
    engine::{self, Kind},
    http, program,
};

const ENVIRONMENTS: [&str; 2] = ["devlocal", "ci"];
/// The first of each environment's ports: page, page with TLS, API, database, queue.
const FIRST: [u16; 2] = [0, 5];

#[test]
fn nothing_of_one_environment_reaches_the_network_or_the_data_of_the_other() {
    let sandbox = Sandbox::demo();
    for environment in ENVIRONMENTS {
        let _ = sandbox.ok(&format!("up --env {environment}")).says("blue is live");
    }
    let page = FIRST.map(|first| sandbox.ports.get(first));

    // Each has its own customers, orders and queue.
    let customers = page.map(|port| Customer::register(port, "ada"));
    for (customer, port, item) in
        [(&customers[0], page[0], "tea"), (&customers[1], page[1], "milk")]
    {
        customer.order(port, item);
        customer.until_orders(port, &[(item, "blue")]);
    }
    let _ = customers[0].get(page[1], "/api/auth/me").status(401);
    let _ = customers[1].get(page[0], "/api/auth/me").status(401);
    for name in ["MARIADB_PASSWORD", "JWT_SECRET", "MERCURE_PUBLISHER_SECRET"] {
        let values = ENVIRONMENTS.map(|environment| sandbox.credential(environment, name));
        assert_ne!(values[0], values[1], "{name}");
    }

    // No container is on a network of the other, and no volume of the demo's is mounted by both.
    let prefix = |environment: &str| format!("{}-{environment}-", sandbox.name);
    let of = |environment: &str| -> Vec<String> {
        let all = sandbox.things(Kind::Container);
        all.into_iter().filter(|name| name.starts_with(&prefix(environment))).collect()
    };
    for (own, other) in [(0, 1), (1, 0)].map(|(a, b)| (ENVIRONMENTS[a], ENVIRONMENTS[b])) {
        let containers = of(own);
        assert!(containers.len() >= 10, "{containers:?}");
        for container in containers {
            let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}\
                          {{range .Mounts}}{{.Name}} {{end}}";
            let places = engine::ask(&["inspect", "--format", format, &container]);
            assert!(!places.contains(&prefix(other)), "{container}: {places}");
        }
    }

    // From a container of one, the other's services have no name, and their addresses do not answer.
    let addresses = |environment: &str| -> BTreeSet<String> {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let mut words = vec!["inspect", "--format", format];
        let containers = of(environment);
        words.extend(containers.iter().map(String::as_str));
        engine::ask(&words).split_whitespace().map(str::to_owned).collect()
    };
    for (own, other) in [(0, 1), (1, 0)].map(|(a, b)| (ENVIRONMENTS[a], ENVIRONMENTS[b])) {
        let api = format!("{}blue-api-1", prefix(own));
        let ask = |script: &str| {
            let mut docker = std::process::Command::new("docker");
            program::run(docker.args(["exec", &api, "sh", "-c", script]))
        };
        for service in ["mariadb", "localstack", "mercure", "sessions"] {
            let name = format!("{}durable-{service}", prefix(other));
            assert_ne!(ask(&format!("getent hosts {name}")).code, Some(0), "{name} from {own}");
        }
        // What answers in its own environment, by the same words.
        let knock = |address: &str, port: u16| {
            format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null")
        };
        let _ = ask(&knock("mariadb", 3306)).ok();
        let all: Vec<String> = addresses(other)
            .iter()
            .flat_map(|address| [3306, 4566, 6379, 80].map(|port| knock(address, port)))
            .map(|knock| format!("({knock} && echo reached) &"))
            .collect();
        // While another test's network is made, the engine's rule against it is not there for a moment.
        let reached =
            (0..3).all(|_| ask(&format!("{} wait", all.join(" "))).ok().stdout.contains("reached"));
        assert!(!reached, "{own} reaches {other}");
    }

    // The end of one, with its data, leaves the other as it was.
    let _ = sandbox.ok("durable down --volumes --confirm ci --env ci");
    let volumes = sandbox.things(Kind::Volume);
    assert!(volumes.iter().all(|name| !name.starts_with(&format!("{}durable", prefix("ci")))));
    assert_eq!(customers[0].orders(page[0]), [("tea", "blue")]);
    assert_eq!(http::get(page[0], "/health").status(200).color(), "blue");
}
