//! The nouns: names, labels, specifications, what was observed. No I/O. Imports `base` only.

mod certificate;
mod color;
pub mod control;
pub mod database_tls;
mod figures;
mod hook;
pub mod labels;
mod names;
mod observed;
mod release;
mod route;
mod routing;
mod spec;

pub use certificate::{Certificate, Certificates, Shown};
pub use color::{Color, NotAColor};
pub use figures::Figures;
pub use hook::{Hook, When};
pub use names::Names;
pub use observed::{Container, Health, Image, Inspection, Network, Observed, State, Usage, Volume};
pub use release::{Change, Holder, Outcome};
pub use route::{Chooser, PathRule, Probe, Protocol, Route, RouteLimits};
pub use routing::{AccessFormat, Canary, Listener, Maintenance, Routing, Stack};
pub use spec::{
    Attachment, Blkio, BuildSecret, BuildSpec, Device, FileSpec, Gpu, Healthcheck, Logging, Mount,
    NetworkSpec, Publish, Resources, Restart, ServiceSpec, Subnet, Test, Ulimit, VolumeSpec,
    hash_of,
};
