//! A project opened: its file found and read, its environment chosen, its variables gathered.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;

use super::{Aws, EnvironmentFile, ProjectFile, Shell};
use crate::{
    aws,
    base::{
        files::{self, FileError},
        words,
    },
    compose::{self, Problems},
    model::{Color, Names},
};

/// The project file's name.
pub const FILE: &str = "envctl.yaml";

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("no `envctl.yaml` in `{}` or above it", start.display())]
    NoProject { start: PathBuf },
    #[error("{0}")]
    Problems(#[from] Problems),
    #[error("{0}")]
    File(#[from] FileError),
    #[error("no environment `{name}` in `{}`; it has {}", files::shown(file).display(), known.join(", "))]
    NoEnvironment { file: PathBuf, name: String, known: Vec<String>, near: Option<String> },
    #[error("`{}`: {reason}", files::shown(file).display())]
    Wrong { file: PathBuf, reason: String },
}

/// A project with one of its environments chosen.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder that holds the project file; its relative paths start here.
    pub root: PathBuf,
    pub file: ProjectFile,
    /// Where each key of the file stands.
    pub origin: compose::Origin,
    pub environment: EnvironmentFile,
    pub names: Names,
    /// What files of the project see: the process's variables over the environment's files over its credentials over
    /// the `.env` beside the project file.
    pub variables: IndexMap<String, String>,
    /// What the credentials file holds.
    pub credentials: IndexMap<String, String>,
    /// What `aws:` describes, where the file has it.
    pub aws: Option<Aws>,
    /// What is to be warned of in the files that the variables are from.
    pub warnings: Vec<compose::Problem>,
    /// Whether relative paths of Compose files are made absolute; only to show files as written they are not.
    pub resolve_paths: bool,
}

impl Project {
    /// Finds `envctl.yaml` in `start` or above and opens it for the environment: the one named, else the file's first.
    pub fn open(
        start: &Path,
        environment: Option<&str>,
        shell: &Shell,
    ) -> Result<Self, ConfigError> {
        let path = start
            .ancestors()
            .map(|folder| folder.join(FILE))
            .find(|path| path.is_file())
            .ok_or_else(|| ConfigError::NoProject { start: start.to_owned() })?;
        let root = path.parent().unwrap_or(Path::new("/")).to_owned();
        let Ahead { environments, credentials: listed } = Ahead::read(&path, shell)?;
        let listed = listed.unwrap_or_default();
        // An empty credential is none: CI gives a secret that nobody has set as an empty variable.
        let given = |(name, value): &(String, String)| !value.is_empty() || !listed.contains(name);
        let name = match environment {
            None => environments.keys().next().cloned().unwrap_or_else(|| "devlocal".to_owned()),
            Some(name) if environments.contains_key(name) => name.to_owned(),
            Some("devlocal") if environments.is_empty() => "devlocal".to_owned(),
            Some(name) => {
                let known: Vec<String> = if environments.is_empty() {
                    vec!["devlocal".to_owned()]
                } else {
                    environments.keys().cloned().collect()
                };
                let near =
                    words::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
                return Err(ConfigError::NoEnvironment {
                    file: path,
                    name: name.to_owned(),
                    known,
                    near,
                });
            }
        };

        let mut warnings = vec![];
        let own: IndexMap<_, _> = shell.0.clone().into_iter().filter(given).collect();
        let mut variables = dotenv_of(&root, &own, &mut warnings)?;
        let credentials_file = credentials_file(&root, &name);
        let credentials = if credentials_file.is_file() {
            compose::dotenv(&credentials_file, &IndexMap::new(), &mut warnings)?
        } else {
            IndexMap::new()
        };
        variables.extend(credentials.clone());
        for file in environments.get(&name).into_iter().filter_map(Option::as_ref) {
            for file in &file.env_file {
                let seen: IndexMap<_, _> =
                    variables.clone().into_iter().chain(own.clone()).collect();
                let found = compose::dotenv(&root.join(file), &seen, &mut warnings)?;
                variables.extend(found.into_iter().filter(given));
            }
        }
        variables.extend(own);

        let (file, origin) = compose::read_placed::<ProjectFile>(&path, &variables)?;
        check(&path, &file, &name)?;
        let environment = file.environments.get(&name).cloned().flatten().unwrap_or_default();
        let names = Names::new(file.name.clone(), name);
        variables.insert("ENVCTL_PROJECT".to_owned(), names.project.clone());
        variables.insert("ENVCTL_ENV".to_owned(), names.environment.clone());
        let mut project = Self {
            root,
            file,
            origin,
            environment,
            names,
            variables,
            credentials,
            aws: None,
            warnings,
            resolve_paths: true,
        };
        project.aws = Aws::of(&project)?;
        for output in project.aws.iter().flat_map(|aws| &aws.template.outputs) {
            let name = format!("{}{output}", aws::OUTPUTS);
            project.variables.insert(name, aws::variable(output));
        }
        let routes = &project.file.proxy.routes;
        if !routes.is_empty() {
            let http = routes.iter().filter(|route| !route.tcp);
            let http: Vec<_> = http.map(|route| (route.listen.port, route.tls.is_on())).collect();
            let problems = project.check_routes(&http);
            if !problems.is_empty() {
                return Err(Problems(problems).into());
            }
        }
        Ok(project)
    }

