//! `envctl test` on the real engine: each kind of check passing and failing, and whose result counts for a switch.

use insta::assert_snapshot;

use crate::support::Sandbox;

const DOCUMENT: &str = r#"{"items":[{"id":7,"name":"tea"}],"ready":true}"#;

/// Each kind twice: as it is, and as it is not.
const CHECKS: &str = r#"checks:
  - { name: status holds, path: /only/green/, status: [200, 204] }
  - { name: status fails, path: /only/nobody/, status: [200, 204] }
  - { name: regex holds, path: /mark, matches: ["^fir", "st$"] }
  - { name: regex fails, path: /mark, matches: ["^fir", "^second$"] }
  - name: pointer holds
    path: /env/DOCUMENT
    json: { /items/0/id: 7, /items/0/name: { matches: "^t" }, /ready: true, /error: { exists: false } }
  - name: pointer fails
    path: /env/DOCUMENT
    json: { /items/0/id: 8, /items/0/name: { matches: "^coffee" }, /items/1: { exists: true }, /ready: { exists: false } }
  - { name: header holds, path: /, headers: { X-Color: green, X-Release: { exists: true }, X-Old: { exists: false } } }
  - { name: header fails, path: /, headers: { X-Color: { matches: "^bl" }, X-Release: { exists: false }, X-Old: "1" } }
  - { name: latency holds, path: "/slow?ms=100", within: 60s }
  - { name: latency fails, path: "/slow?ms=300", within: 200ms }
  - { name: certificate holds, route: @PORT1@, tls: { days: 1, names: [localhost] } }
  - { name: certificate fails, route: @PORT1@, tls: { days: 99999, names: [shop.example] } }
  - { name: TLS holds, route: @PORT1@, path: /mark, contains: first, tls: true }
  - { name: TLS fails, route: @PORT1@, path: /mark, contains: second, tls: { days: 99999 } }
  - { service: smoke, name: service holds, timeout: 1m }
  - { service: strict, name: service fails, timeout: 1m }
  - { service: endless, name: service ends, timeout: 3s }
"#;

/// Test services that end with what the command says.
fn service(name: &str, command: &str) -> String {
    format!(
        "  {name}:\n    image: debian:trixie-slim\n    init: true\n    profiles: [test]\n    stop_grace_period: 1s\n    command: [sh, -c, {command:?}]\n"
    )
}

fn project() -> Sandbox {
    let sandbox = Sandbox::small();
    let compose = sandbox.read("compose.yaml");
    let compose = compose
        .replace("MARK: \"first\"", &format!("MARK: \"first\"\n      DOCUMENT: '{DOCUMENT}'"));
    let services = [
        compose,
        service("smoke", "echo asked $$ENVCTL_COLOR"),
        service("strict", "echo 1 of 9 tests failed; exit 3"),
        service("endless", "echo asking; exec sleep 600"),
    ];
    sandbox.write("compose.yaml", &services.concat());
    let proxy = "proxy:\n  routes:\n    - { listen: @PORT0@, to: web:8080 }\n    - { listen: @PORT1@, tls: true, to: web:8080 }\n";
    let yaml = sandbox.read("envctl.yaml");
    sandbox.write("envctl.yaml", &format!("{yaml}{proxy}"));
    sandbox
}

