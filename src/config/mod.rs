//! The project file, the environment chosen and the variables that its files see. The only place that reads the
//! process's environment. Imports `base`, `model` and `compose` (whose reader it uses for `envctl.yaml`).

mod credentials;
mod file;
mod project;
mod route;
mod scalar;
mod shell;

pub use credentials::{Written, write as write_credentials};
pub use file::{AppFile, Check, DurableFile, EnvironmentFile, Hooks, ProjectFile, ProxyFile};
pub use project::{ConfigError, FILE, Project};
pub use route::{Destination, Listen, RouteFile, Spoken, Target, Tls, TlsFiles};
pub use shell::Shell;
