//! Which images are built, in which order, and which are not.

use super::stage::Stage;

const APP: &str = r#"
services:
  a: { build: ./app, ports: ["8000:80"] }
  b: { build: ./app }
  c: { build: ./child }
  base: { image: "shop/base:1", build: ./base, pull_policy: build }
  d: { build: { context: ./app, additional_contexts: { tools: "service:base" } } }
  e: { image: "shop/e:1", build: ./app, pull_policy: build }
"#;

fn stage() -> Stage {
    let stage = Stage::of("name: shop\napp: {}\n", APP);
    stage.file("app/Dockerfile", "FROM scratch\nCOPY . /\n");
    stage.file("base/Dockerfile", "FROM scratch\nCOPY . /\n");
    stage.file("base/file", "1");
    stage.file("child/Dockerfile", "ARG BASE=shop/base:1\nFROM $BASE\n");
    stage
}

/// The services whose images were built since the last look, in order.
fn built(stage: &Stage) -> Vec<String> {
    let calls = stage.engine.calls();
    stage.engine.forget_calls();
    let name = |call: &String| {
        let tag = call.strip_prefix("build shop")?.trim_start_matches(['-', '/']);
        Some(tag.split(':').next().unwrap_or(tag).to_owned())
    };
    calls.iter().filter_map(name).collect()
}

#[tokio::test]
async fn the_same_build_is_made_once_for_all_services_and_both_colors() {
    let stage = stage();
    stage.deploy().await.unwrap();
    let mut first = built(&stage);
    let at = |service: &str| first.iter().position(|it| it == service).unwrap();
    assert!(at("base") < at("c") && at("base") < at("d"), "{first:?}");
    // Another name is another image, but the builder has all of it by then.
    assert!(at("a") < at("e"), "{first:?}");
    first.sort();
    assert_eq!(first, ["a", "base", "c", "d", "e"]);

    stage.switch(None).await.unwrap();
    stage.deploy().await.unwrap();
    assert!(built(&stage).is_empty());

    stage.file("base/file", "2");
    stage.deploy().await.unwrap();
    let mut changed = built(&stage);
    changed.sort();
    assert_eq!(changed, ["base", "c", "d"]);
}

#[tokio::test]
async fn images_that_would_be_built_on_themselves_are_refused_with_their_place() {
    let stage = Stage::of(
        "name: shop\napp: {}\n",
        r#"
services:
  a: { build: { context: ./app, additional_contexts: { other: "service:b" } } }
  b: { build: { context: ./app, additional_contexts: { other: "service:a" } } }
"#,
    );
    stage.file("app/Dockerfile", "FROM scratch\n");
    let error = stage.deploy().await.unwrap_err().to_string();
    assert!(error.contains("compose.yaml:3:") && error.contains("a → b → a"), "{error}");
}