#[test]
fn each_kind_of_check_passes_and_fails_with_what_was_expected_and_what_came() {
    let sandbox = project();
    let _ = sandbox.ok("deploy green");
    let yaml = sandbox.read("envctl.yaml");
    sandbox.write("envctl.yaml", &format!("{yaml}{CHECKS}"));
    let failed = sandbox.envctl("test green --junit junit.xml").run().code(6);
    let mut text = failed.stderr.replace(&sandbox.name, "NAME");
    for (pattern, instead) in [
        (r"\(\d+ ms\)", "(TIME)"),
        (r"took [\d.]+ m?s", "took TIME"),
        (r"valid for \d+ days \(until [\d-]+\)", "valid for N days (until DATE)"),
        (r"\b\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}\b", "RELEASE"),
        (r"\b2\d{4}\b", "PORT"),
        (r" +\d+\.\d s", " TIME"),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    assert_snapshot!(text, @r#"
    test
    passed  status holds (TIME)
    FAILED  status fails (TIME): status 404 instead of 200 or 204: nobody
    passed  regex holds (TIME)
    FAILED  regex fails (TIME): nothing in the body matches `^second$`; the body begins with `first`
    passed  pointer holds (TIME)
    FAILED  pointer fails (TIME):
            `/items/0/id` is 7, not 8
            `/items/0/name` is "tea", which does not match `^coffee`
            nothing at `/items/1`
            `/ready` is there: true
    passed  header holds (TIME)
    FAILED  header fails (TIME):
            header `X-Color` is `green`, which does not match `^bl`
            header `X-Release` is there: `RELEASE`
            no header `X-Old`
    passed  latency holds (TIME)
    FAILED  latency fails (TIME): took TIME, more than 200 ms
    passed  certificate holds (TIME)
    FAILED  certificate fails (TIME):
            the certificate is valid for N days (until DATE), less than 99999
            the certificate does not do for `shop.example`: invalid peer certificate: certificate not valid for name "shop.example"; certificate is only valid for DnsName("localhost"), IpAddress(127.0.0.1) or IpAddress(0::1)
    passed  TLS holds (TIME)
    FAILED  TLS fails (TIME):
            the certificate is valid for N days (until DATE), less than 99999
            the body does not contain `second`; the body begins with `first`
    ✓ create green/smoke (debian:trixie-slim) TIME  a fresh one for each test
    ✓ run green/smoke TIME  checks
      green/smoke | asked green
    ✓ wait until green/smoke has ended well TIME  its exit code is the result
    passed  service holds (TIME)
    ✓ create green/strict (debian:trixie-slim) TIME  a fresh one for each test
    ✓ run green/strict TIME  checks
      green/strict | 1 of 9 tests failed
    ✗ wait until green/strict has ended well TIME  its exit code is the result
    FAILED  service fails (TIME): green/strict ended with exit code 3
      its log ends with:
        1 of 9 tests failed
    ✓ create green/endless (debian:trixie-slim) TIME  a fresh one for each test
    ✓ run green/endless TIME  checks
      green/endless | asking
    ✗ wait until green/endless has ended well TIME  its exit code is the result
    FAILED  service ends (TIME): green/endless did not end within 3 s
      its log ends with:
        asking
    error: green: 8 of 17 checks passed
    hint: `envctl logs green` shows the color
    "#);

    let junit = sandbox.read("junit.xml");
    assert!(junit.contains("tests=\"17\"") && junit.contains("failures=\"9\""), "{junit}");
    let json = sandbox.envctl("test green --json").run().code(6).json();
    for check in json["checks"].as_array().unwrap() {
        let holds = check["name"].as_str().unwrap().ends_with(" holds");
        assert_eq!(check["passed"], holds, "{check:#}");
    }
}

#[test]
fn a_result_counts_for_its_release_only_and_force_is_kept_in_the_history() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    let yaml = sandbox.read("envctl.yaml");
    sandbox.write("envctl.yaml", &format!("{yaml}checks: [{{ path: /mark, contains: second }}]\n"));
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("test green").says("1 of 1 checks passed");
    let _ = sandbox.ok("switch green --dry-run");
    let _ = sandbox.ok("status").shows("tests passed");

    // A new release of the same color has no result yet.
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("status").shows("not tested");
    let refused = sandbox.envctl("switch green").run().code(1);
    let release = sandbox.ok("status --json").json()["colors"]["green"]["release"].clone();
    let refused = refused.says(&format!("green was not tested ({})", release.as_str().unwrap()));
    let _ = refused.says("`envctl test green` runs the checks").says("`--force`");
    assert_eq!(sandbox.color(), "blue");

    let forced = sandbox.ok("switch green --force").says("green is live");
    let _ = forced.says("warning: green was not tested").says("it is switched to all the same");
    let all = sandbox.ok("history --json").json();
    let forced: Vec<bool> =
        all.as_array().unwrap().iter().map(|change| change["forced"] == true).collect();
    assert_eq!(forced, [false, false, false, false, true], "{all:#}");
    assert_eq!(sandbox.ok("history show 5 --json").json(), all[4]);
    let _ = sandbox.ok("history show 5").shows("forced    yes").shows("command   switch");
    assert!(!sandbox.ok("history show 2").stdout.contains("forced"));
}
