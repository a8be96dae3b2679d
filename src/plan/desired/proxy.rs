//! The proxy as it shall be: what it listens on, its container.

use std::{collections::BTreeSet, path::PathBuf};

use super::{app::layer_labels, routes::published};
use crate::{
    compose, config,
    model::{
        Attachment, Color, Container, Listener, Logging, Mount, Names, NetworkSpec, Publish,
        Resources, Restart, ServiceSpec, VolumeSpec, labels,
    },
};

/// The volume with the local certificate authority, one for the host.
pub const CA_VOLUME: &str = "envctl-ca";
const MEMORY: i64 = 256 << 20;

/// The proxy as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    pub network: NetworkSpec,
    pub volumes: Vec<VolumeSpec>,
    /// Without its image: a new envctl does not replace a proxy that serves.
    pub spec: ServiceSpec,
    /// The user's own certificates.
    pub certificates: Vec<CertificateFiles>,
}

/// The files of a certificate, and the route they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub listen: u16,
    pub hosts: Vec<String>,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The certificates that the project file names.
pub fn certificates(project: &config::Project) -> Vec<CertificateFiles> {
    let offset = project.environment.port_offset;
    let of_route = |route: &config::RouteFile| match &route.tls {
        config::Tls::Files(files) => Some(CertificateFiles {
            listen: route.listen.port.saturating_add(offset),
            hosts: route.host.clone(),
            cert: project.root.join(&files.cert),
            key: project.root.join(&files.key),
        }),
        _ => None,
    };
    project.file.proxy.routes.iter().filter_map(of_route).collect()
}

/// Every port that the proxy listens on, with the host's address it is published on: the live ones and each color's
/// previews.
pub fn listeners(project: &config::Project, files: &compose::Project) -> Vec<(Listener, String)> {
    // Routes that differ in their hosts share a listener.
    let live: BTreeSet<(u16, bool, bool, String)> = if project.file.proxy.routes.is_empty() {
        published(project, files, &mut vec![])
            .into_iter()
            .map(|(listen, port)| (listen.port, false, port.tcp, listen.host_ip))
            .collect()
    } else {
        let offset = project.environment.port_offset;
        project
            .file
            .proxy
            .routes
            .iter()
            .map(|r| {
                let port = r.listen.port.saturating_add(offset);
                (port, r.tls.is_on(), r.tcp, r.listen.host_ip.clone())
            })
            .collect()
    };
    let mut all = vec![];
    for (route, tls, tcp, host_ip) in live {
        all.push((Listener { port: route, tls, tcp, route, color: None }, host_ip.clone()));
        for color in Color::ALL {
            let port = route.saturating_add(project.file.proxy.preview.of(color));
            all.push((Listener { port, tls, tcp, route, color: Some(color) }, host_ip.clone()));
        }
    }
    all.sort_by_key(|(listener, _)| listener.port);
    all
}

