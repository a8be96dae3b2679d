//! The pipeline that `envctl ci gitlab` writes, run whole on the real engine by a runner for GitLab's files: in a job's
//! container, which has the engine's socket and a checkout.

use std::{os::unix::fs::MetadataExt as _, path::Path, process::Command};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http,
    program::{self, Outcome},
};

const IMAGE: &str = "envctl-test/pipeline";
const SOCKET: &str = "/var/run/docker.sock";

fn image() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/pipeline");
    engine::ask(&["build", "--quiet", "--tag", IMAGE, folder.to_str().unwrap()]);
}

/// The revisions that the pipelines are of, one after the other.
const REVISIONS: [&str; 3] = [
    "1111111111111111111111111111111111111111",
    "2222222222222222222222222222222222222222",
    "3333333333333333333333333333333333333333",
];

/// Runs a command in a job's container; `checkout` is a mount of it, or none.
fn job(sandbox: &Sandbox, checkout: Option<&str>, command: &[&str]) -> Outcome {
    let folder = sandbox.path("");
    let owner = std::fs::metadata(&folder).unwrap();
    let socket = std::fs::metadata(SOCKET).unwrap();
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--network", "host"]);
    docker.args(sandbox.mark().split_whitespace());
    docker.args(["--user", &format!("{}:{}", owner.uid(), owner.gid())]);
    docker.args(["--group-add", &socket.gid().to_string()]);
    docker.args(["--volume", &format!("{SOCKET}:{SOCKET}")]);
    docker.args(["--volume", concat!(env!("CARGO_BIN_EXE_envctl"), ":/usr/local/bin/envctl:ro")]);
    if let Some(mount) = checkout {
        docker.args(["--volume", mount]);
    }
    // What the pipeline's host keeps, because a checkout does not last.
    for name in [
        "MARIADB_ROOT_PASSWORD",
        "MARIADB_PASSWORD",
        "MARIADB_ENCRYPTION_KEY",
        "JWT_SECRET",
        "MERCURE_PUBLISHER_SECRET",
        "MERCURE_SUBSCRIBER_SECRET",
    ] {
        docker.args(["--env", &format!("{name}={}", "0123456789abcdef".repeat(4))]);
    }
    docker.args(["--env", "HOME=/tmp", "--workdir", folder.to_str().unwrap(), IMAGE]);
    program::run(docker.args(command))
}

/// The jobs of the revision's pipeline, or those that are run by hand.
fn pipeline(sandbox: &Sandbox, revision: &str, jobs: &[&str]) -> Outcome {
    let folder = sandbox.path("").display().to_string();
    // The runner hands a job no variable of GitLab's but those that it is given.
    let revision = format!("CI_COMMIT_SHA={revision}");
    let mut command = vec!["gitlabci-local", "--host", "-e", &revision];
    if jobs.is_empty() {
        command.push("--pipeline");
    } else {
        command.push("--manual");
        command.extend(jobs);
    }
    job(sandbox, Some(&format!("{folder}:{folder}")), &command)
}

fn live(sandbox: &Sandbox) -> Option<String> {
    let status = sandbox.ok("status --env ci --json").json();
    status["live"].as_str().map(str::to_owned)
}

