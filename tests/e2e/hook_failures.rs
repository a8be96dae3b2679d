//! Hooks that fail or do not end, on the real engine: what is told, and where it leaves the traffic and the colors.

use insta::assert_snapshot;

use crate::support::{
    Outcome, Sandbox,
    engine::{self, Kind},
    http,
};

/// A project with a service for each moment, whose commands a test writes. Blue is live, green is deployed.
fn project(hooks: &str, tasks: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::small();
    let mut compose = sandbox.read("compose.yaml");
    for (name, command) in tasks {
        compose.push_str(&format!(
            "  {name}:\n    build: web\n    init: true\n    profiles: [tasks]\n    stop_grace_period: 1s\n\
             \x20   command: [sh, -c, {command:?}]\n    volumes: [\"./seen:/seen\"]\n"
        ));
    }
    sandbox.write("compose.yaml", &compose);
    sandbox.write("seen/log", "");
    let yaml = sandbox.read("envctl.yaml");
    sandbox.write("envctl.yaml", &format!("{yaml}hooks:\n{hooks}"));
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    sandbox
}

/// What a failed command said after its heading, without what differs from run to run.
fn told(sandbox: &Sandbox, failed: &Outcome) -> String {
    let text = failed.stderr.replace(&sandbox.name, "NAME");
    let text = regex::Regex::new(r" +\d+\.\d s").unwrap().replace_all(&text, " TIME");
    regex::Regex::new(r" +").unwrap().replace_all(&text, " ").into_owned()
}

fn state(sandbox: &Sandbox, container: &str) -> String {
    let format = "{{.State.Status}} {{.State.ExitCode}}";
    engine::ask(&["inspect", "--format", format, &sandbox.thing(container)])
}

/// What the live color is, by all that can tell it.
#[track_caller]
fn blue_serves(sandbox: &Sandbox, web: &str) {
    assert_eq!(sandbox.ask("/mark"), "first");
    assert_eq!(sandbox.color(), "blue");
    assert_eq!(sandbox.live().as_deref(), Some("blue"));
    assert_eq!(engine::container(&sandbox.thing("blue-web-1")).as_deref(), Some(web));
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("lock")), [""; 0]);
}

/// Fails while there is a file that says so.
const MIGRATE: &str = "echo migrating $$ENVCTL_COLOR; if [ -e /seen/broken ]; then echo no such table; exit 4; fi; echo done";

#[test]
fn one_that_fails_before_a_switch_stops_it() {
    let sandbox = project("  before_switch: [migrate]\n", &[("migrate", MIGRATE)]);
    let web = engine::container(&sandbox.thing("blue-web-1")).unwrap();
    sandbox.write("seen/broken", "");
    let failed = sandbox.envctl("switch green").run().code(6);
    assert_snapshot!(told(&sandbox, &failed), @"
    switch
    ✓ run green/migrate TIME hooks.before_switch
     green/migrate | migrating green
     green/migrate | no such table
    ✗ wait until green/migrate has ended well TIME its failure stops the switch
    error: green/migrate ended with exit code 4
     its log ends with:
     migrating green
     no such table
    hint: no traffic was moved; green stands for a look: `envctl logs green migrate`, `envctl status`
    ");
    blue_serves(&sandbox, &web);
    let last = sandbox.ok("history --json").json().as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["command"], &last["color"]), (&"switch".into(), &"green".into()));
    let reason = last["outcome"]["failed"]["reason"].as_str().unwrap();
    assert_eq!(reason, "green/migrate ended with exit code 4");
    let _ = sandbox.ok("history").shows("failed after").shows(reason);

    std::fs::remove_file(sandbox.path("seen/broken")).unwrap();
    let mended = sandbox.ok("switch green").says("green is live");
    let _ = mended.says("green/migrate | migrating green").says("green/migrate | done");
}

