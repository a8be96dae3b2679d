//! The stack of AWS resources: how it stands, and what brings it to what it shall be.

mod connect;
mod deployment;
mod failure;
mod outputs;
mod standing;

pub use connect::{NoWay, connect};
pub use deployment::deploy;
pub use failure::AwsFailure;
pub use outputs::{filled, outputs_hash};
pub use standing::{Standing, standing};