/// The proxy's container, network and volumes.
pub fn proxy(project: &config::Project, files: &compose::Project) -> Proxy {
    let names = &project.names;
    let own = layer_labels(names, "proxy");
    let listeners = listeners(project, files);
    let mut spec = ServiceSpec {
        name: names.proxy(),
        command: Some(vec!["proxy".to_owned(), "serve".to_owned()]),
        environment: [
            (
                "ENVCTL_LISTENERS",
                json(&listeners.iter().map(|(listener, _)| listener).collect::<Vec<_>>()),
            ),
            ("ENVCTL_CERTIFICATE_NAMES", json(&project.file.proxy.names)),
            // With huge pages all that a connection reserves would stay resident, used or not.
            ("MIMALLOC_ALLOW_THP", "0".to_owned()),
            // What connections that rest give back goes to the system at once: nothing else may be freed for long.
            ("MIMALLOC_PURGE_DELAY", "0".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
        labels: own.clone(),
        networks: vec![Attachment { network: names.proxy_network(), ..Attachment::default() }],
        mounts: [(names.proxy_state(), "/state"), (CA_VOLUME.to_owned(), "/ca")]
            .map(|(source, target)| Mount::Volume {
                source: Some(source),
                target: target.to_owned(),
                read_only: false,
                nocopy: false,
                subpath: None,
            })
            .into(),
        ports: listeners
            .iter()
            .map(|(listener, host_ip)| Publish {
                host_ip: host_ip.clone(),
                host_port: Some(listener.port),
                container_port: listener.port,
                protocol: "tcp".to_owned(),
            })
            .collect(),
        restart: Restart::UnlessStopped,
        user: Some("65534:65534".to_owned()),
        stdin_open: true,
        read_only: true,
        cap_drop: vec!["ALL".to_owned()],
        security_opt: vec!["no-new-privileges:true".to_owned()],
        // What it answers on standard output is for its asker, and needs no keeping.
        logging: Some(Logging {
            driver: Some("json-file".to_owned()),
            options: [("max-size", "5m"), ("max-file", "2")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        }),
        resources: Resources { memory: Some(MEMORY), ..Resources::default() },
        ..ServiceSpec::default()
    };
    // Only where it is wanted: another container would take the place of one that serves.
    if let Some(port) = project.file.proxy.metrics {
        let port = port.saturating_add(project.environment.port_offset);
        spec.environment.insert("ENVCTL_METRICS".to_owned(), port.to_string());
        spec.ports.push(Publish {
            host_ip: "127.0.0.1".to_owned(),
            host_port: Some(port),
            container_port: port,
            protocol: "tcp".to_owned(),
        });
    }
    if let Some(format) = project.file.proxy.access_log {
        spec.environment.insert("ENVCTL_ACCESS_LOG".to_owned(), json(&format));
    }
    for (label, value) in [
        (labels::compose::PROJECT, names.compose_project("proxy")),
        (labels::compose::SERVICE, "proxy".to_owned()),
        (labels::compose::ONEOFF, "False".to_owned()),
        (labels::compose::NUMBER, "1".to_owned()),
        (labels::SERVICE, "proxy".to_owned()),
    ] {
        spec.labels.insert(label.to_owned(), value);
    }
    Proxy {
        network: proxy_network(names),
        volumes: vec![
            VolumeSpec { name: names.proxy_state(), labels: own, ..VolumeSpec::default() },
            ca_volume(),
        ],
        spec: spec.sealed(),
        certificates: certificates(project),
    }
}

/// The volume of the local authority.
pub fn ca_volume() -> VolumeSpec {
    let labels = [(labels::LAYER.to_owned(), "ca".to_owned())].into();
    VolumeSpec { name: CA_VOLUME.to_owned(), labels, ..VolumeSpec::default() }
}

/// The network on which the proxy finds what routes lead to.
pub(super) fn proxy_network(names: &Names) -> NetworkSpec {
    NetworkSpec {
        name: names.proxy_network(),
        labels: layer_labels(names, "proxy"),
        ..NetworkSpec::default()
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain values")
}

impl Proxy {
    /// The one that stands, whatever the files say of it now.
    pub fn standing(names: &Names, found: &Container) -> Self {
        let hash = found.label(labels::SPEC_HASH).unwrap_or_default().to_owned();
        Self {
            network: NetworkSpec { name: names.proxy_network(), ..NetworkSpec::default() },
            volumes: vec![],
            spec: ServiceSpec {
                name: found.name.clone(),
                labels: [(labels::SPEC_HASH.to_owned(), hash)].into(),
                ..ServiceSpec::default()
            },
            certificates: vec![],
        }
    }

    /// The host's addresses and ports that it needs.
    pub fn ports(&self) -> BTreeSet<(String, u16)> {
        self.spec
            .ports
            .iter()
            .filter_map(|publish| Some((publish.host_ip.clone(), publish.host_port?)))
            .collect()
    }
}
