//! Hooks, workers, test services and their JUnit document, on small images.

use crate::support::{Sandbox, engine};

/// A worker that beats with its color into a folder that both colors share, hooks that write there too, and a test
/// service that asks the color from inside and through its preview.
fn project() -> Sandbox {
    let sandbox = Sandbox::small();
    let beat = "trap 'exit 0' TERM; while :; do echo $$ENVCTL_COLOR >> /beats/log; sleep 0.05 & wait; done";
    let task = |name: &str, command: &str| {
        format!(
            "  {name}:\n    build: web\n    profiles: [tasks]\n    restart: always\n    command: [sh, -c, \"{command}\"]\n    volumes: [\"./beats:/beats\"]\n"
        )
    };
    let ask = "perl -MIO::Socket::INET -e 'for my $$u (@ARGV) { my ($$h, $$p) = $$u =~ m{^http://([^:/]+):(\\\\d+)} or die $$u; my $$s = IO::Socket::INET->new(PeerAddr => $$h, PeerPort => $$p) or die qq($$u $$!); print $$s qq(GET /mark HTTP/1.1\\\\r\\\\nhost: x\\\\r\\\\nconnection: close\\\\r\\\\n\\\\r\\\\n); my $$a = q(); while (sysread($$s, $$a, 9999, length $$a)) { last if $$a =~ /first/ } $$a =~ /first/ or die qq(no mark at $$u: $$a); print qq(asked $$u\\\\n) }' http://web:8080 $$ENVCTL_PREVIEW_URL";
    let compose = sandbox.read("compose.yaml");
    let all = [
        compose,
        task("beat", beat).replace("    profiles: [tasks]\n", "    stop_grace_period: 5s\n"),
        task("migrate", "echo migrating $$ENVCTL_COLOR; echo $$ENVCTL_COLOR >> /beats/migrated"),
        task(
            "notify",
            "echo told by $$ENVCTL_COLOR; echo $$ENVCTL_COLOR >> /beats/notified; test ! -e /beats/deaf",
        ),
        task("ask", ask),
    ];
    sandbox.write("compose.yaml", &all.concat());
    sandbox.write("beats/log", "");
    let yaml = sandbox.read("envctl.yaml");
    let more = "  workers: [beat]\nhooks:\n  before_switch: [{ service: migrate, timeout: 1m }]\n  after_switch: [notify]\nchecks:\n  - { path: /mark, contains: first, within: 20s }\n  - { service: ask, name: asked from inside, timeout: 1m }\n";
    sandbox.write("envctl.yaml", &format!("{yaml}{more}"));
    sandbox
}

/// The colors that beat, in their order, each run of one color once.
fn beats(sandbox: &Sandbox) -> Vec<String> {
    let mut colors: Vec<String> = sandbox.read("beats/log").lines().map(str::to_owned).collect();
    colors.dedup();
    colors
}

fn lines(sandbox: &Sandbox, file: &str) -> Vec<String> {
    sandbox.read(&format!("beats/{file}")).lines().map(str::to_owned).collect()
}

#[test]
fn hooks_run_once_workers_take_turns_and_the_result_of_the_tests_is_a_junit_document() {
    let sandbox = project();
    let up = sandbox.ok("up").says("blue is live").says("blue/migrate | migrating blue");
    let _ = up.says("blue/ask | asked http://web:8080").says("passed  asked from inside");

    let _ = sandbox.ok("deploy green");
    let refused = sandbox.envctl("switch green").run().code(1);
    let _ = refused.says("green was not tested").says("--force");
    let _ = sandbox.ok("test green --junit out/junit.xml").says("2 of 2 checks passed");
    let junit = sandbox.read("out/junit.xml");
    assert!(junit.contains("tests=\"2\"") && junit.contains("failures=\"0\""), "{junit}");
    assert!(junit.contains("name=\"asked from inside\""), "{junit}");
    let _ =
        sandbox.ok("switch green --dry-run").shows("run green/migrate").shows("run green/notify");
    let _ =
        sandbox.ok("switch green").says("green is live").says("green/migrate | migrating green");
    let _ = sandbox.ok("rollback");
    // A worker is started again only after the other has stopped, and a hook tells of this run alone.
    let again = sandbox.ok("switch green");
    assert_eq!(again.stderr.matches("green/notify | told by green").count(), 1, "{again}");
    let running = |color: &str| {
        let name = sandbox.thing(&format!("{color}-beat-1"));
        engine::ask(&["inspect", "--format", "{{.State.Running}}", &name])
    };
    assert_eq!((running("blue").as_str(), running("green").as_str()), ("false", "true"));
    let last = beats(&sandbox);
    assert_eq!(
        last,
        ["blue", "green", "blue", "green"],
        "two colors' workers were at work at once"
    );
    assert_eq!(lines(&sandbox, "migrated"), ["blue", "green"], "once for each release");
    assert_eq!(lines(&sandbox, "notified"), ["blue", "green", "blue", "green"], "at each switch");

    // A hook that fails after the switch: told, recorded, nothing switched back; run again by the next command.
    sandbox.write("beats/deaf", "");
    let failed = sandbox.envctl("switch blue").run().code(6);
    let _ = failed.says("blue is live, and the switch is not finished").says("blue/notify");
    assert_eq!(sandbox.color(), "blue");
    let _ = sandbox.ok("history").shows("notify");
    std::fs::remove_file(sandbox.path("beats/deaf")).unwrap();
    let _ = sandbox.ok("switch blue");
    let _ = sandbox.ok("switch blue").says("blue is live already");
    assert_eq!(lines(&sandbox, "notified").len(), 6);

    // A test that fails: in the document, and in the way of a switch.
    sandbox.edit("envctl.yaml", "contains: first", "contains: second");
    let _ = sandbox.envctl("test green --junit junit.xml").run().code(6);
    let junit = sandbox.read("junit.xml");
    assert!(junit.contains("the body does not contain `second`"), "{junit}");
    let _ = sandbox.envctl("switch green").run().code(6).says("the tests of green failed");
}