#[test]
fn one_that_does_not_end_is_stopped_at_its_time_limit_and_the_switch_with_it() {
    let endless =
        "echo waiting for a lock of $$ENVCTL_COLOR; test $$ENVCTL_COLOR = blue || exec sleep 600";
    let hooks = "  before_switch: [{ service: migrate, timeout: 3s }]\n";
    let sandbox = project(hooks, &[("migrate", endless)]);
    let web = engine::container(&sandbox.thing("blue-web-1")).unwrap();
    let failed = sandbox.envctl("switch green").run().code(6);
    assert_snapshot!(told(&sandbox, &failed), @"
    switch
    ✓ run green/migrate TIME hooks.before_switch
     green/migrate | waiting for a lock of green
    ✗ wait until green/migrate has ended well TIME its failure stops the switch
    error: green/migrate did not end within 3 s
     its log ends with:
     waiting for a lock of green
    hint: `--wait-timeout 10m` waits longer; a hook's or a test's own `timeout` is in envctl.yaml
    hint: no traffic was moved; green stands for a look: `envctl logs green migrate`, `envctl status`
    ");
    assert_eq!(state(&sandbox, "green-migrate-1"), "exited 143");
    blue_serves(&sandbox, &web);
    let _ =
        sandbox.ok("history").shows("failed after").shows("green/migrate did not end within 3 s");
}

/// Tells what the color's web service answers, by its name in the color.
const FAREWELL: &str = "perl -MIO::Socket::INET -e 'my $$s = IO::Socket::INET->new(q(web:8080)) or die qq(no web: $$!); print $$s qq(GET /mark HTTP/1.1\\r\\n\\r\\n); sysread $$s, my $$a, 999; $$a =~ /\\r\\n\\r\\n(.*)/s; print qq($$ENV{ENVCTL_COLOR} said $$1\\n); exit 0 unless -e q(/seen/broken); print qq(but an invoice is open\\n); exit 5'";

#[test]
fn one_that_fails_before_a_cleanup_stops_it_and_force_goes_without() {
    let sandbox = project("  before_cleanup: [farewell]\n", &[("farewell", FAREWELL)]);
    let _ = sandbox.ok("switch green").says("green is live");
    let before = Kind::ALL.map(|kind| sandbox.things(kind));
    sandbox.write("seen/broken", "");
    let failed = sandbox.envctl("cleanup").run().code(6);
    assert_snapshot!(told(&sandbox, &failed), @"
    cleanup
    ✓ wait until nothing is open on blue TIME its connections end in peace
    ✓ run blue/farewell TIME hooks.before_cleanup
     blue/farewell | blue said first
     blue/farewell | but an invoice is open
    ✗ wait until blue/farewell has ended well TIME its failure stops the cleanup
    error: blue/farewell ended with exit code 5
     its log ends with:
     blue said first
     but an invoice is open
    hint: nothing was removed; `envctl logs blue farewell` shows more, `envctl cleanup --force` goes without the hooks
    ");
    assert_eq!(Kind::ALL.map(|kind| sandbox.things(kind)), before);
    let preview = http::get(sandbox.ports.get(10), "/mark").status(200);
    assert_eq!((preview.color(), preview.text().as_str()), ("blue", "first"));
    assert_eq!(sandbox.color(), "green");
    let _ =
        sandbox.ok("history").shows("failed after").shows("blue/farewell ended with exit code 5");

    // Mended, it runs in the color that goes, before anything of it does.
    std::fs::remove_file(sandbox.path("seen/broken")).unwrap();
    let _ =
        sandbox.ok("cleanup").says("blue/farewell | blue said first").says("blue is cleaned up");
    let blue = |sandbox: &Sandbox| engine::named(Kind::Container, &sandbox.thing("blue-"));
    assert_eq!(blue(&sandbox), [""; 0]);

    let _ = sandbox.ok("deploy blue");
    sandbox.write("seen/broken", "");
    let forced = sandbox.ok("cleanup --force").says("blue is cleaned up");
    assert!(!forced.stderr.contains("farewell |"), "{forced}");
    assert_eq!(blue(&sandbox), [""; 0]);
    let _ = sandbox.ok("history").shows("cleanup (forced)");
}
