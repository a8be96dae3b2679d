//! What cannot be done is refused before anything is changed: with its place, its cause and what to do, and with the
//! exit code that says which kind of trouble it is.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::Path,
    process::Command,
};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    program,
};

/// Nothing of the project is on the engine.
#[track_caller]
fn untouched(sandbox: &Sandbox) {
    for kind in Kind::ALL {
        assert_eq!(engine::named(kind, &format!("{}-", sandbox.name)), [""; 0]);
    }
}

#[test]
fn without_an_engine_every_command_ends_with_5_and_says_how_to_get_one() {
    let sandbox = Sandbox::small();
    for command in ["up", "deploy", "switch blue", "status", "history", "cleanup", "plan", "logs"] {
        let refused = sandbox.envctl(command).env("DOCKER_HOST", "unix:///nowhere").run().code(5);
        let _ = refused.says("no engine answers at `unix:///nowhere`").says("scripts/engine");
    }
    let doctor = sandbox.envctl("doctor").env("DOCKER_HOST", "unix:///nowhere").run().code(5);
    let _ = doctor.shows("FAIL  engine").shows("mend:");
    let doctor =
        sandbox.envctl("doctor --json").env("DOCKER_HOST", "unix:///nowhere").run().code(5);
    assert_eq!(doctor.json()["good"], false);
    let wrong = sandbox.envctl("status").env("DOCKER_HOST", "http//what").run();
    assert!(wrong.code != Some(0) && wrong.code != Some(3), "{wrong}");
}

#[test]
fn without_permission_to_use_the_engine_the_exit_code_is_5() {
    let sandbox = Sandbox::small();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&socket, 0o000);
    mode(folder.path(), 0o755);
    // Root may do everything, so it is another user who asks: with a copy, as the checkout may be closed to others.
    let copy = folder.path().join("envctl");
    fs::copy(env!("CARGO_BIN_EXE_envctl"), &copy).unwrap();
    let project = folder.path().join("envctl.yaml");
    fs::write(&project, sandbox.read("envctl.yaml")).unwrap();
    mode(&project, 0o644);
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    command.args(nobody.iter().filter(|_| is_root)).arg(&copy).arg("status");
    command.arg("-C").arg(folder.path());
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let denied = program::run(&mut command).code(5);
    let _ = denied.says("no permission to use the engine").says("usermod -aG docker");
}

#[test]
fn a_port_that_a_container_holds_is_refused_with_the_containers_name() {
    let sandbox = Sandbox::small();
    let (holder, port) = (format!("{}-other", sandbox.name), sandbox.ports.get(0));
    let publish = format!("--publish 127.0.0.1:{port}:80");
    let run = format!("run --detach --name {holder} {} {publish}", sandbox.mark());
    let _ = engine::docker(&format!("{run} debian:trixie-slim sleep 1000")).ok();

    let refused = sandbox.envctl("up").run().code(1);
    let _ = refused.says(&format!("port {port}")).says(&holder);
    assert_eq!(sandbox.things(Kind::Container), [""; 0]);
    let doctor = sandbox.envctl("doctor").run().code(1);
    let _ = doctor.shows(&holder).shows(&port.to_string());

    let _ = engine::docker(&format!("rm --force {holder}")).ok();
    let _ = sandbox.ok("up").says("blue is live");
}

