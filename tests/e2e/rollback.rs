//! `rollback` to a release that was cleaned up, and what the history says of it.

use std::process::Command;

use crate::support::{Sandbox, engine, engine::Kind, program};

/// The first release was live on blue and is cleaned up, the second is live, the checkout is ahead of both.
fn cleaned_up() -> Sandbox {
    let sandbox = Sandbox::small();
    let _ = git(&sandbox, "init --quiet");
    let _ = commit(&sandbox);
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    // Another image, so that the first one's is nobody's.
    sandbox.edit("web/Dockerfile", "CMD", "ENV SECOND=1\nCMD");
    let _ = commit(&sandbox);
    let _ = sandbox.ok("up").says("green is live");
    let _ = sandbox.ok("cleanup").says("blue is cleaned up");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("blue-")), [""; 0]);
    sandbox.mark_web("third");
    sandbox.write("web/serve.pl", "die 'of the third release';\n");
    sandbox
}

fn git(sandbox: &Sandbox, words: &str) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=tester", "-c", "user.email=tester@example.org"]);
    let _ = git.current_dir(sandbox.path("")).args(words.split(' '));
    program::run(&mut git).ok().stdout.trim().to_owned()
}

/// Commits the checkout, and returns its revision.
fn commit(sandbox: &Sandbox) -> String {
    let _ = git(sandbox, "add web compose.yaml envctl.yaml");
    let _ = git(sandbox, "commit --quiet --message=more");
    git(sandbox, "rev-parse HEAD")
}

fn kept(sandbox: &Sandbox) -> Vec<String> {
    let format = "{{.Repository}}:{{.Tag}}";
    let mut all = engine::lines(&format!("images --format {format}"));
    all.retain(|tag| tag.starts_with(&sandbox.thing("release:")));
    all.sort();
    all
}

#[test]
fn a_release_that_was_cleaned_up_serves_again_from_its_own_image_and_its_own_stack() {
    let sandbox = cleaned_up();
    assert_eq!(sandbox.ask("/mark"), "second");
    let dry = sandbox.ok("rollback --dry-run").shows("start blue/web");
    let _ = dry.says("then all routes switch to blue");
    assert_eq!(sandbox.color(), "green");

    let _ = sandbox.ok("rollback").says("blue is live");
    assert_eq!((sandbox.color().as_str(), sandbox.ask("/mark").as_str()), ("blue", "first"));

    // The history tells the revision, the image by its id, and the plan.
    let all = sandbox.ok("history --json").json();
    let all = all.as_array().unwrap();
    let commands: Vec<&str> = all.iter().map(|c| c["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["deploy", "switch", "deploy", "switch", "cleanup", "deploy", "rollback"]);
    let web = engine::ask(&["inspect", "--format", "{{.Image}}", &sandbox.thing("blue-web-1")]);
    assert_eq!(all[0]["image_ids"]["web"], web.as_str());
    for change in [1, 5, 6] {
        assert_eq!(all[change]["image_ids"]["web"], web.as_str(), "{}", all[change]);
    }
    assert_eq!(all[6]["replaced"], all[2]["release"]);
    for (change, revision) in
        [(0, "HEAD~1"), (2, "HEAD"), (3, "HEAD"), (5, "HEAD~1"), (6, "HEAD~1")]
    {
        let revision = git(&sandbox, &format!("rev-parse {revision}"));
        assert_eq!(all[change]["revision"], revision.as_str(), "{}", all[change]);
    }
    let page = sandbox.ok("history show 1").shows(&web).shows("start blue/web");
    let id = all[0]["id"].as_str().unwrap();
    assert_eq!(sandbox.ok(&format!("history show {id}")).stdout, page.stdout);
    let _ = sandbox.envctl("history show 99").run().code(2).says("no change `99`");

    // What is kept is for its owner's eyes only.
    let state = sandbox.thing("proxy-state");
    let mark = sandbox.mark();
    let list = format!(
        "run --rm {mark} --volume {state}:/state debian:trixie-slim stat --format %a:%n /state/releases/0.json"
    );
    assert_eq!(engine::lines(&list), ["600:/state/releases/0.json"]);
}

#[test]
fn an_image_that_is_gone_is_said_before_anything_is_touched() {
    let sandbox = cleaned_up();
    let kept = kept(&sandbox);
    assert_eq!(kept.len(), 2, "each release's: {kept:?}");
    let first = &kept[0];
    let id = engine::ask(&["inspect", "--format", "{{.Id}}", first]);
    let _ = engine::ask(&["rmi", "--force", &id]);
    let before = engine::named(Kind::Container, &sandbox.thing(""));
    let refused = sandbox.envctl("rollback").run().code(1);
    let refused = refused.says("images of release").says("are gone: web (");
    let _ = refused.says(&id).says("nothing was touched; deploy it anew");
    assert_eq!(engine::named(Kind::Container, &sandbox.thing("")), before);
    assert_eq!(sandbox.ask("/mark"), "second");
}
