//! The proxy is killed under load: it comes back by itself, with the same color live. How long that takes is printed.

use std::{process::Command, thread, time::Instant};

use crate::support::{
    Sandbox, engine,
    http::{self, Connection},
    load::Load,
    program::{self, LIMIT},
    wait,
};

#[test]
fn a_proxy_that_is_killed_is_back_by_itself_with_the_same_live_color() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("switch green").says("green is live");
    let port = sandbox.ports.get(0);
    let proxy = sandbox.thing("proxy");
    let pid = engine::ask(&["inspect", "--format", "{{.State.Pid}}", &proxy]);

    // What fails while it is away is no failure of the test.
    let load = Load::default();
    let back = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while load.goes_on() {
                    let _ = Connection::open(port).and_then(|mut connection| connection.get("/"));
                }
            });
        }
        let _ = http::wait_for(port, "/", LIMIT);
        // By its number: `docker kill` would tell the engine not to start it again.
        let killed = Instant::now();
        let _ = program::run(Command::new("sh").args(["-c", &format!("kill -9 {pid}")])).ok();
        let back = wait::until(LIMIT, "an answer of the proxy", || {
            let answer = Connection::open(port).and_then(|mut c| c.get("/")).ok()?;
            (answer.status == 200).then(|| (killed.elapsed(), answer.color().to_owned()))
        });
        load.stop();
        back
    });
    let (outage, color) = back;
    println!("killed with -9, the proxy answered again after {} ms", outage.as_millis());
    assert_eq!(color, "green");
    let status = sandbox.ok("status --json").json();
    assert_eq!((&status["live"], &status["proxy"]["restarts"]), (&"green".into(), &1.into()));
    let _ = sandbox.ok("switch blue").says("blue is live");
    assert_eq!(sandbox.color(), "blue");
}
