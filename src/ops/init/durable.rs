//! Which services look as if they should outlive deployments.

use crate::{
    compose::{self, MountKind},
    database::Kind,
};

/// Names of services and images that keep data, beside the databases that [`Kind`] knows.
const KEEPERS: &[&str] = &[
    "cassandra",
    "clickhouse",
    "clickhouse-server",
    "cockroach",
    "consul",
    "couchdb",
    "database",
    "db",
    "elasticsearch",
    "etcd",
    "influxdb",
    "kafka",
    "mariadb",
    "meilisearch",
    "minio",
    "mongo",
    "mongodb",
    "mssql",
    "mysql",
    "nats",
    "neo4j",
    "opensearch",
    "pg",
    "postgres",
    "postgresql",
    "rabbitmq",
    "redis",
    "solr",
    "typesense",
    "valkey",
    "vault",
    "zookeeper",
];

/// The services that shall be durable, in the order of the files.
pub fn detect(files: &compose::Project, decisions: &mut Vec<String>) -> Vec<String> {
    let mut durable = vec![];
    for (key, own) in &files.services {
        let Some(what) = what(files, key, own) else { continue };
        match what {
            Look::Cache(what) => decisions.push(format!(
                "`{key}` comes and goes with its color: {what} without a named volume keeps nothing"
            )),
            Look::Durable(what) if own.replicas() != 1 => decisions.push(format!(
                "`{key}` has {what} but {} containers: not durable, as a durable service has one",
                own.replicas()
            )),
            Look::Durable(what) => {
                decisions.push(format!(
                    "`{key}` has {what}: durable, it stays while the colors come and go"
                ));
                durable.push(key.clone());
            }
        }
    }
    if durable.is_empty() {
        decisions.push(
            "no service looks like a database: nothing is durable; `durable.services` names what shall be".to_owned(),
        );
    }
    durable
}

enum Look {
    Durable(String),
    Cache(&'static str),
}

fn what(files: &compose::Project, key: &str, own: &compose::Service) -> Option<Look> {
    let volume = named_volumes(files, own).next();
    let database = match own.image.as_deref().and_then(Kind::of_image) {
        Some(Kind::Redis) if volume.is_none() => return Some(Look::Cache("a Redis")),
        Some(Kind::Redis) => Some("a Redis"),
        Some(Kind::MariaDb) => Some("a MariaDB"),
        Some(Kind::MySql) => Some("a MySQL"),
        Some(Kind::Postgres) => Some("a PostgreSQL"),
        None => None,
    };
    if let Some(database) = database {
        return Some(Look::Durable(database.to_owned()));
    }
    let image = own.image.as_deref().and_then(last_part);
    let known = [Some(key), image].into_iter().flatten().find(|name| KEEPERS.contains(name))?;
    Some(Look::Durable(format!("the volume `{}` and the name `{known}`", volume?)))
}

/// `minio` of `quay.io/minio/minio:latest`.
fn last_part(reference: &str) -> Option<&str> {
    reference.rsplit('/').next()?.split(['@', ':']).next()
}

/// The project's own volumes that a service mounts.
pub fn named_volumes<'a>(
    files: &'a compose::Project,
    own: &'a compose::Service,
) -> impl Iterator<Item = &'a String> {
    own.volumes
        .iter()
        .filter(|mount| mount.kind == MountKind::Volume)
        .filter_map(|mount| mount.source.as_ref())
        .filter(|name| files.volumes.get(*name).is_none_or(|volume| !volume.external))
}
