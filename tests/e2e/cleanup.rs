//! `cleanup` and what is kept: the drain of what is open, what cannot be removed, and the images of releases.

use std::{thread, time::Duration};

use crate::support::{
    Sandbox,
    engine::{self, Kind},
    http::{self, Connection},
    wait,
};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn it_waits_for_what_is_open_and_cuts_nothing_off() {
    let sandbox = Sandbox::small();
    let yaml = sandbox.read("envctl.yaml");
    sandbox.write("envctl.yaml", &format!("{yaml}proxy: {{ drain: 2s }}\n"));
    let _ = sandbox.ok("up").says("blue is live");
    let (port, web) = (sandbox.ports.get(0), sandbox.thing("blue-web-1"));
    let slow = thread::spawn(move || http::get(port, "/until/told"));
    let mut events = Connection::open(port).unwrap();
    let head = events.begin("GET", "/events", &[], b"").unwrap().status(200);
    assert_eq!(head.color(), "blue");
    wait::until_true(SOON, "the request has come to blue", || {
        engine::docker(&format!("logs {web}")).stdout.contains("waiting until told")
    });
    sandbox.mark_web("second");
    let _ = sandbox.ok("deploy green");
    let _ = sandbox.ok("switch green").says("blue drains: 1 request");

    let mut cleanup = sandbox.envctl("cleanup").start();
    wait::until_true(SOON, "it is under way", || {
        sandbox.ok("status").stdout.contains("under way: `cleanup`")
    });
    // The stream ends with the drain, the request when it is answered.
    while let Ok(Some(_)) = events.chunk() {}
    assert!(!cleanup.is_over() && !slow.is_finished(), "{}", cleanup.said());
    let _ = sandbox.ok("status").shows("draining: 1 request");
    let _ = engine::ask(&["exec", &web, "touch", "/told"]);
    let answer = slow.join().unwrap().status(200);
    assert_eq!(answer.color(), "blue");
    let _ = cleanup.end(SOON).ok().says("wait until nothing is open on blue");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("blue-")), [""; 0]);
    assert_eq!(sandbox.color(), "green");
}

#[test]
fn what_cannot_be_removed_is_told_at_the_end_and_all_else_is_gone() {
    let sandbox = Sandbox::small();
    sandbox.edit("compose.yaml", "    ports:", "    volumes: [data:/data]\n    ports:");
    let compose = sandbox.read("compose.yaml");
    sandbox.write("compose.yaml", &format!("{compose}volumes: {{ data: }}\n"));
    let _ = sandbox.ok("up").says("blue is live");
    let image = image(&sandbox, "blue");
    sandbox.edit("web/Dockerfile", "CMD", "ENV SECOND=1\nCMD");
    let _ = sandbox.ok("up").says("green is live");

    // Somebody else uses blue's network, its volume and its image.
    let (network, volume) = (sandbox.thing("blue-network"), sandbox.thing("blue-data"));
    let (mark, other) = (sandbox.mark(), format!("{}-other", sandbox.name));
    let run = format!(
        "run --detach --init --name {other} {mark} --network {network} --volume {volume}:/x"
    );
    let _ = engine::docker(&format!("{run} {image} sleep 1000")).ok();
    let failed = sandbox.envctl("cleanup").run().code(1);
    insta::assert_snapshot!(told(&sandbox, &failed.stderr), @"
    error: 2 steps failed:
      remove network `NAME-devlocal-blue-network`: error while removing network: network NAME-devlocal-blue-network id ID has active endpoints
      remove volume `NAME-devlocal-blue-data`: remove NAME-devlocal-blue-data: volume is in use - [ID]
    hint: all else is done; running the command again tries what is left
    ");
    let left = Kind::ALL.map(|kind| engine::named(kind, &sandbox.thing("blue-")));
    assert_eq!(left, [vec![], vec![network], vec![volume]]);
    assert_eq!(sandbox.color(), "green");
    let _ = sandbox.ok("history").shows("failed after").shows("2 steps failed");
    assert!(exists(&image), "it is in use");

    let _ = engine::docker(&format!("rm --force {other}")).ok();
    let _ = sandbox.ok("cleanup").says("blue is cleaned up");
    let left = Kind::ALL.map(|kind| engine::named(kind, &sandbox.thing("blue-")));
    assert_eq!(left, [const { vec![] }; 3] as [Vec<String>; 3]);
    let _ = sandbox.ok("cleanup").says("nothing to clean up");
}

/// From its first `error:` on, without what differs from run to run; the failures, which come as they happen, sorted.
fn told(sandbox: &Sandbox, stderr: &str) -> String {
    let text = stderr[stderr.find("error: ").unwrap()..].replace(&sandbox.name, "NAME");
    let text = regex::Regex::new(r"\b[0-9a-f]{12,64}\b").unwrap().replace_all(&text, "ID");
    // Newer engines name them.
    let text = regex::Regex::new(r"endpoints .*").unwrap().replace_all(&text, "endpoints");
    let mut lines: Vec<&str> = text.lines().collect();
    let last = lines.len() - 1;
    lines[1..last].sort_unstable();
    lines.join("\n")
}

/// The id of the image that a color runs.
fn image(sandbox: &Sandbox, color: &str) -> String {
    engine::ask(&["inspect", "--format", "{{.Image}}", &sandbox.thing(&format!("{color}-web-1"))])
}

fn exists(image: &str) -> bool {
    engine::docker(&format!("image inspect {image}")).code == Some(0)
}

#[test]
fn images_of_releases_beyond_the_retained_go_and_the_others_stay() {
    let sandbox = Sandbox::small();
    sandbox.edit("envctl.yaml", "app:\n", "app:\n  retain: 2\n");
    let dockerfile = sandbox.read("web/Dockerfile");
    let mut images = vec![];
    for number in 1..=5 {
        sandbox.write(
            "web/Dockerfile",
            &dockerfile.replace("CMD", &format!("ENV NUMBER={number}\nCMD")),
        );
        sandbox.mark_web(&number.to_string());
        let _ = sandbox.ok("up");
        images.push(image(&sandbox, &sandbox.color()));
    }
    let there = || images.iter().map(|image| exists(image)).collect::<Vec<_>>();
    let kept = || {
        let mut all = engine::lines("images --format {{.Repository}}:{{.Tag}}");
        all.retain(|tag| tag.starts_with(&sandbox.thing("release:")));
        all.len()
    };
    // What stands is kept too.
    assert_eq!(kept(), 3, "{:?}", there());

    let _ = sandbox.ok("cleanup").says("green is cleaned up");
    assert_eq!(there(), [false, false, false, true, true]);
    assert_eq!(kept(), 2);
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("green-")), [""; 0]);
    let _ = sandbox.envctl("rollback --to 1").run().code(1).says("its stack was not kept");
    let _ = sandbox.ok("rollback").says("green is live");
    assert_eq!((image(&sandbox, "green"), sandbox.ask("/mark")), (images[3].clone(), "4".into()));
}
