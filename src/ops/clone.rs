//! A color's own copies of the durable layer's databases.

use super::{OpsError, Session, database::Database, durable::containers};
use crate::{
    database::Kind,
    model::{Observed, labels},
    plan::{
        clones_of,
        desired::{App, Original, give_clone},
    },
};

/// Gives a stack that is to be deployed a copy of each database. What is no database that can be copied is shared as
/// before, which a warning tells of a Redis.
pub(super) async fn give_all(
    session: &Session<'_>,
    observed: &Observed,
    app: &mut App,
) -> Result<(), OpsError> {
    let all = Database::all(session, observed).await?;
    if all.is_empty() {
        let place = "the durable layer, of whose databases there could be a clone".to_owned();
        return Err(OpsError::NoService { name: "(a database)".to_owned(), place, known: vec![] });
    }
    for database in &all {
        database.must_run()?;
        give(session, app, database).await?;
    }
    let durable = containers(&session.project.names, observed);
    let redis = durable.iter().filter(|found| Kind::of_container(found) == Some(Kind::Redis));
    app.warnings.extend(redis.filter_map(|found| {
        let service = found.label(labels::SERVICE)?;
        Some(format!(
            "`{service}` is no database that is cloned: {} uses the durable one",
            app.color
        ))
    }));
    Ok(())
}

/// Gives a color's stack, as its files have it, the copies that the color has.
pub(super) async fn give_standing(
    session: &Session<'_>,
    observed: &Observed,
    app: &mut App,
) -> Result<(), OpsError> {
    for service in clones_of(observed, &session.project.names, app.color) {
        let database = Database::find(session, observed, Some(&service)).await?;
        give(session, app, &database).await?;
    }
    Ok(())
}

async fn give(session: &Session<'_>, app: &mut App, database: &Database) -> Result<(), OpsError> {
    let Database { service, found, kind, volume } = database;
    // A tag may have moved: the copy gets the server that the data has.
    let named = session.engine.image(&found.image).await?;
    let same = named.is_some_and(|image| image.id == found.image_id);
    let image = if same { &found.image } else { &found.image_id };
    let original = Original { service, image, kind: *kind, volume };
    Ok(give_clone(app, &session.project.names, &original)?)
}
