//! Every test that needs no engine, one module a subject.
#![expect(clippy::unwrap_used, reason = "tests")]

mod cli;
mod layers;
