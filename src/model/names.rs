//! What things are called on the engine (DESIGN: names and labels).

use super::Color;

/// The names of one environment of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub project: String,
    pub environment: String,
}

impl Names {
    pub fn new(project: impl Into<String>, environment: impl Into<String>) -> Self {
        Self { project: project.into(), environment: environment.into() }
    }

    /// `{project}-{env}`, the prefix of everything of the environment.
    pub fn prefix(&self) -> String {
        format!("{}-{}", self.project, self.environment)
    }

    pub fn durable_container(&self, service: &str) -> String {
        format!("{}-durable-{service}", self.prefix())
    }

    /// The durable layer's network; `net` is its key in the Compose files.
    pub fn durable_network(&self, net: &str) -> String {
        match net {
            "default" => format!("{}-durable-network", self.prefix()),
            net => format!("{}-durable-network-{net}", self.prefix()),
        }
    }

    pub fn durable_volume(&self, volume: &str) -> String {
        format!("{}-durable-{volume}", self.prefix())
    }

    /// `number` counts replicas from 1.
    pub fn container(&self, color: Color, service: &str, number: u32) -> String {
        format!("{}-{color}-{service}-{number}", self.prefix())
    }

    pub fn network(&self, color: Color, net: &str) -> String {
        match net {
            "default" => format!("{}-{color}-network", self.prefix()),
            net => format!("{}-{color}-network-{net}", self.prefix()),
        }
    }

    pub fn volume(&self, color: Color, volume: &str) -> String {
        format!("{}-{color}-{volume}", self.prefix())
    }

    /// The network alias under which the proxy finds a color's service; no other color has it.
    pub fn alias(color: Color, service: &str) -> String {
        format!("{color}-{service}")
    }

    /// The network alias under which the proxy finds a service of the durable layer.
    pub fn durable_alias(service: &str) -> String {
        format!("durable-{service}")
    }

    pub fn proxy(&self) -> String {
        format!("{}-proxy", self.prefix())
    }

    pub fn proxy_network(&self) -> String {
        format!("{}-proxy-network", self.prefix())
    }

    /// The volume that holds the proxy's routing and the history.
    pub fn proxy_state(&self) -> String {
        format!("{}-proxy-state", self.prefix())
    }

    /// The name that keeps an image of a release on the engine.
    pub fn kept_image(&self, release: &str, id: &str) -> String {
        let id = id.trim_start_matches("sha256:");
        format!("{}-release:{release}-{}", self.prefix(), &id[..12.min(id.len())])
    }

    /// The release for which an image is kept under this name, and whether in this environment or another of the project.
    pub fn kept_for<'a>(&self, reference: &'a str) -> Option<(bool, &'a str)> {
        let (repository, tag) = reference.rsplit_once(':')?;
        let prefix = repository.strip_suffix("-release")?;
        let (release, _) = tag.rsplit_once('-')?;
        let of_project = prefix.strip_prefix(self.project.as_str())?.starts_with('-');
        // `20261121T…`: an image of a service that is called so has another tag.
        let is_release = release.len() > 20 && release.as_bytes()[8] == b'T';
        (of_project && is_release).then_some((prefix == self.prefix(), release))
    }

    /// What works on a copy of a durable service's data.
    pub fn scratch(&self, service: &str) -> String {
        format!("{}-scratch-{service}", self.prefix())
    }

    /// What puts a copy of data in the place of the data.
    pub fn exchange(&self, service: &str) -> String {
        format!("{}-exchange-{service}", self.prefix())
    }

    /// The volume with the authority's certificate, for clients of databases.
    pub fn authority(&self) -> String {
        format!("{}-ca", self.prefix())
    }

    /// What makes the certificate of a durable service.
    pub fn signing(&self, service: &str) -> String {
        format!("{}-sign-{service}", self.prefix())
    }

    /// What looks at the data of a durable service before it gets a new container.
    pub fn data_check(&self, service: &str) -> String {
        format!("{}-check-{service}", self.prefix())
    }

    pub fn lock(&self) -> String {
        format!("{}-lock", self.prefix())
    }

    /// Compose's own project name of a layer, for `docker compose -p`.
    pub fn compose_project(&self, layer: &str) -> String {
        format!("{}-{layer}", self.prefix())
    }

    /// The image that envctl builds of a service that names none.
    pub fn image(&self, service: &str) -> String {
        format!("{}-{service}", self.project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_design() {
        let ci = Names::new("echobase", "ci");
        assert_eq!(ci.durable_container("mariadb"), "echobase-ci-durable-mariadb");
        assert_eq!(ci.durable_network("default"), "echobase-ci-durable-network");
        assert_eq!(ci.durable_volume("mariadb-data"), "echobase-ci-durable-mariadb-data");
        assert_eq!(ci.container(Color::Green, "api", 1), "echobase-ci-green-api-1");
        assert_eq!(ci.network(Color::Green, "default"), "echobase-ci-green-network");
        assert_eq!(ci.network(Color::Green, "back"), "echobase-ci-green-network-back");
        assert_eq!(ci.proxy(), "echobase-ci-proxy");
    }

    #[test]
    fn the_name_of_a_kept_image_tells_its_release() {
        let ci = Names::new("echobase", "ci");
        let release = "20261121T081500.123Z-1f2e";
        let name = ci.kept_image(release, "sha256:91ab0123456789abcdef");
        assert_eq!(name, "echobase-ci-release:20261121T081500.123Z-1f2e-91ab01234567");
        assert_eq!(ci.kept_for(&name), Some((true, release)));
        assert_eq!(Names::new("echobase", "prod").kept_for(&name), Some((false, release)));
        assert_eq!(Names::new("other", "ci").kept_for(&name), None);
        assert_eq!(ci.kept_for("echobase-new-release:91ab01234567"), None);
    }
}
