//! What shall be on the engine: Compose files and the project file, in the engine's terms.

mod app;
mod aws;
mod clone;
mod colors;
mod durable;
mod image;
mod limits;
mod mount;
mod proxy;
mod routes;
mod service;
mod support;
mod tls;

pub use app::{App, Source, app, layer_labels};
pub use clone::{CloneOf, Original, give_clone, mounts_on_copy};
pub use colors::{fixed_addresses, shared_addresses};
pub use durable::{Durable, durable};
pub use image::builds;
pub use proxy::{CA_VOLUME, CertificateFiles, Proxy, ca_volume, certificates, listeners, proxy};
pub use service::{Role, Service, is_of};
pub use tls::Certified;