#[test]
fn a_port_that_a_program_of_this_machine_holds_is_named() {
    let sandbox = Sandbox::small();
    let port = sandbox.ports.get(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let refused = sandbox.envctl("up").run().code(1);
    let _ = refused
        .says(&format!("port {port} of 127.0.0.1 is held by another program"))
        .says("ss -ltnp");
    let _ = sandbox.envctl("doctor").run().code(1).shows(&format!("127.0.0.1:{port}"));
    drop(listener);
    let _ = sandbox.ok("up").says("blue is live");
}

#[test]
fn a_folder_without_a_project_says_so_and_one_inside_a_project_finds_it() {
    let sandbox = Sandbox::small();
    let nothing = tempfile::tempdir().unwrap();
    let refused = sandbox.envctl("status").inside(nothing.path()).run().code(2);
    let _ = refused.says("no `envctl.yaml` in").says(nothing.path().to_str().unwrap());
    let _ = sandbox.envctl("status").inside(&sandbox.path("web")).run().ok();
    let elsewhere = sandbox.envctl("status -C").arg(sandbox.path("web").to_str().unwrap());
    let _ = elsewhere.inside(nothing.path()).run().ok();
}

#[test]
fn wrong_files_are_refused_with_line_and_column_and_the_word_that_was_meant() {
    let wrong = |file: &str, from: &str, to: &str| {
        let sandbox = Sandbox::small();
        sandbox.edit(file, from, to);
        let refused = sandbox.envctl("up").run().code(2);
        untouched(&sandbox);
        refused
    };
    let compose = "compose.yaml";
    let _ = wrong(compose, "environment:", "enviroment:")
        .says("compose.yaml:4:5")
        .says("services.web.enviroment")
        .says("did you mean `environment`");
    let _ = wrong("envctl.yaml", "app:", "apps: 1\napp:").says("envctl.yaml:2:1").says("`app`");
    let _ = wrong(compose, "\"first\"", "${SECRET:?set it in the shell}")
        .says("compose.yaml:5:13")
        .says("`SECRET` is not set: set it in the shell");
    let _ = wrong(compose, "build: web", "build: nowhere").says("nowhere");
    let _ = wrong(compose, ":8080", "").says("ports[0]");
    let _ =
        wrong(compose, "services:", "services:\n  \tx: 1").says("compose.yaml:3:").says("not YAML");
    let _ = wrong("envctl.yaml", "name: ", "name: UPPER").says("envctl.yaml").says("lowercase");
    let sandbox = Sandbox::small();
    let _ = sandbox.envctl("status --env staging").run().code(2).says("no environment `staging`");
    let _ = sandbox.envctl("deploy purple").run().code(2).says("purple");
    let _ = sandbox.envctl("deply").run().code(2).says("deploy");
    fs::remove_file(sandbox.path("compose.yaml")).unwrap();
    let _ = sandbox.envctl("deploy").run().code(2).says("compose.yaml");
}

#[test]
fn an_image_that_can_neither_be_pulled_nor_built_is_named_and_nothing_else_is_brought_up() {
    let sandbox = Sandbox::small();
    sandbox.edit("compose.yaml", "build: web", "image: localhost:1/envctl-test/absent:1");
    let refused = sandbox.envctl("up").run().code(1);
    let _ = refused.says("`localhost:1/envctl-test/absent:1` cannot be pulled");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("blue-")), [""; 0]);

    // Neither one nor the other: the build's own words are shown.
    sandbox.edit("compose.yaml", "image:", "build: web\n    image:");
    sandbox.write("web/Dockerfile", "FROM debian:trixie-slim\nRUN echo so it ends >&2 && exit 7\n");
    let refused = sandbox.envctl("up").run().code(1);
    let _ = refused.says("cannot be built").says("so it ends").says("RUN");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("blue-")), [""; 0]);

    // Mended, it goes on from there.
    sandbox.add_web("web");
    let _ = sandbox.ok("up").says("blue is live");
}

#[test]
fn a_container_of_the_same_name_that_is_not_ours_is_refused_and_left_alone() {
    for (name, command) in [("blue-web-1", "deploy"), ("proxy", "deploy"), ("lock", "deploy")] {
        let sandbox = Sandbox::small();
        let name = sandbox.thing(name);
        let run = format!("run --detach --name {name} {}", sandbox.mark());
        let _ = engine::docker(&format!("{run} debian:trixie-slim sleep 1000")).ok();
        let id = engine::container(&name);
        let refused = sandbox.envctl(&format!("{command} --lock-wait 1s")).run().code(1);
        let _ = refused.says(&name).says("not envctl's own").says("inspect");
        assert_eq!(engine::container(&name), id);
        let state = engine::ask(&["inspect", "--format", "{{.State.Running}}", &name]);
        assert_eq!(state, "true");
        assert_eq!(engine::named(Kind::Container, &sandbox.thing("")), [name]);
    }
}

#[test]
fn networks_and_volumes_of_the_same_name_that_are_not_ours_are_refused_and_left_alone() {
    let sandbox = Sandbox::small();
    let network = sandbox.thing("blue-network");
    let _ = engine::docker(&format!("network create {} {network}", sandbox.mark())).ok();
    let _ = sandbox.envctl("up").run().code(1).says(&network).says("not envctl's own");
    assert_eq!(engine::named(Kind::Network, &network), [network.as_str()]);

    let sandbox = Sandbox::small_with_database();
    let volume = sandbox.thing("durable-mariadb-data");
    let _ = engine::docker(&format!("volume create {} {volume}", sandbox.mark())).ok();
    let _ = sandbox.envctl("up").run().code(1).says(&volume).says("not envctl's own");
    let _ = sandbox.envctl("durable down --volumes --no-snapshot --confirm devlocal").run();
    assert_eq!(engine::named(Kind::Volume, &volume), [volume.as_str()]);
}
