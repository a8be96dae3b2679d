//! `--cleanup-on-failure`: what a failed deployment left goes again, after its evidence was told.

use crate::support::engine::{self, Kind};

use super::live;

#[test]
fn a_failed_deployment_is_told_and_removed_and_keeps_its_exit_code() {
    let (sandbox, blue) = live();
    let before = Kind::ALL.map(|kind| sandbox.things(kind));
    sandbox.edit(
        "compose.yaml",
        "    ports:",
        "    command: [sh, -c, \"echo no flour left >&2; exit 9\"]\n    volumes: [data:/data]\n    ports:",
    );
    sandbox
        .write("compose.yaml", &format!("{}volumes: {{ data: }}\n", sandbox.read("compose.yaml")));
    for command in ["deploy green", "up"] {
        let failed = sandbox.envctl(&format!("{command} --cleanup-on-failure")).run().code(6);
        let at = |text: &str| {
            failed.stderr.find(text).unwrap_or_else(|| panic!("no `{text}`: {failed}"))
        };
        let evidence = at("error: green/web ended with exit code 9");
        assert!(evidence < at("no flour left"), "{failed}");
        assert!(at("no flour left") < at("remove container"), "evidence first: {failed}");
        assert!(at("remove container") < at("green was not deployed; what stood of it is removed"));
        assert_eq!(Kind::ALL.map(|kind| sandbox.things(kind)), before);
        assert_eq!(sandbox.color(), "blue");
    }
    assert_eq!(engine::container(&sandbox.thing("blue-web-1")), Some(blue));
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("lock")), [""; 0]);
}
