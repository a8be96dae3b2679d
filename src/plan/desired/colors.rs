//! What two colors cannot both have.

use std::collections::BTreeSet;

use crate::compose::{Problem, Project};

/// Addresses that a color's files fix for its networks and services: engines give each out once.
pub fn fixed_addresses(files: &Project, durable: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut add = |path: &[&str], value: &str| {
        found.insert(path.iter().chain(&[value]).map(|&part| part.to_owned()).collect());
    };
    for (key, own) in files.services.iter().filter(|(key, _)| !durable.contains(key)) {
        for (net, attachment) in &own.networks {
            let Some(network) = files.networks.get(net) else { continue };
            if network.external {
                for (name, address) in [
                    ("ipv4_address", &attachment.ipv4_address),
                    ("ipv6_address", &attachment.ipv6_address),
                ] {
                    if let Some(address) = address {
                        add(&["services", key, "networks", net, name], address);
                    }
                }
                continue;
            }
            for (index, pool) in network.ipam.config.iter().enumerate() {
                if let Some(subnet) = &pool.subnet {
                    let index = index.to_string();
                    add(&["networks", net, "ipam", "config", &index, "subnet"], subnet);
                }
            }
        }
    }
    found
}

/// The addresses that both colors would have.
pub fn shared_addresses(
    files: &Project,
    own: &BTreeSet<Vec<String>>,
    others: &BTreeSet<Vec<String>>,
) -> Vec<Problem> {
    own.intersection(others)
        .filter_map(|path| path.split_last())
        .map(|(address, path)| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            files.problem(
                &path,
                format!(
                    "two colors cannot both have {address}: leave it out, or give each color its own \
                     in the files of `app.blue` and `app.green`"
                ),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Project as Opened, Shell},
        model::Color,
    };

    fn shared(compose: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "envctl.yaml",
            "name: shop\ndurable: { services: [db] }\napp: { green: [green.yaml] }\n",
        );
        write("compose.yaml", compose);
        write(
            "green.yaml",
            "networks: { own: { ipam: { config: !override [{ subnet: 10.9.2.0/24 }] } } }\n",
        );
        let project = Opened::open(folder.path(), None, &Shell::default()).unwrap();
        let durable = &project.file.durable.services;
        let files = Color::ALL.map(|color| project.load_app(color, "").unwrap());
        let [blue, green] = files.each_ref().map(|files| fixed_addresses(files, durable));
        shared_addresses(&files[0], &blue, &green).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_address_that_both_colors_fix_is_told_with_its_place() {
        let found = shared(
            "services:
  web: { image: a, networks: { fixed: , own: , outer: { ipv4_address: 10.8.0.9 } } }
  db: { image: b, networks: { data: { ipv4_address: 10.7.0.2 } } }
networks:
  fixed: { ipam: { config: [{ subnet: 10.9.0.0/24 }] } }
  own: { ipam: { config: [{ subnet: \"10.9.${ENVCTL_COLOR:+1}.0/24\" }] } }
  data: { ipam: { config: [{ subnet: 10.7.0.0/24 }] } }
  outer: { external: true }
",
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("compose.yaml:5:") && found[0].contains("10.9.0.0/24"),
            "{found:?}"
        );
        assert!(found[1].contains("compose.yaml:2:") && found[1].contains("10.8.0.9"), "{found:?}");
    }
}
