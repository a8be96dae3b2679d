//! Each way in which a service can fail, as a person sees it.

use insta::assert_snapshot;

use super::{fails_with, services};

#[test]
fn it_ends_at_once() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    command: [sh, -c, 'echo no flour left >&2; exit 9']\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web ended with exit code 9
      its log ends with:
        no flour left
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn it_ends_well_and_should_run() {
    let sandbox =
        services("  web:\n    image: debian:trixie-slim\n    command: [echo, all done]\n");
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web ended with exit code 0, but is to run on
      its log ends with:
        all done
    hint: a service that runs on stays in the foreground; one that is to end is waited for with `condition: service_completed_successfully`
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn it_ends_after_it_was_ready_while_others_start() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    command: [sh, -c, 'sleep 2; echo gone; exit 3']\n\
         \x20 slow:\n    image: debian:trixie-slim\n    command: [sleep, '600']\n    init: true\n\
         \x20   healthcheck: { test: [CMD, 'false'], start_period: 5m }\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web was ready, then ended with exit code 3
      its log ends with:
        gone
      still running: blue/slow
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn it_restarts_for_ever() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    command: [sh, -c, 'exit 9']\n    restart: always\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web ends with exit code 9 and restarts, again and again (N times)
      its log is empty
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn it_is_unhealthy() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    command: [sh, -c, 'echo baking; exec sleep 600']\n    init: true\n\
         \x20   healthcheck: { test: echo the disk is made of cheese; exit 3 }\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, "--wait-timeout 3s"), @"
    error: blue/web did not get healthy within 3 s
      last probe: exit code 3: the disk is made of cheese
      its log ends with:
        baking
      still running: blue/web
    hint: its health check's `start_period` and `retries` allow more time, up to `--wait-timeout`
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn it_does_not_listen_on_its_port() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    command: [sleep, '600']\n    init: true\n\
         \x20   ports: ['127.0.0.1:@PORT0@:8080']\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, "--wait-timeout 3s"), @"
    error: blue/web did not accept connections on port 8080 within 3 s
      last probe: blue-web:8080: Connection refused (os error 111)
      its log is empty
      still running: blue/web
    hint: the service has to listen on the port of its route, on all addresses (0.0.0.0) and not on 127.0.0.1 alone
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

#[test]
fn it_runs_out_of_memory() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    mem_limit: 16m\n    memswap_limit: 16m\n\
         \x20   command: [perl, -e, '$| = 1; print \"filling\\n\"; my @all; push @all, \"x\" x 1000000 while 1']\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/web was killed (exit code 137): out of memory (its limit is 16.0 MiB)
      its log ends with:
        filling
    hint: raise the service's `mem_limit` (or `deploy.resources.limits.memory`)
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
}

/// Listens on port 8080, for as long as it lives.
const LISTEN: &str = "perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 1) or die \"no port 8080: $!\\n\"; sleep 600'";

#[test]
fn its_port_is_in_use_in_its_network() {
    let sandbox = services(&format!(
        "  web:\n    image: debian:trixie-slim\n    init: true\n    command: [sh, -c, {0:?}]\n\
         \x20   healthcheck: {{ test: grep -q ':1F90 ' /proc/net/tcp }}\n\
         \x20 side:\n    image: debian:trixie-slim\n    init: true\n    command: [sh, -c, {0:?}]\n\
         \x20   network_mode: service:web\n    depends_on: {{ web: {{ condition: service_healthy }} }}\n",
        LISTEN.replace('$', "$$"),
    ));
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/side ended with exit code 98: port 8080 is in use in its network, the network of `NAME-devlocal-blue-web-1`
      its log ends with:
        no port 8080: Address already in use
      still running: blue/web
    hint: give one of the two another port: services with `network_mode: service:…` share them all
    hint: no traffic was moved; blue stands for a look: `envctl logs blue side`, `envctl status`
    ");
}

