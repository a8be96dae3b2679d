//! The project's `networks`, `volumes`, `secrets` and `configs`.

use std::fmt;

use indexmap::IndexMap;

use super::shape;

shape! {
    pub struct Network {
        /// The engine's name for it.
        pub name: Option<String>,
        pub driver: Option<String>,
        pub driver_opts: IndexMap<String, String>,
        pub ipam: Ipam,
        pub external: bool,
        pub internal: bool,
        pub attachable: bool,
        pub labels: IndexMap<String, String>,
        pub enable_ipv4: Option<bool>,
        pub enable_ipv6: Option<bool>,
    }

    pub struct Ipam {
        pub driver: Option<String>,
        pub config: Vec<IpamPool>,
        pub options: IndexMap<String, String>,
    }

    pub struct IpamPool {
        pub subnet: Option<String>,
        pub ip_range: Option<String>,
        pub gateway: Option<String>,
        pub aux_addresses: IndexMap<String, String>,
    }

    pub struct Volume {
        /// The engine's name for it.
        pub name: Option<String>,
        pub driver: Option<String>,
        pub driver_opts: IndexMap<String, String>,
        pub external: bool,
        pub labels: IndexMap<String, String>,
    }

    /// A secret or a config of the project.
    pub struct FileObject {
        pub name: Option<String>,
        /// The file that holds it (absolute once loaded).
        pub file: Option<String>,
        /// The variable that holds it.
        pub environment: Option<String>,
        /// The text itself (configs only).
        pub content: Option<String>,
        pub external: bool,
        pub labels: IndexMap<String, String>,
        pub driver: Option<String>,
        pub driver_opts: IndexMap<String, String>,
        pub template_driver: Option<String>,
        /// The value of the variable that `environment` names, if it is set. Never written.
        #[serde(skip)]
        pub value: Option<Hidden>,
    }
}

/// A text that is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
