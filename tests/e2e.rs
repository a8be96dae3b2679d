//! Every test on a real engine, one module a subject. Without an engine they fail.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "tests")]

#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

mod e2e {
    mod aws;
    mod aws_resources;
    mod bake;
    mod bench;
    mod broken;
    mod browser;
    mod builds;
    mod canary;
    mod checks;
    mod choosing;
    mod cleanup;
    mod color_clones;
    mod connections;
    mod copies;
    mod crashes;
    mod docs;
    mod down;
    mod durable;
    mod durable_states;
    mod elsewhere;
    mod encryption;
    mod engines;
    mod environments;
    mod flow;
    mod hook_failures;
    mod hooks;
    mod interrupted;
    mod killed;
    mod kills;
    mod outage;
    mod pipeline;
    mod progress;
    mod proof;
    mod proxy;
    mod refused;
    mod restarted;
    mod rollback;
    mod scale;
    mod shop;
    mod snapshots;
    mod story;
    mod switching;
    mod traffic;
    mod unmodified;
}
