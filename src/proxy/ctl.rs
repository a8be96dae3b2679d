//! The other end of the control socket, for a person beside the proxy.

use std::{
    io::{self, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
};

use super::error::ProxyError;

/// Passes the lines of standard input to the proxy and its answers to standard output, to the end of both.
pub fn ctl(socket: &Path) -> Result<(), ProxyError> {
    let unreachable = |source| ProxyError::Unreachable { socket: socket.to_owned(), source };
    let broken = |source| ProxyError::Broken { source };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    let mut asking = stream.try_clone().map_err(broken)?;
    std::thread::Builder::new()
        .spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut asking);
            let _ = asking.shutdown(Shutdown::Write);
        })
        .map_err(|source| ProxyError::Start { source })?;
    let mut output = io::stdout().lock();
    io::copy(&mut stream, &mut output).map_err(broken)?;
    output.flush().map_err(broken)
}
