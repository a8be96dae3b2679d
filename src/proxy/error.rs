//! Why the proxy does not start, or not go on.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::base::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("`{}` is not a state that this version can read: {reason}", path.display())]
    State { path: PathBuf, reason: String },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot listen on `{address}`: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot use the local CA in `{}`: {reason}", folder.display())]
    Ca { folder: PathBuf, reason: String },
    #[error("`{name}` cannot stand in a certificate")]
    Name { name: String },
    #[error("cannot start a thread or a runtime: {source}")]
    Start { source: io::Error },
    #[error("no proxy answers at `{}`: {source}", socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error("the conversation with the proxy broke off: {source}")]
    Broken { source: io::Error },
}
