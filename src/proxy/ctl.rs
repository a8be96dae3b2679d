//! The other end of the control socket, for a person beside the proxy.

use std::{
    io::{self, Read as _, Write as _},
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
    let mut buffer = [0; 8192];
    loop {
        let count = stream.read(&mut buffer).map_err(broken)?;
        if count == 0 {
            return Ok(());
        }
        // An answer is there for who asked before they ask again.
        output.write_all(&buffer[..count]).and_then(|()| output.flush()).map_err(broken)?;
    }
}
