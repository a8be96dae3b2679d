//! The canonical Compose model: what a project says once every file is read, merged and completed.
//!
//! All types serialize in Compose's own shape and leave out what has its default.

mod build;
mod deploy;
mod health;
mod mount;
mod port;
mod project;
mod resource;
mod service;

pub use build::{Build, SshKey};
pub use deploy::{
    Deploy, DeviceCount, DeviceRequest, DiscreteResource, GenericResource, Placement, Preference,
    Resource, Resources, RestartPolicy, UpdateConfig,
};
pub use health::{HealthTest, Healthcheck};
pub use mount::{
    BindOptions, FileMount, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions,
};
pub use port::Port;
pub use project::Project;
pub use resource::{FileObject, Hidden, Ipam, IpamPool, Network, Volume};
pub use service::{
    BlkioConfig, Condition, Dependency, Device, EnvFile, Hook, Hosts, Logging, NetworkAttachment,
    Service, ThrottleDevice, Ulimit, WeightDevice,
};

/// Whether a value is its type's default, which is what an absent key reads as.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A struct of optional keys: unknown ones are refused, defaults are not written.
macro_rules! shape {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $name {
                $(
                    #[serde(skip_serializing_if = "crate::compose::types::is_default")]
                    $(#[$field_meta])*
                    pub $field: $type,
                )*
            }
        )*
    };
}
use shape;
