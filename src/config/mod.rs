//! The project file, the environment chosen and the variables that its files see. The only place that reads the
//! process's environment. Imports `base`, `model`, `compose` (whose reader it uses for `envctl.yaml`) and `aws` (which makes
//! a template of what the file says).

mod aws;
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
#[cfg(test)]
mod tests;

pub use aws::{Aws, AwsFile, Endpoint};
pub use checks::{
    Ask, Check, Expected, Header, Method, Pattern, Pointer, PreviewCheck, RequestCheck, Send,
    TlsCheck,
};
pub use chooser::ChooserFile;
pub use credentials::{
    Written, change as change_credentials, random_key, write as write_credentials,
};
pub use file::{
    AppFile, DatabaseTls, DurableFile, EnvironmentFile, Keep, ProjectFile, ProxyFile, SnapshotsFile,
};
pub use hooks::{HookFile, Hooks};
pub use project::{ConfigError, FILE, Project};
pub use route::{Destination, Listen, RouteFile, Spoken, Target, Tls, TlsFiles};
pub use shell::Shell;
