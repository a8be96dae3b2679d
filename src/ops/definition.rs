//! What a durable container was made from, kept in a label for people: field by field, without secrets. Equal or not is
//! told by the hash; this tells what differs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    OpsError, Session,
    secret::{REDACTED, Secret, is_secret},
};
use crate::{
    model::{Observed, ServiceSpec, labels},
    plan::{
        Difference, FieldChange,
        desired::{Durable, is_of},
    },
};

/// By field: `command[1]`, `environment.NAME`, `ports[0].host_port`.
type Fields = BTreeMap<String, String>;

/// Puts the label on the services of the layer.
pub(super) fn label(durable: &mut Durable, secret: &Secret) {
    for spec in durable.services.iter_mut().flat_map(|service| &mut service.replicas) {
        let fields = serde_json::to_string(&fields(spec, secret)).expect("a map of texts");
        spec.labels.insert(labels::DEFINITION.to_owned(), fields);
    }
}

fn fields(spec: &ServiceSpec, secret: &Secret) -> Fields {
    let mut bare = spec.clone();
    bare.labels.retain(|key, _| {
        !key.starts_with("dev.envctl.") && !key.starts_with("com.docker.compose.")
    });
    for file in &mut bare.files {
        file.content.clear();
    }
    let mut all = Fields::new();
    let whole = serde_json::to_value(&bare).expect("specifications have string keys only");
    flatten("", &whole, &mut all);
    for (field, value) in &mut all {
        let name = field.strip_prefix("environment.");
        *value = match name {
            Some(name) if is_secret(name) => REDACTED.to_owned(),
            _ => secret.shown(value),
        };
    }
    all
}

/// The leaves that say something, by their paths.
fn flatten(path: &str, value: &Value, into: &mut Fields) {
    match value {
        Value::Object(map) => {
            for (key, member) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, member, into);
            }
        }
        Value::Array(list) => {
            for (index, member) in list.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), member, into);
            }
        }
        Value::Null | Value::Bool(false) => {}
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

/// The services whose container was made from another definition.
pub(super) fn changed(desired: &Durable, observed: &Observed) -> Vec<Difference> {
    let changed = desired.services.iter().filter_map(|service| {
        let found = observed.container(&service.replicas[0].name)?;
        let same = is_of(found, &service.replicas[0]);
        (!same).then(|| Difference::new(&service.key, &found.name))
    });
    changed.collect()
}

/// Says of each difference which fields differ. A container of an envctl that kept no such label tells of its environment
/// alone.
pub(super) async fn explain(
    session: &Session<'_>,
    desired: &Durable,
    observed: &Observed,
    differences: &mut [Difference],
) -> Result<(), OpsError> {
    for difference in differences {
        let service = desired.services.iter().find(|service| service.key == difference.service);
        let Some(spec) = service.map(|service| &service.replicas[0]) else { continue };
        let read = |label: Option<&String>| -> Option<Fields> { serde_json::from_str(label?).ok() };
        let old = observed.container(&difference.container);
        let old = read(old.and_then(|found| found.labels.get(labels::DEFINITION)));
        let new = read(spec.labels.get(labels::DEFINITION)).unwrap_or_default();
        let mut changes = old.map(|old| compare(&old, &new)).unwrap_or_default();
        changes.extend(hidden(session, spec, &difference.container, &new).await?);
        changes.sort_by(|a, b| a.field.cmp(&b.field));
        changes.dedup_by(|a, b| a.field == b.field);
        difference.changes = changes;
    }
    Ok(())
}

fn compare(old: &Fields, new: &Fields) -> Vec<FieldChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |field: &String| FieldChange {
        field: field.clone(),
        old: old.get(field).cloned(),
        new: new.get(field).cloned(),
    };
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).map(change).collect()
}

/// Changes of what the label does not show: values of variables, and files by content.
async fn hidden(
    session: &Session<'_>,
    spec: &ServiceSpec,
    container: &str,
    new: &Fields,
) -> Result<Vec<FieldChange>, OpsError> {
    let mut changes = vec![];
    let seen = session.engine.inspect(container).await?;
    let now: BTreeMap<&str, &str> = seen
        .iter()
        .flat_map(|seen| &seen.environment)
        .filter_map(|variable| variable.split_once('='))
        .collect();
    for (name, value) in &spec.environment {
        if now.get(name.as_str()) == Some(&value.as_str()) {
            continue;
        }
        let field = format!("environment.{name}");
        let shown = new.get(&field).cloned();
        // The old value is not known to be free of secrets.
        let old = now.contains_key(name.as_str()).then(|| REDACTED.to_owned());
        changes.push(FieldChange { field, old, new: shown });
    }
    for file in &spec.files {
        let there = session.engine.read_file(container, &file.path).await?;
        if there.as_ref().is_some_and(|there| *there != file.content) {
            let redacted = Some(REDACTED.to_owned());
            changes.push(FieldChange {
                field: file.path.clone(),
                old: redacted.clone(),
                new: redacted,
            });
        }
    }
    Ok(changes)
}
