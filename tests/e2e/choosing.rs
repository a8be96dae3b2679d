//! A color asked for by name on the live address, and assets that only the other color has, on a real engine.

use crate::support::{Sandbox, http};

#[test]
fn a_tester_sees_the_idle_color_and_an_old_page_still_gets_its_assets() {
    let sandbox = Sandbox::small();
    let _ = sandbox.envctl("config").run().code(0);
    let yaml = sandbox.read("envctl.yaml");
    let proxy = "proxy:\n  override: { header: X-Envctl-Color, cookie: preview }\n  routes: [{ listen: @PORT0@, to: web:8080, shared_assets: true }]\n";
    sandbox.write("envctl.yaml", &format!("{yaml}{proxy}"));
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    let port = sandbox.ports.get(0);
    let ask = |path: &str, headers: &[(&str, &str)]| http::send(port, "GET", path, headers, b"");
    assert_eq!(ask("/mark", &[]).status(200).text(), "first");
    for by in [("X-Envctl-Color", "green"), ("Cookie", "preview=green")] {
        let answer = ask("/mark", &[by]).status(200);
        assert_eq!(answer.text(), "second");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(ask("/mark", &[("X-Envctl-Color", "red")]).status(200).text(), "first");

    let _ = sandbox.ok("switch green");
    let asset = ask("/only/blue/app-3f2c1d9e.js", &[]).status(200);
    assert_eq!((asset.color(), asset.header("x-envctl-color")), ("blue", Some("blue")));
    assert_eq!(ask("/only/blue/app.js", &[]).status(404).color(), "green");
    let _ = sandbox.ok("cleanup");
    let _ = ask("/only/blue/app-3f2c1d9e.js", &[]).status(404);
    let _ = ask("/mark", &[("X-Envctl-Color", "blue")]).status(503);
    sandbox.edit("envctl.yaml", "header: X-Envctl-Color", "header: Host");
    let _ = sandbox.envctl("status").run().code(2).says("`Host` is no header");
}
