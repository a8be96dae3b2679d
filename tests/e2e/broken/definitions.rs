//! What is wrong with a service's definition, as a person sees it.

use insta::assert_snapshot;

use super::{fails_with, services};

#[test]
fn its_image_is_missing() {
    // Nothing listens on port 1: the registry refuses at once.
    let sandbox = services("  web:\n    image: 127.0.0.1:1/bakery/web:7\n");
    assert_snapshot!(fails_with(&sandbox, 1, ""), @"
    error: image `127.0.0.1:1/bakery/web:7` cannot be pulled: its registry refuses the connection: …
      not started: blue/web
    hint: `docker login` where the registry asks for it; a `build:` beside the `image:` is used when it cannot be pulled
    hint: no container was touched: both colors are as they were
    ");
}

#[test]
fn its_bind_source_is_missing() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    volumes:\n\
         \x20     - { type: bind, source: ./nowhere, target: /x, bind: { create_host_path: false } }\n",
    );
    assert_snapshot!(fails_with(&sandbox, 1, ""), @"
    error: blue/web cannot be created: bind source `FOLDER/nowhere` does not exist on the engine's host
    hint: bind sources are looked up on the engine's host: in a job's container or with Docker-in-Docker the checkout has to be at the same path there (docs/ci.md)
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn a_folder_is_mounted_onto_a_file() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    volumes: ['./web.conf:/etc/passwd']\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web cannot be started: `FOLDER/web.conf` and `/etc/passwd`, onto which it is mounted, are not both a file or both a folder
    hint: is it there? The engine makes a missing bind source as an empty folder; remove that
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn its_build_fails() {
    let sandbox = services("  web:\n    build: web\n");
    sandbox.write(
        "web/Dockerfile",
        "FROM debian:trixie-slim\nRUN echo mixing the dough\nRUN echo where is the flour >&2; exit 7\n",
    );
    let told = fails_with(&sandbox, 1, "");
    // Each version of the builder has words of its own around the exit code.
    let reason = regex::Regex::new("(built: ).*(: exit code)").unwrap();
    assert_snapshot!(reason.replace(&told, "${1}…$2"), @"
    error: image `NAME-web:ID` cannot be built: …: exit code: 7
        [3/3] RUN echo where is the flour >&2; exit 7
        where is the flour
      not started: blue/web
    hint: no container was touched: both colors are as they were
    ");
}

#[test]
fn its_command_is_not_there() {
    let sandbox = services("  web:\n    image: debian:trixie-slim\n    command: [nope]\n");
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web cannot be started: its image has no command `nope`
    hint: the service's `command` and `entrypoint`, or its image's, name it
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn its_command_is_not_executable() {
    let sandbox = services("  web:\n    image: debian:trixie-slim\n    command: [/etc/passwd]\n");
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web cannot be started: its command `/etc/passwd` is not executable
    hint: the service's `command` and `entrypoint`, or its image's, name it
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn its_shell_finds_no_such_command() {
    let sandbox =
        services("  web:\n    image: debian:trixie-slim\n    command: [sh, -c, 'bake --all']\n");
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web ended with exit code 127: a command was not found
      its log ends with:
        sh: 1: bake: not found
    hint: the service's `command` and `entrypoint`, or its image's, name it
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}
