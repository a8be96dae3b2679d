//! Planners: the printed plan is the specification.

mod aws;
mod certificates;
mod cleanup;
mod clone;
mod deploy;
mod down;
mod durable;
mod durable_apply;
mod durable_down;
mod images;
mod keys;
mod order;
mod properties;
mod proxy;
mod refusals;
mod split;
mod stage;
mod switch;
mod world;
