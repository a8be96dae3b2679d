//! Small projects: a web service of nothing but the base image, up in a second.

use std::time::Duration;

use super::{Sandbox, http};

const SERVE: &str = include_str!("serve.pl");
const DOCKERFILE: &str = "ARG BASE_IMAGE=debian:trixie-slim\n\
    FROM ${BASE_IMAGE}\n\
    COPY serve.pl /serve.pl\n\
    CMD [\"perl\", \"/serve.pl\"]\n";

/// One routed service, `web`, on port 0 of the sandbox. `MARK` is what a test changes to have something to deploy.
const COMPOSE: &str = r#"services:
  web:
    build: web
    environment:
      MARK: "first"
    ports: ["127.0.0.1:@PORT0@:8080"]
    stop_grace_period: 2s
"#;

impl Sandbox {
    /// A project with one web service and nothing else.
    pub fn small() -> Self {
        let sandbox = Self::of(&[
            ("envctl.yaml", "name: @NAME@\napp:\n  compose: [compose.yaml]\n"),
            ("compose.yaml", COMPOSE),
        ]);
        sandbox.add_web("web");
        sandbox
    }

    /// The small project with blue live, whose next deployment waits for a file.
    pub fn waiting() -> Self {
        let sandbox = Self::small();
        let _ = sandbox.ok("up").says("blue is live");
        sandbox.edit(
            "compose.yaml",
            "    ports:",
            "    healthcheck: { test: [CMD, test, -e, /ready], retries: 100 }\n    ports:",
        );
        sandbox
    }

    /// Lines of a Dockerfile by which the demo's MariaDB says that it is 11.8.`patch`, whatever it is.
    pub fn says_version(patch: u64) -> String {
        format!(
            "# Says another version.\n\
             RUN printf '#!/bin/sh\\nif [ \"$1\" = --version ]; then echo \"mariadbd Ver 11.8.{patch}-MariaDB\"; exit; fi\\n\
             exec /usr/sbin/mariadbd \"$@\"\\n' >/usr/local/bin/mariadbd && chmod 755 /usr/local/bin/mariadbd\n"
        )
    }

    /// The small project, with the demo's durable layer: a real database on port 3.
    pub fn small_with_database() -> Self {
        let sandbox = Self::demo();
        std::fs::remove_dir_all(sandbox.path("compose")).unwrap();
        sandbox.write("compose.yaml", COMPOSE);
        sandbox.add_web("web");
        sandbox.write(
            "envctl.yaml",
            "name: @NAME@\n\
             environments:\n\
             \x20 devlocal: { env_file: [durable/.env.devlocal] }\n\
             \x20 ci: { env_file: [durable/.env.ci] }\n\
             credentials: [MARIADB_ROOT_PASSWORD, MARIADB_PASSWORD]\n\
             durable: { compose: [durable/docker-compose.yml] }\n\
             app: { compose: [compose.yaml] }\n",
        );
        sandbox
    }

    /// A folder that the web service is built from.
    pub fn add_web(&self, folder: &str) {
        self.write(&format!("{folder}/serve.pl"), SERVE);
        self.write(&format!("{folder}/Dockerfile"), DOCKERFILE);
    }

    /// Gives the small project's service another mark, so that there is something to deploy.
    pub fn mark_web(&self, mark: &str) {
        let text = self.read("compose.yaml");
        let (before, rest) = text.split_once("MARK: \"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        self.write("compose.yaml", &format!("{before}MARK: \"{mark}\"{after}"));
    }

    /// What the live color of the small project answers at a path.
    #[track_caller]
    pub fn ask(&self, path: &str) -> String {
        http::get(self.ports.get(0), path).status(200).text()
    }

    /// The color that answers on port 0.
    #[track_caller]
    pub fn color(&self) -> String {
        let answer = http::wait_for(self.ports.get(0), "/", Duration::from_secs(30));
        answer.color().to_owned()
    }
}