    /// A problem at a key of the project file.
    pub fn problem(&self, key_path: &[&str], message: impl Into<String>) -> compose::Problem {
        self.origin.problem(key_path, message)
    }

    /// The project that Compose files are by themselves, without a project file.
    pub fn of_compose_files(
        folder: &Path,
        name: String,
        files: &[PathBuf],
        environment: Option<&str>,
        shell: &Shell,
    ) -> Result<Self, ConfigError> {
        let names = Names::new(name, environment.unwrap_or("devlocal"));
        let mut warnings = vec![];
        let mut variables = dotenv_of(folder, &shell.0, &mut warnings)?;
        variables.extend(shell.0.clone());
        variables.insert("ENVCTL_PROJECT".to_owned(), names.project.clone());
        variables.insert("ENVCTL_ENV".to_owned(), names.environment.clone());
        Ok(Self {
            root: folder.to_owned(),
            file: ProjectFile::of_app(names.project.clone(), files.to_vec()),
            origin: compose::Origin::default(),
            environment: EnvironmentFile::default(),
            names,
            variables,
            credentials: IndexMap::new(),
            aws: None,
            warnings,
            resolve_paths: true,
        })
    }

    pub fn credentials_file(&self) -> PathBuf {
        credentials_file(&self.root, &self.names.environment)
    }

    /// The app's Compose files for a color, with its variables.
    pub fn load_app(&self, color: Color, release: &str) -> Result<compose::Project, ConfigError> {
        let mut variables = self.variables.clone();
        variables.insert("ENVCTL_COLOR".to_owned(), color.to_string());
        variables.insert("ENVCTL_RELEASE".to_owned(), release.to_owned());
        let files = self.app_files(color)?;
        let named = self.named_services();
        let files =
            self.load(&files, &self.names.compose_project(color.as_str()), &variables, &named)?;
        self.check_named(&files)?;
        self.check_aws(&files)?;
        Ok(files)
    }

    /// The app's Compose files for a color: the project file's, else those that Compose would find.
    pub fn app_files(&self, color: Color) -> Result<Vec<PathBuf>, ConfigError> {
        let mut files = self.paths(&self.file.app.compose);
        if files.is_empty() {
            files = compose::discover(&self.root, &self.variables).ok_or_else(|| {
                ConfigError::Wrong {
                    file: self.root.join(FILE),
                    reason: "`app.compose` names no file and no compose.yaml is beside it"
                        .to_owned(),
                }
            })?;
        }
        files.extend(self.paths(self.file.app.overrides(color)));
        Ok(files)
    }

    /// The durable layer's own Compose files.
    pub fn durable_files(&self) -> Vec<PathBuf> {
        self.paths(&self.file.durable.compose)
    }

    /// The durable layer's own Compose files; none where the project has no such files.
    pub fn load_durable(&self) -> Result<Option<compose::Project>, ConfigError> {
        let files = self.durable_files();
        if files.is_empty() {
            return Ok(None);
        }
        self.load(&files, &self.names.compose_project("durable"), &self.variables, &[]).map(Some)
    }

    /// The durable services that routes lead to, each with its container's name. A name that the app has too is the
    /// app's.
    pub fn durable_targets(
        &self,
        app: &compose::Project,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let split = &self.file.durable.services;
        let destinations = self.file.proxy.routes.iter().flat_map(|route| route.paths.values());
        let mut wanted: Vec<&String> = destinations
            .map(|destination| &destination.to.service)
            .filter(|key| split.contains(key) || !app.services.contains_key(*key))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let own = self.load_durable()?;
        let find = |key: &str| match &own {
            Some(files) => files.services.get(key),
            None => app.services.get(key),
        };
        let name = |key: &String| {
            let container = find(key)?.container_name.clone();
            Some((key.clone(), container.unwrap_or_else(|| self.names.durable_container(key))))
        };
        Ok(wanted.into_iter().filter_map(name).collect())
    }

