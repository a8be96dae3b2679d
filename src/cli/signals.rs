//! Ctrl-C and SIGTERM: a changing command ends in order, a reading one at once; a second signal ends either.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{error::CliError, exit::Exit};
use crate::ops::OpsError;

/// Runs a command until it ends or is interrupted.
pub async fn watch(
    cancel: &CancellationToken,
    changes: bool,
    command: impl Future<Output = Result<Exit, CliError>>,
) -> Result<Exit, CliError> {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return command.await;
    };
    tokio::pin!(command);
    loop {
        tokio::select! {
            result = &mut command => return result,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if !changes {
            // Nothing was done that could be told of.
            return Ok(Exit::Interrupted);
        }
        if cancel.is_cancelled() {
            return Err(OpsError::Interrupted.into());
        }
        cancel.cancel();
    }
}
