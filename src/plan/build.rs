//! `build`: the images that services need and that are not there.

use std::collections::BTreeMap;

use super::{Plan, desired::Service, stack};
use crate::model::Image;

/// Plans to get each image that is missing; `images` are those on the engine, by reference.
pub fn build<'a>(
    services: impl Iterator<Item = &'a Service>,
    images: &'a BTreeMap<String, Image>,
) -> Plan {
    let mut plan = Plan::default();
    stack::images(&mut plan, services, images);
    plan
}
