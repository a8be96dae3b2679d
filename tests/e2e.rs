//! Every test on a real engine, one module a subject.
