//! `down`: the app goes and comes back, the data stays.

use super::snapshots::sql;
use crate::support::{
    Sandbox,
    engine::{self, Kind},
};

#[test]
fn the_app_goes_with_all_that_is_its_own_and_up_brings_it_back_on_the_same_data() {
    let sandbox = Sandbox::small_with_database();
    let _ = sandbox.ok("up").says("blue is live");
    let insert = "INSERT INTO users (email, password_hash) VALUES ('kept@example.org', 'x')";
    let _ = sql(&sandbox, "devlocal", insert);
    sandbox.mark_web("second");
    let _ = sandbox.ok("up").says("green is live");
    let database = engine::container(&sandbox.thing("durable-mariadb"));

    // What serves does not go, nor what it needs, unless the name is given.
    for (words, told) in [
        ("down", "green is live: `devlocal` of"),
        ("down --confirm ci", "that is not `devlocal`"),
        ("durable down", "green is live, and its database goes down"),
        ("durable down --confirm ci", "that is not `devlocal`"),
    ] {
        let _ = sandbox.envctl(words).run().code(2).says(told);
    }
    for words in ["down --dry-run", "plan down"] {
        let _ = sandbox.ok(words).shows("stop the proxy").shows("remove container");
    }
    assert_eq!(sandbox.color(), "green");

    let _ = sandbox.ok("down --confirm devlocal").says("the app is down; data and history stay");
    let left = |kind| -> Vec<String> { sandbox.things(kind) };
    assert_eq!(left(Kind::Container), [sandbox.thing("durable-mariadb")]);
    assert_eq!(left(Kind::Network), [sandbox.thing("durable-network")]);
    let volumes = ["durable-mariadb-data", "proxy-state"].map(|rest| sandbox.thing(rest));
    assert_eq!(left(Kind::Volume), volumes);
    let images = engine::lines("images --format {{.Repository}}:{{.Tag}}");
    let own = |tag: &&String| tag.starts_with(&sandbox.name) && !tag.contains("mariadb");
    assert_eq!(images.iter().filter(own).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(engine::container(&sandbox.thing("durable-mariadb")), database);
    let _ = sandbox.ok("down").says("was down already");
    let _ = sandbox.envctl("down --confirm ci").run().code(2);
    let _ = sandbox.ok("history").shows("down").shows("switch");
    assert_eq!(sandbox.live(), None);

    let _ = sandbox.ok("up").says("blue is live");
    assert_eq!(sandbox.ask("/mark"), "second");
    assert_eq!(sql(&sandbox, "devlocal", "SELECT email FROM users"), "kept@example.org");

    // And all of it.
    let _ = sandbox.ok("down --confirm devlocal");
    let _ = sandbox.ok("durable down --volumes --confirm devlocal").says("a last snapshot is in");
    assert_eq!(Kind::ALL.map(left), [vec![], vec![], vec![sandbox.thing("proxy-state")]]);
}