#[test]
fn what_it_depends_on_failed() {
    let sandbox = services(
        "  db:\n    image: debian:trixie-slim\n    command: [sh, -c, 'echo no space; exit 1']\n\
         \x20 cache:\n    image: debian:trixie-slim\n    init: true\n    command: [sleep, '600']\n\
         \x20 api:\n    image: debian:trixie-slim\n    init: true\n    command: [sleep, '600']\n\
         \x20   depends_on: { db: { condition: service_healthy } }\n\
         \x20 web:\n    image: debian:trixie-slim\n    init: true\n    command: [sleep, '600']\n    depends_on: [api]\n",
    );
    let told = fails_with(&sandbox, 6, "");
    // Whether the cache runs already is not certain.
    let told = told
        .replace("  still running: green/cache\n", "")
        .replace("  still running: blue/cache\n", "");
    let told = told.replace(", blue/cache", "").replace("blue/cache, ", "");
    assert_snapshot!(told, @"
    error: blue/db ended with exit code 1
      its log ends with:
        no space
      not started: blue/api, blue/web
    hint: no traffic was moved; blue stands for a look: `envctl logs blue db`, `envctl status`
    ");
}

#[test]
fn a_job_fails() {
    let sandbox = services(
        "  seed:\n    image: debian:trixie-slim\n    command: [sh, -c, 'echo no table; exit 4']\n\
         \x20 web:\n    image: debian:trixie-slim\n    init: true\n    command: [sleep, '600']\n\
         \x20   depends_on: { seed: { condition: service_completed_successfully } }\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, ""), @"
    error: blue/seed ended with exit code 4
      its log ends with:
        no table
      not started: blue/web
    hint: no traffic was moved; blue stands for a look: `envctl logs blue seed`, `envctl status`
    ");
}

#[test]
fn a_job_does_not_end() {
    let sandbox = services(
        "  seed:\n    image: debian:trixie-slim\n    init: true\n    command: [sh, -c, 'echo seeding; exec sleep 600']\n\
         \x20 web:\n    image: debian:trixie-slim\n    init: true\n    command: [sleep, '600']\n\
         \x20   depends_on: { seed: { condition: service_completed_successfully } }\n",
    );
    assert_snapshot!(fails_with(&sandbox, 6, "--wait-timeout 3s"), @"
    error: blue/seed did not end within 3 s
      its log ends with:
        seeding
      not started: blue/web
      still running: blue/seed
    hint: `--wait-timeout 10m` waits longer; a hook's or a test's own `timeout` is in envctl.yaml
    hint: no traffic was moved; blue stands for a look: `envctl logs blue seed`, `envctl status`
    ");
}

#[test]
fn its_credentials_are_not_shown() {
    let sandbox = services(
        "  web:\n    image: debian:trixie-slim\n    environment: [DB_PASSWORD]\n\
         \x20   command: [sh, -c, 'echo mysql://app:$$DB_PASSWORD@db refused; cat /run/secrets/token; exit 1']\n\
         \x20   secrets: [token]\nsecrets: { token: { file: token.txt } }\n",
    );
    sandbox.write("token.txt", "s3cr3t-t0ken\n");
    sandbox.edit("envctl.yaml", "app:", "credentials: [DB_PASSWORD]\napp:");
    let failed = sandbox.envctl("deploy").env("DB_PASSWORD", "hunter2hunter2").run().code(6);
    assert!(!failed.stderr.contains("hunter2") && !failed.stderr.contains("s3cr3t"), "{failed}");
    assert_snapshot!(super::told(&sandbox, &failed), @"
    error: blue/web ended with exit code 1
      its log ends with:
        mysql://app:[redacted]@db refused
        [redacted]
    hint: no traffic was moved; blue stands for a look: `envctl logs blue web`, `envctl status`
    ");
    let json = sandbox.envctl("history --json").run().ok();
    assert!(!json.stdout.contains("hunter2"), "{json}");
}