    fn load(
        &self,
        files: &[PathBuf],
        name: &str,
        variables: &IndexMap<String, String>,
        named: &[String],
    ) -> Result<compose::Project, ConfigError> {
        let folder = self.folder_of(files);
        let mut warnings = vec![];
        let mut seen = dotenv_of(folder, variables, &mut warnings)?;
        seen.extend(variables.clone());
        let listed = seen.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
        let profiles: Vec<String> = listed
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .chain(self.file.app.profiles.iter().cloned())
            .collect();
        let load = if self.resolve_paths { compose::load } else { compose::load_as_written };
        let mut project = load(&compose::Source {
            files,
            project_dir: folder,
            project_name: name,
            environment: &seen,
            profiles: &profiles,
            named,
        })?;
        // The project's own is warned of when it is opened.
        if folder != self.root {
            project.warnings.extend(warnings);
        }
        Ok(project)
    }

    /// The project's variables over those of the `.env` beside Compose files, as these see them.
    pub fn variables_beside(
        &self,
        files: &[PathBuf],
    ) -> Result<IndexMap<String, String>, ConfigError> {
        let mut variables = dotenv_of(self.folder_of(files), &self.variables, &mut vec![])?;
        variables.extend(self.variables.clone());
        Ok(variables)
    }

    fn folder_of<'a>(&'a self, files: &'a [PathBuf]) -> &'a Path {
        files.first().and_then(|file| file.parent()).unwrap_or(&self.root)
    }

    fn paths(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        files.iter().map(|file| self.root.join(file)).collect()
    }
}

/// The variables of a folder's `.env`, as Compose reads it, whose values may use `environment`; none where there is no
/// such file.
fn dotenv_of(
    folder: &Path,
    environment: &IndexMap<String, String>,
    warnings: &mut Vec<compose::Problem>,
) -> Result<IndexMap<String, String>, ConfigError> {
    let path = folder.join(".env");
    if !path.is_file() {
        return Ok(IndexMap::new());
    }
    Ok(compose::dotenv(&path, environment, warnings)?)
}

fn credentials_file(root: &Path, environment: &str) -> PathBuf {
    root.join(".envctl").join(format!("{environment}.credentials"))
}

/// What is read ahead of the rest of the project file, which is interpolated with what it leads to.
#[derive(Default, serde::Deserialize)]
struct Ahead {
    #[serde(default)]
    environments: IndexMap<String, Option<VariableFiles>>,
    credentials: Option<Vec<String>>,
}

#[derive(serde::Deserialize)]
struct VariableFiles {
    #[serde(default)]
    env_file: Vec<PathBuf>,
}

impl Ahead {
    fn read(path: &Path, shell: &Shell) -> Result<Self, ConfigError> {
        let text = files::read_text(path)?;
        if let Ok(ahead) = serde_yaml::from_str(&text) {
            return Ok(ahead);
        }
        // What is wrong is said by the full reading, with its place.
        compose::read::<ProjectFile>(path, &shell.0)?;
        Ok(Self::default())
    }
}

