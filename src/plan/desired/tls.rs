//! Databases that show a certificate of the local authority (`durable.tls`): what their containers have for it.

use std::collections::BTreeSet;

use super::{app::layer_labels, service::Place};
use crate::{
    compose::{self, Problem},
    config::{self, DatabaseTls},
    database::{AppUser, Kind, lacks_includes},
    model::{Mount, Names, ServiceSpec, VolumeSpec, database_tls::FOLDER},
};

/// A database that shows a certificate of the local authority.
#[derive(Debug, Clone, PartialEq)]
pub struct Certified {
    pub service: String,
    pub container: String,
    pub kind: Kind,
    /// Who gets the key: a name or numbers, `user[:group]`.
    pub user: String,
    /// What it is reached by.
    pub names: Vec<String>,
    /// The volumes of its certificate, and of what its clients see.
    pub own: String,
    pub public: String,
}

/// The volumes with a database's certificate, and with the authority's for its clients.
pub(super) fn volumes(names: &Names, key: &str) -> [VolumeSpec; 2] {
    let volume = |name: String, layer: &str| VolumeSpec {
        name,
        labels: layer_labels(names, layer),
        ..VolumeSpec::default()
    };
    let own = volume(names.durable_volume(&format!("{key}-tls")), "durable");
    // Both colors mount it, and it has nothing that is not public: it does not go with the data.
    [own, volume(names.authority(), "ca")]
}

/// Gives the container of a service that the project file lists what it needs; nothing to others.
pub(super) fn certified(
    project: &config::Project,
    place: &Place<'_>,
    own: &compose::Service,
    spec: &mut ServiceSpec,
    problems: &mut Vec<Problem>,
) -> Option<Certified> {
    let key = place.key;
    let asked = *project.file.durable.tls.get(key)?;
    let mut no = |reason: &str| {
        problems.push(project.problem(&["durable", "tls", key], reason));
        None
    };
    let kind = own.image.as_deref().and_then(Kind::of_image);
    let Some(kind) = kind.filter(|kind| kind.is_copied()) else {
        return no("only MariaDB, MySQL and PostgreSQL can have TLS, known by their `image`");
    };
    let required = asked == DatabaseTls::Required;
    let user = app_user(kind, spec);
    if user.is_none() && required {
        let variables = kind.user_variables().join(" or ");
        return no(&format!("`required` needs the application's user, in `{variables}`"));
    }
    if required && own.image.as_deref().is_some_and(lacks_includes) {
        return no(
            "`required` needs PostgreSQL 16: docs/durable.md has how an older one gets there by `offered`",
        );
    }
    let words = spec.command.get_or_insert_with(|| vec![kind.server().to_owned()]);
    let is_server = |word: &String| {
        word.starts_with('-') || matches!(word.as_str(), "mariadbd" | "mysqld" | "postgres")
    };
    if !words.first().is_some_and(is_server) {
        return no("its `command` is not the server's own, so no words can be added to it");
    }
    let user = user.as_deref().map(|name| AppUser { name, required });
    let data = spec.environment.get("PGDATA").map_or(kind.data(), String::as_str);
    let settings = kind.tls(user, data);
    words.extend(settings.arguments);
    spec.files.extend(settings.files);
    let [volume, public] = volumes(&project.names, key).map(|volume| volume.name);
    spec.mounts.push(Mount::Volume {
        source: Some(volume.clone()),
        target: FOLDER.to_owned(),
        read_only: true,
        nocopy: true,
        subpath: None,
    });
    let mut names: BTreeSet<&str> = ["localhost", "127.0.0.1", "::1", key, &spec.name].into();
    names.extend(spec.networks.iter().flat_map(|network| &network.aliases).map(String::as_str));
    names.extend(spec.hostname.as_deref());
    Some(Certified {
        service: key.to_owned(),
        container: spec.name.clone(),
        kind,
        user: spec.user.clone().unwrap_or_else(|| kind.user().to_owned()),
        names: names.into_iter().map(str::to_owned).collect(),
        own: volume,
        public,
    })
}

/// The application's user, as the image is told.
fn app_user(kind: Kind, spec: &ServiceSpec) -> Option<String> {
    let of = |variable: &&str| {
        let value = spec.environment.get(*variable).filter(|value| !value.is_empty());
        value.cloned().or_else(|| {
            let path = spec.environment.get(&format!("{variable}_FILE"))?;
            let file = spec.files.iter().find(|file| file.path == *path)?;
            Some(String::from_utf8_lossy(&file.content).trim_end().to_owned())
        })
    };
    let named = kind.user_variables().iter().find_map(of);
    named.or_else(|| (kind == Kind::Postgres).then(|| "postgres".to_owned()))
}
