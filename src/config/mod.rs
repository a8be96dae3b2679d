//! The project file, the environment chosen and the variables that its files see. The only place that reads the
//! process's environment. Imports `base`, `model` and `compose` (whose reader it uses for `envctl.yaml`).

mod checks;
mod chooser;
mod credentials;
mod file;
mod hooks;
mod named;
mod project;
mod route;
mod scalar;
mod shell;

pub use checks::{
    Ask, Check, Expected, Header, Method, Pattern, Pointer, PreviewCheck, RequestCheck, Send,
    TlsCheck,
};
pub use chooser::ChooserFile;
pub use credentials::{
    Written, change as change_credentials, random_key, write as write_credentials,
};
pub use file::{
    AppFile, DurableFile, EnvironmentFile, Keep, ProjectFile, ProxyFile, SnapshotsFile,
};
pub use hooks::{HookFile, Hooks};
pub use project::{ConfigError, FILE, Project};
pub use route::{Destination, Listen, RouteFile, Spoken, Target, Tls, TlsFiles};
pub use shell::Shell;
