//! A color under watch: the proxy counts, and what is too much ends it.

use super::{ProxyError, RunError, proxy::tell, wait::again};
use crate::{
    engine::{self, Engine},
    model::{
        Color, Figures,
        control::{Answer, Request},
    },
    plan::Bake,
};

/// The time between two looks.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Watches until the time is over, or something is exceeded.
pub(super) async fn bake(
    engine: &dyn Engine,
    proxy: &str,
    color: Color,
    bake: &Bake,
    progress: &(dyn Fn(engine::Step) + Send + Sync),
) -> Result<(), RunError> {
    let judge = |figures: &Figures| {
        progress(engine::Step::Line(figures.to_string()));
        bake.exceeded(figures).map(RunError::Exceeded)
    };
    let looks = again(LOOK, async || {
        // What cannot be asked now is asked again; the last look has to be answered.
        let figures = figures(engine, proxy, color).await.ok()?;
        judge(&figures)
    });
    let exceeded = match tokio::time::timeout(bake.time, looks).await {
        Ok(error) => Some(error),
        Err(_) => judge(&figures(engine, proxy, color).await?),
    };
    exceeded.map_or(Ok(()), Err)
}

/// What came of the color's requests since they are counted; a proxy that began anew counts from now on.
async fn figures(engine: &dyn Engine, proxy: &str, color: Color) -> Result<Figures, ProxyError> {
    match tell(engine, proxy, &Request::Watched).await {
        Ok(Answer::Watched(figures)) => Ok(figures),
        Err(ProxyError::Refused(_)) => {
            tell(engine, proxy, &Request::Watch { color: Some(color) }).await?;
            Ok(Figures::default())
        }
        Ok(other) => Err(ProxyError::Garbled {
            container: proxy.to_owned(),
            reason: format!("{other:?} in place of figures"),
        }),
        Err(error) => Err(error),
    }
}
