//! The nouns: names, labels, specifications, what was observed. No I/O. Imports `base` only.

mod color;
pub mod control;
mod hook;
pub mod labels;
mod names;
mod observed;
mod release;
mod routing;
mod spec;

pub use color::{Color, NotAColor};
pub use hook::{Hook, When};
pub use names::Names;
pub use observed::{Container, Health, Image, Inspection, Network, Observed, State, Usage, Volume};
pub use release::{Change, Holder, Outcome};
pub use routing::{Listener, PathRule, Route, Routing, Stack};
pub use spec::{
    Attachment, Blkio, BuildSpec, Device, FileSpec, Gpu, Healthcheck, Logging, Mount, NetworkSpec,
    Publish, Resources, Restart, ServiceSpec, Subnet, Test, Ulimit, VolumeSpec, hash_of,
};
