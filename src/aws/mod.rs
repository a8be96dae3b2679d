//! AWS: the CloudFormation template of what a project describes (pure), the outputs that services use, and a thin client
//! of the services that it takes to deploy one. Imports `base`.

mod calls;
mod client;
mod compare;
mod error;
mod outputs;
mod parameters;
mod properties;
mod resources;
mod secret;
mod short;
mod template;
#[cfg(test)]
mod tests;
mod xml;

pub use calls::{Change, ChangeSet, Deployed, Event, Message, Moved, Scripts, Stack};
pub use client::{Client, Credentials};
pub use compare::{Changes, Resource, compare};
pub use error::AwsError;
pub use outputs::{PREFIX as OUTPUTS, fill, uses, variable};
pub use parameters::{HIDDEN, Parameter, Values, filled};
pub use resources::{Resources, Section, Wrong};
pub use secret::{Part, Secret};
pub use template::rehearsed;
pub use template::{Template, template};
