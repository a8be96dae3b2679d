//! Where a color or the live stack is reached.

use serde::Serialize;

use super::Session;
use crate::{compose, model::Color, plan::desired};

/// An address at which a route is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// `http://127.0.0.1:3010`.
    pub url: String,
    /// The route's live port.
    pub route: u16,
}

/// The addresses of a color's previews.
pub fn of(session: &Session<'_>, files: &compose::Project, color: Color) -> Vec<Preview> {
    addresses(session, files, Some(color))
}

/// The addresses of the live routes.
pub fn live(session: &Session<'_>, files: &compose::Project) -> Vec<Preview> {
    addresses(session, files, None)
}

fn addresses(
    session: &Session<'_>,
    files: &compose::Project,
    color: Option<Color>,
) -> Vec<Preview> {
    desired::listeners(session.project, files)
        .into_iter()
        .filter(|(listener, _)| listener.color == color)
        .map(|(listener, _)| {
            let scheme = match (listener.tcp, listener.tls) {
                (true, _) => "tcp",
                (false, true) => "https",
                (false, false) => "http",
            };
            Preview {
                url: format!("{scheme}://{}:{}", session.host, listener.port),
                route: listener.route,
            }
        })
        .collect()
}
