//! Which published ports become routes, and where their previews go.

use std::collections::BTreeSet;

use crate::{
    compose::{self, Port},
    config::ProxyFile,
};

/// Ports of protocols that are not HTTP, behind which nothing would understand a proxy that speaks it; 443 among them,
/// as a service that is asked there has a certificate of its own.
const NOT_HTTP: &[u16] = &[
    22, 25, 53, 110, 143, 389, 443, 465, 587, 636, 993, 995, 1025, 1433, 1521, 1883, 2525, 3306,
    4222, 5432, 5672, 6379, 8443, 8883, 9092, 11211, 27017,
];

/// Tried in turn, before all others.
const PREVIEWS: [(u16, u16); 4] = [(10, 20), (100, 200), (1000, 2000), (10_000, 20_000)];

/// What the draft says of the proxy.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// None: the published ports are the routes, and nothing needs to be written.
    pub routes: Vec<Route>,
    /// None: the default fits.
    pub preview: Option<(u16, u16)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub host_ip: Option<String>,
    pub listen: u16,
    pub tcp: bool,
    pub service: String,
    pub target: u16,
}

/// Derives the routes of the services that are not durable.
pub fn detect(files: &compose::Project, durable: &[String], decisions: &mut Vec<String>) -> Proxy {
    let published = |chosen: bool| {
        files
            .services
            .iter()
            .filter(move |(key, _)| durable.contains(key) == chosen)
            .flat_map(|(key, own)| own.ports.iter().map(move |port| (key, port)))
    };
    // What the durable services publish is not free.
    let mut taken: BTreeSet<u16> =
        published(true).filter_map(|(_, port)| port.published_port()).collect();
    let (mut routes, mut open, mut written) = (vec![], vec![], false);
    for (key, port) in published(false) {
        if !matches!(port.protocol.as_str(), "" | "tcp") {
            written = true;
            decisions.push(format!(
                "`{key}` publishes {}/{}: no route, as the proxy carries HTTP and TCP",
                port.target, port.protocol
            ));
            continue;
        }
        let Some(listen) = port.published_port() else {
            open.push((key, port));
            continue;
        };
        if taken.insert(listen) {
            let route = route(key, port, listen);
            written |= route.tcp && port.app_protocol.as_deref() != Some("tcp");
            routes.push(route);
        } else {
            written = true;
            decisions.push(format!("`{key}` publishes {listen} once more: one route is enough"));
        }
    }
    for (key, port) in open {
        written = true;
        let range = port.published.as_deref().and_then(|range| range.split('-').next());
        let first = range.and_then(|first| first.parse().ok());
        let wanted = first.unwrap_or(if port.target < 1024 { 8080 } else { port.target });
        let Some(listen) = (wanted..=u16::MAX).find(|port| !taken.contains(port)) else { continue };
        taken.insert(listen);
        decisions.push(format!(
            "`{key}` publishes {} on a port that is not fixed: {listen}, as a route needs one",
            port.target
        ));
        routes.push(route(key, port, listen));
    }
    let preview = preview(&routes, &taken);
    let (blue, green) = preview.unwrap_or(PREVIEWS[0]);
    for route in &routes {
        let Route { service, listen, target, tcp, host_ip } = route;
        let how = if *tcp { "a TCP route" } else { "a route" };
        let address = host_ip.as_deref().unwrap_or("127.0.0.1");
        decisions.push(format!(
            "`{service}` publishes {listen}: {how} of the proxy to its port {target}, on {address}; previews on {} and {}",
            u32::from(*listen) + u32::from(blue),
            u32::from(*listen) + u32::from(green),
        ));
    }
    if routes.is_empty() {
        decisions.push("no service publishes a port: nothing is routed".to_owned());
    }
    let default = ProxyFile::default().preview;
    Proxy {
        routes: if written { routes } else { vec![] },
        preview: preview.filter(|offsets| *offsets != (default.blue, default.green)),
    }
}

fn route(key: &str, port: &Port, listen: u16) -> Route {
    let tcp = match port.app_protocol.as_deref() {
        Some(protocol) => protocol == "tcp",
        None => NOT_HTTP.contains(&port.target),
    };
    Route {
        host_ip: port.host_ip.clone().filter(|address| !address.is_empty()),
        listen,
        tcp,
        service: key.to_owned(),
        target: port.target,
    }
}

/// Offsets with which no preview is on a port of another one.
fn preview(routes: &[Route], taken: &BTreeSet<u16>) -> Option<(u16, u16)> {
    let fits = |&(blue, green): &(u16, u16)| {
        let mut all = taken.clone();
        routes.iter().flat_map(|route| [(route, blue), (route, green)]).all(|(route, offset)| {
            route.listen.checked_add(offset).is_some_and(|port| all.insert(port))
        })
    };
    PREVIEWS.into_iter().chain((1..5000).map(|offset| (offset, 2 * offset))).find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(ports: &[u16]) -> Option<(u16, u16)> {
        let one = |listen: &u16| route("web", &Port { target: 80, ..Port::default() }, *listen);
        let routes: Vec<Route> = ports.iter().map(one).collect();
        preview(&routes, &ports.iter().copied().collect())
    }

    #[test]
    fn previews_keep_clear_of_ports_and_of_each_other() {
        assert_eq!(offsets(&[]), Some((10, 20)));
        assert_eq!(offsets(&[3000, 3001]), Some((10, 20)));
        assert_eq!(offsets(&[3000, 3010]), Some((100, 200)));
        assert_eq!(offsets(&[3000, 3020]), Some((100, 200)));
        assert_eq!(offsets(&[65530]), Some((1, 2)));
    }
}
