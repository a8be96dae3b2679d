//! Runs a test service to its end in the color.

use std::{collections::BTreeMap, time::Duration};

use super::{super::aws, Tester};
use crate::{
    ops::{OpsError, clone, sources},
    plan::{self, Test},
    run::RunError,
};

impl Tester<'_> {
    /// Returns what is wrong: nothing when it ended with 0.
    pub(super) async fn run(
        &self,
        service: &str,
        limit: Duration,
    ) -> Result<Vec<String>, OpsError> {
        let session = self.session;
        let (_, mut app) =
            sources::app(session, self.color, self.release, &BTreeMap::new()).await?;
        let observed = session.observe().await?;
        clone::give_standing(session, &observed, &mut app).await?;
        let Some(service) = app.tests.iter().find(|test| test.key == service) else {
            return Ok(vec![format!("`{service}` is a service of the durable layer")]);
        };
        let images = sources::images(session, [service].into_iter()).await?;
        let plan = plan::test(&Test {
            names: &session.project.names,
            color: self.color,
            service,
            observed: &observed,
            images: &images,
            limit,
            aws: aws::for_outputs(session, &observed, self.color)?,
        })?;
        match session.execute(&plan, Some(self.color)).await {
            Ok(_) => Ok(vec![]),
            // It was run and failed, or it cannot be run: either is a failed check.
            Err(OpsError::Failed { failure, .. }) => Ok(vec![match failure.source {
                RunError::NotHealthy(evidence) => evidence.to_string(),
                _ => failure.to_string(),
            }]),
            Err(error) => Err(error),
        }
    }
}
