//! A project of its own on the real engine: a name, a folder, a home and ports that nothing else has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    engine::{self, Kind},
    ports::Ports,
    program::{self, Outcome, Running},
};

/// Set to keep everything of failed tests for a look.
const KEEP: &str = "ENVCTL_TEST_KEEP";
/// Names the release build, for the tests that want one.
const RELEASED: &str = "ENVCTL_TEST_RELEASED";

/// What a project's things on the engine are found by.
pub const PROJECT: &str = "dev.envctl.project";
/// The label of what a test itself puts on the engine.
pub const TEST: &str = "dev.envctl-test.sandbox";

/// A project in a folder of its own. Dropped, it takes everything of the project off the engine, and nothing else.
#[derive(Debug)]
pub struct Sandbox {
    pub name: String,
    pub ports: Ports,
    program: PathBuf,
    folder: tempfile::TempDir,
}

/// A command about to be run in a sandbox.
#[derive(Debug)]
#[must_use]
pub struct Envctl {
    command: Command,
    limit: Duration,
}

impl Sandbox {
    /// An empty project folder.
    pub fn empty() -> Self {
        engine::ready();
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).unwrap();
        let sandbox = Self {
            name: format!("t{}", hex::encode(bytes)),
            ports: Ports::reserve(),
            program: env!("CARGO_BIN_EXE_envctl").into(),
            folder: tempfile::Builder::new().prefix("envctl-test-").tempdir().unwrap(),
        };
        for folder in ["project", "home", "docker"] {
            fs::create_dir(sandbox.folder.path().join(folder)).unwrap();
        }
        sandbox
    }

    /// A project of these files, by path and text.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let sandbox = Self::empty();
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox
    }

    /// The demo as it is in this repository, less its name and its ports.
    pub fn demo() -> Self {
        let sandbox = Self::empty();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        for part in ["compose", "durable"] {
            copy(&source.join(part), &sandbox.path(part));
        }
        let text = fs::read_to_string(source.join("envctl.yaml")).unwrap();
        let renamed = text.replace("name: echobase", &format!("name: {}", sandbox.name));
        assert_ne!(text, renamed);
        sandbox.write("envctl.yaml", &renamed);
        for (environment, first) in [("devlocal", 0), ("ci", 5)] {
            let path = format!("durable/.env.{environment}");
            let names = [
                "FRONTEND_PORT",
                "FRONTEND_TLS_PORT",
                "API_PORT",
                "MARIADB_PORT",
                "LOCALSTACK_PORT",
            ];
            let mut text: String = fs::read_to_string(sandbox.path(&path))
                .unwrap()
                .lines()
                .filter(|line| !names.iter().any(|name| line.starts_with(&format!("{name}="))))
                .map(|line| format!("{line}\n"))
                .collect();
            for (number, name) in (first..).zip(names) {
                text.push_str(&format!("{name}={}\n", sandbox.ports.get(number)));
            }
            sandbox.write(&path, &text);
        }
        sandbox
    }

    /// Has `envctl` be the release build, where there is one.
    pub fn released(mut self) -> Self {
        if let Some(program) = std::env::var_os(RELEASED) {
            self.program = program.into();
        }
        self
    }

    /// A path in the project's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("project").join(path)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Writes a file of the project: `@NAME@` in it is the project's name, `@PORT0@` to `@PORT9@`
    /// are ports of the sandbox.
    pub fn write(&self, path: &str, text: &str) {
        let mut text = text.replace("@NAME@", &self.name);
        for number in 0..10 {
            text = text.replace(&format!("@PORT{number}@"), &self.ports.get(number).to_string());
        }
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Copies a folder of this repository into the project.
    pub fn take(&self, source: &str, path: &str) {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source), &self.path(path));
    }

    /// Replaces text of a file, which has to be there.
    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "`{path}` lacks `{from}`:\n{text}");
        self.write(path, &text.replace(from, to));
    }

    /// `envctl` with words that have no spaces in them.
    pub fn envctl(&self, words: &str) -> Envctl {
        let mut command = Command::new(&self.program);
        command.args(words.split_whitespace()).current_dir(self.path(""));
        self.surround(&mut command);
        Envctl { command, limit: program::LIMIT }
    }

    /// Gives a command the sandbox's own home, and of the tests' environment only what it takes to reach the engine.
    pub fn surround(&self, command: &mut Command) {
        let kept =
            ["PATH", "DOCKER_HOST", "TMPDIR", "BASE_IMAGE", "PIP_INDEX_URL", "RUST_BACKTRACE"];
        command.env_clear();
        command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("HOME", self.folder.path().join("home"));
        command.env("DOCKER_CONFIG", self.folder.path().join("docker"));
        command.env("USER", "tester");
    }

    /// Runs `envctl`, which has to end well.
    #[track_caller]
    pub fn ok(&self, words: &str) -> Outcome {
        self.envctl(words).run().ok()
    }

    /// `{project}-{env}-{rest}`, for the first environment.
    pub fn thing(&self, rest: &str) -> String {
        format!("{}-devlocal-{rest}", self.name)
    }

    /// The local authority's certificate, as a user takes it out of the proxy.
    pub fn authority(&self) -> String {
        let file = self.folder.path().join("ca.crt");
        let from = format!("{}:/ca/ca.crt", self.thing("proxy"));
        engine::ask(&["cp", &from, file.to_str().unwrap()]);
        fs::read_to_string(file).unwrap()
    }

    /// A value of an environment's credentials.
    #[track_caller]
    pub fn credential(&self, environment: &str, name: &str) -> String {
        let all = self.read(&format!(".envctl/{environment}.credentials"));
        let value = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no credential {name}")).to_owned()
    }

    /// Names of the project's things on the engine.
    #[track_caller]
    pub fn things(&self, kind: Kind) -> Vec<String> {
        engine::labelled(kind, &format!("{PROJECT}={}", self.name))
    }

    /// What `docker run` needs to have its container removed with the sandbox.
    pub fn mark(&self) -> String {
        format!("--label {TEST}={}", self.name)
    }

    /// The live color; none before the first switch.
    #[track_caller]
    pub fn live(&self) -> Option<String> {
        let status = self.ok("status --json").json();
        status["live"].as_str().map(str::to_owned)
    }

    fn remove_all(&self) {
        for label in [format!("{PROJECT}={}", self.name), format!("{TEST}={}", self.name)] {
            for (list, remove) in [
                ("ps --all --quiet", "rm --force --volumes"),
                ("network ls --quiet", "network rm"),
                ("volume ls --quiet", "volume rm --force"),
            ] {
                let found = engine::docker(&format!("{list} --filter label={label}")).stdout;
                if !found.is_empty() {
                    let _ = engine::docker(&format!("{remove} {found}"));
                }
            }
        }
        // Built images of names that other projects have too stay: they are the layer cache of the next run.
        let format = "{{.Repository}}:{{.Tag}}";
        let images = engine::docker(&format!("images --format {format}")).stdout;
        let own: Vec<_> = images.lines().filter(|tag| tag.starts_with(&self.name)).collect();
        if !own.is_empty() {
            let _ = engine::docker(&format!("rmi {}", own.join(" ")));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os(KEEP).is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: project {} in {}", self.name, self.folder.path().display());
            return;
        }
        self.remove_all();
    }
}

impl Envctl {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds one argument, which may have spaces in it.
    pub fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn inside(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    #[track_caller]
    pub fn run(mut self) -> Outcome {
        Running::start(&mut self.command).end(self.limit)
    }

    pub fn start(mut self) -> Running {
        Running::start(&mut self.command)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
