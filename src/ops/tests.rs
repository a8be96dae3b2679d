//! Use cases on the in-memory engine.