#[test]
fn the_demos_pipeline_sets_up_deploys_tests_promotes_rolls_back_and_cleans_up() {
    image();
    let sandbox = Sandbox::demo();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    sandbox.write(".gitlab-ci.yml", &std::fs::read_to_string(root.join(".gitlab-ci.yml")).unwrap());
    sandbox.write("workflow.yml", &sandbox.ok("ci github --env ci").stdout);
    for (schema, file) in [("gitlab-ci", ".gitlab-ci.yml"), ("github-workflows", "workflow.yml")] {
        let folder = sandbox.path("").display().to_string();
        let schema = format!("vendor.{schema}");
        let check = ["check-jsonschema", "--builtin-schema", &schema, file];
        let _ = job(&sandbox, Some(&format!("{folder}:{folder}")), &check).ok();
    }
    let frontend = sandbox.ports.get(5);
    let [first, second, third] = REVISIONS;

    // A first pipeline: nothing serves before it is promoted by hand.
    let _ = pipeline(&sandbox, first, &[]).ok().shows("3 of 3 checks passed");
    assert_eq!(live(&sandbox), None);
    let report = sandbox.read("test-requests.xml");
    assert!(report.contains("<testsuite ") && report.contains("tests=\"3\""), "{report}");
    let _ = pipeline(&sandbox, first, &["promote"]).ok().shows("blue is live");
    assert_eq!(http::get(frontend, "/health").status(200).color(), "blue");

    // A second one, promoted, once more without a change, and taken back.
    let _ = pipeline(&sandbox, second, &[]).ok();
    assert_eq!(live(&sandbox).as_deref(), Some("blue"));
    let _ = pipeline(&sandbox, first, &["promote"]).ok().shows("blue is live already");
    let _ = pipeline(&sandbox, second, &["promote"]).ok().shows("green is live");
    let _ = pipeline(&sandbox, second, &["promote"]).ok().shows("green is live already");
    let _ = pipeline(&sandbox, second, &["rollback"]).ok().shows("blue is live");
    assert_eq!(http::get(frontend, "/health").status(200).color(), "blue");

    // The app is broken: red, with the evidence, and blue serves as before.
    let whole = sandbox.read("compose/api/app/entrypoint");
    let broken = whole.replacen('\n', "\necho broken on purpose >&2; exit 3\n", 1);
    sandbox.write("compose/api/app/entrypoint", &broken);
    let red = pipeline(&sandbox, third, &[]);
    assert_ne!(red.code, Some(0), "{red}");
    let _ = red.clone().shows("broken on purpose").shows("exit code 3");
    // The jobs after it were not run: they would find nothing to test.
    assert!(!red.to_string().contains("has no release"), "{red}");
    assert!(sandbox.read("evidence/green.log").contains("broken on purpose"));
    assert_eq!(http::get(frontend, "/health").status(200).color(), "blue");
    let _ =
        pipeline(&sandbox, third, &["promote"]).shows("blue is live").shows("green has no release");
    assert_eq!(live(&sandbox).as_deref(), Some("blue"));

    let _ = pipeline(&sandbox, third, &["cleanup"]).ok();
    let left = sandbox.things(Kind::Container);
    assert!(!left.iter().any(|name| name.contains("-green-")), "{left:?}");
    assert_eq!(http::get(frontend, "/health").status(200).color(), "blue");
}

#[test]
fn a_checkout_that_the_engine_does_not_see_is_told_of() {
    image();
    let sandbox = Sandbox::of(&[
        ("envctl.yaml", "name: @NAME@\napp: {}\n"),
        (
            "compose.yaml",
            "services:\n  web:\n    image: debian:trixie-slim\n    command: [sleep, '60']\n    volumes: ['./site:/site:ro']\n",
        ),
        ("site/index.html", "here"),
    ]);
    // The checkout is in a volume, as it is in a job's container: the engine's machine has nothing at its path.
    let volume = format!("{}-checkout", sandbox.name);
    let _ = engine::docker(&format!("volume create {} {volume}", sandbox.mark())).ok();
    let folder = sandbox.path("").display().to_string();
    let copy = format!("{folder}:/from:ro");
    let owner = std::fs::metadata(&folder).unwrap();
    let give = format!("cp -r /from/. /to && chown -R {}:{} /to", owner.uid(), owner.gid());
    engine::ask(&[
        "run",
        "--rm",
        "--volume",
        &copy,
        "--volume",
        &format!("{volume}:/to"),
        IMAGE,
        "sh",
        "-c",
        &give,
    ]);
    std::fs::remove_dir_all(sandbox.path("site")).unwrap();

    let outcome = job(&sandbox, Some(&format!("{volume}:{folder}")), &["envctl", "deploy"]);
    let path = sandbox.path("site").display().to_string();
    let _ =
        outcome.code(1).says(&format!("bind source `{path}` does not exist")).says("docs/ci.md");
    assert!(!sandbox.path("site").exists(), "no empty folder was made in its place");
}
