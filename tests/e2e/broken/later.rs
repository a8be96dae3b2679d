//! A service that ends after its deployment has ended well, when nothing looks at it any more.

use insta::assert_snapshot;

use super::{live, told};
use crate::support::{Sandbox, engine, wait};

const QUEUE: &str = "  queue:
    image: debian:trixie-slim
    init: true
    stop_grace_period: 1s
    command: [sh, -c, 'until test -e /gone; do sleep 0.1; done; echo the broker is gone; exit 3']
";

/// Green is deployed, and its queue, which no route leads to, ended afterwards.
fn ended() -> Sandbox {
    let (sandbox, _) = live();
    sandbox.write("compose.yaml", &format!("{}{QUEUE}", sandbox.read("compose.yaml")));
    let _ = sandbox.ok("deploy green");
    let queue = sandbox.thing("green-queue-1");
    let _ = engine::ask(&["exec", &queue, "touch", "/gone"]);
    wait::until_true(std::time::Duration::from_secs(30), "the queue ended", || {
        engine::ask(&["inspect", "--format", "{{.State.Running}}", &queue]) == "false"
    });
    sandbox
}

#[test]
fn it_is_seen_in_status_and_its_color_gets_no_traffic() {
    let sandbox = ended();
    let status = sandbox.ok("status").stdout;
    let queue = status.lines().find(|line| line.contains("queue")).unwrap();
    assert!(queue.contains("green") && queue.contains("stopped (3)"), "{status}");

    let _ = sandbox.ok("switch green --dry-run").shows("it does not run");
    let refused = sandbox.envctl("switch green").run().code(6);
    assert_snapshot!(told(&sandbox, &refused), @"
    error: green/queue ended with exit code 3
      its log ends with:
        the broker is gone
    hint: no traffic was moved; green stands for a look: `envctl logs green queue`, `envctl status`
    ");
    let share = sandbox.envctl("switch green --weight 10").run().code(6);
    let _ = share.says("green/queue ended with exit code 3");
    assert_eq!(sandbox.color(), "blue");
    let _ = sandbox.ok("history").shows("failed after").shows("green/queue ended with exit code 3");

    let forced = sandbox.ok("switch green --force").says("green is live");
    let _ = forced.says("warning: green/queue does not run");
    let _ = sandbox.ok("history").shows("(forced)");

    // A replica that ended is no service that ended.
    let _ = sandbox.ok("scale web=2 blue");
    let _ = engine::docker(&format!("kill {}", sandbox.thing("blue-web-2"))).ok();
    let _ = sandbox.ok("switch blue").says("blue is live");
}

#[test]
fn a_rollback_to_its_color_warns_and_goes_on() {
    let sandbox = ended();
    let _ = sandbox.ok("switch green --force");
    let _ = sandbox.ok("rollback").says("blue is live");
    let back = sandbox.ok("rollback").says("green is live");
    let _ = back.says("warning: green/queue does not run; green is switched to all the same");
}