fn check(path: &Path, file: &ProjectFile, environment: &str) -> Result<(), ConfigError> {
    let wrong = |reason: String| ConfigError::Wrong { file: path.to_owned(), reason };
    for (what, name) in [("name", file.name.as_str()), ("environment", environment)] {
        let good = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if !good || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || name.len() > 40 {
            return Err(wrong(format!(
                "{what} `{name}`: at most 40 lowercase letters, digits, `-` and `_`, the first a letter or digit"
            )));
        }
    }
    if !file.durable.compose.is_empty() && !file.durable.services.is_empty() {
        return Err(wrong(
            "durable: either `compose` (files of its own) or `services` (of the app's files), not both".to_owned(),
        ));
    }
    let mut seen = BTreeMap::new();
    let ports: std::collections::BTreeSet<u16> =
        file.proxy.routes.iter().map(|route| route.listen.port).collect();
    for port in ports {
        for (what, offset) in [
            ("route", 0),
            ("blue's preview", file.proxy.preview.blue),
            ("green's preview", file.proxy.preview.green),
        ] {
            let Some(at) = port.checked_add(offset) else {
                return Err(wrong(format!("proxy.routes: {what} of {port} is beyond port 65535")));
            };
            if let Some(other) = seen.insert(at, format!("{what} of {port}")) {
                return Err(wrong(format!(
                    "proxy.routes: port {at} is the {what} of {port} and the {other}"
                )));
            }
        }
    }
    if let Some(other) = file.proxy.metrics.and_then(|port| seen.get(&port)) {
        return Err(wrong(format!("proxy.metrics: its port is the {other}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(
        files: &[(&str, &str)],
        environment: Option<&str>,
        shell: &[(&str, &str)],
    ) -> Result<Project, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let shell = shell.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Project::open(folder.path(), environment, &Shell(shell)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_environment_is_the_default_and_a_wrong_one_is_named() {
        let file = "name: shop\nenvironments: { ci: , devlocal: }\napp: {}\n";
        let files = [("envctl.yaml", file)];
        assert_eq!(open(&files, None, &[]).unwrap().names.environment, "ci");
        let error = open(&files, Some("devlocl"), &[]).unwrap_err();
        assert!(error.contains("no environment `devlocl`") && error.contains("ci, devlocal"));
        let none = [("envctl.yaml", "name: shop\napp: {}\n")];
        assert_eq!(open(&none, None, &[]).unwrap().names.environment, "devlocal");
        assert!(open(&none, Some("ci"), &[]).unwrap_err().contains("it has devlocal"));
    }

    #[test]
    fn a_broken_file_is_said_to_be_broken_whatever_environment_is_named() {
        for text in ["name: [shop\n", "name: shop\nenvironments: { ci: { env_file: 3 } }\n"] {
            for environment in [None, Some("ci")] {
                let error = open(&[("envctl.yaml", text)], environment, &[]).unwrap_err();
                assert!(error.contains("envctl.yaml:"), "{error}");
                assert!(!error.contains("no environment"), "{error}");
            }
        }
    }

    #[test]
    fn the_shell_wins_over_the_environments_files_and_those_over_credentials() {
        let files = [
            ("envctl.yaml", "name: shop\nenvironments: { ci: { env_file: [ci.env] } }\napp: {}\n"),
            ("ci.env", "A=file\nB=file\nD=${C}-more\n"),
            (".envctl/ci.credentials", "A=secret\nB=secret\nC=secret\n"),
        ];
        let project = open(&files, None, &[("A", "shell")]).unwrap();
        let seen = |name: &str| project.variables[name].as_str();
        assert_eq!((seen("A"), seen("B"), seen("C")), ("shell", "file", "secret"));
        assert_eq!(seen("D"), "secret-more");
        assert_eq!(seen("ENVCTL_ENV"), "ci");
    }

    #[test]
    fn a_credential_that_is_set_to_nothing_is_the_files() {
        let files = [
            (
                "envctl.yaml",
                "name: shop\nenvironments: { ci: { env_file: [ci.env] } }\napp: {}\ncredentials: [A, B]\n",
            ),
            ("ci.env", "B=\n"),
            (".envctl/ci.credentials", "A=secret\nB=other\nC=third\n"),
        ];
        let project = open(&files, None, &[("A", ""), ("B", ""), ("C", "")]).unwrap();
        let seen = |name: &str| project.variables[name].as_str();
        assert_eq!((seen("A"), seen("B")), ("secret", "other"));
        assert_eq!(seen("C"), "", "it is no credential of the project");
    }

    #[test]
    fn values_of_the_projects_env_files_may_use_the_shell_and_what_is_set_nowhere_is_warned_of() {
        let files = [
            ("envctl.yaml", "name: shop\nenvironments: { ci: { env_file: [ci.env] } }\napp: {}\n"),
            (".env", "\nDATA=${BASE}/data\nPASSWORD=pa$word\n"),
            ("ci.env", "LOGS=${DATA}/logs\nOTHER=${NOWHERE}\n"),
        ];
        let project = open(&files, None, &[("BASE", "/srv")]).unwrap();
        assert_eq!(project.variables["LOGS"], "/srv/data/logs");
        let warnings: Vec<String> = project.warnings.iter().map(ToString::to_string).collect();
        let [password, other] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(password.contains(".env:3:1: the value of `PASSWORD` uses a variable"));
        assert!(other.contains("ci.env:2:1: the value of `OTHER` uses a variable"), "{other}");
        assert!(!warnings.concat().contains("word`"), "what it uses may be a part of it");
    }

    #[test]
    fn routes_that_cannot_be_are_refused_with_their_reason() {
        let reason = |routes: &str| {
            let file = format!("name: shop\napp: {{}}\nproxy: {{ routes: [{routes}] }}\n");
            open(&[("envctl.yaml", &file)], None, &[]).unwrap_err()
        };
        for (routes, words) in [
            ("{ listen: 3000 }", "needs one of `to`, `paths` and `redirect`"),
            ("{ listen: 3000, to: a:80, paths: { /: a:80 } }", "needs one of"),
            ("{ listen: 65530, to: a:80 }", "beyond port 65535"),
            ("{ listen: 3000, to: a:80 }, { listen: 3010, to: b:80 }", "port 3010"),
            ("{ listen: 3000, tcp: true, tls: true, to: a:80 }", "`tcp`"),
            ("{ listen: 3000, tcp: true, host: a, to: a:80 }", "`tcp`"),
            ("{ listen: 3000, proxy_protocol: true, to: a:80 }", "goes with `tcp`"),
            ("{ listen: 3000, paths: { api: a:80 } }", "start with `/`"),
            ("{ listen: 3000, to: a:80 }, { listen: 3000, to: b:80 }", "two routes without `host`"),
            (
                "{ listen: 3000, host: a, to: a:80 }, { listen: 3000, host: [b, A], to: b:80 }",
                "two routes for `a`",
            ),
            (
                "{ listen: 3000, host: a, to: a:80 }, { listen: 3000, tls: true, to: b:80 }",
                "differ in more than `host`",
            ),
            ("{ listen: 3000, host: 'a:80', to: a:80 }", "`a:80` is no name"),
            ("{ listen: 3000, redirect: https }", "needs one port with `tls`"),
            ("{ listen: 3000, redirect: 3001 }", "3001, which has no `tls`"),
            ("{ listen: 3000, redirect: http }", "neither `https` nor"),
            ("{ listen: 3000, to: a:80, protocol: spdy }", "none of http, h2c and grpc"),
            ("{ listen: 3000, to: a:80, max_body: much }", "`much` is not a size"),
            ("{ listen: 3000, to: a:80, timeouts: { idle: 0s } }", "more than no time"),
            ("{ listen: 3000, to: a:80, timeouts: { read: 1s } }", "read"),
            ("{ listen: 3000, to: a:80, health: { interval: 1ms } }", "at least 100ms"),
            ("{ listen: 3000, to: a:80, health: { threshold: 0 } }", "at least 1"),
            ("{ listen: 3000, to: a:80, health: { path: x } }", "`x` is no path"),
            ("{ listen: 3000, tls: { cert: a }, to: a:80 }", "key"),
            ("{ listen: 3000, tls: yes, to: a:80 }", "true, false or"),
        ] {
            let said = reason(routes);
            assert!(said.contains(words), "{routes}: {said}");
        }
        let said = reason("{ listen: 3000, to: a:80, max_body: much }");
        assert!(said.contains("envctl.yaml:3:"), "{said}");
    }

    #[test]
    fn routes_share_a_port_by_their_hosts() {
        let file = "name: shop\napp: {}\nproxy: { routes: [{ listen: 80, redirect: https }, \
            { listen: 443, tls: true, host: shop.example, to: web:80 }, \
            { listen: 443, tls: { cert: c, key: k }, host: '*.Shop.example', paths: { /: web:80, \
            /api: { to: api:90, strip_prefix: true, protocol: grpc } } }] }\n";
        let project = open(&[("envctl.yaml", file)], None, &[]).unwrap();
        let routes = &project.file.proxy.routes;
        assert_eq!(routes[0].redirect, Some(443));
        assert_eq!(routes[2].host, ["*.shop.example"]);
        assert!(routes[2].paths["/api"].strip_prefix);
        assert_eq!(routes[2].paths["/"].protocol, None);
    }

    #[test]
    fn names_are_such_that_an_engine_takes_them() {
        for name in ["Shop", "-shop", "sh op", "shöp", &"a".repeat(41)] {
            let file = format!("name: {name}\napp: {{}}\n");
            assert!(open(&[("envctl.yaml", &file)], None, &[]).is_err(), "{name}");
        }
    }
}
