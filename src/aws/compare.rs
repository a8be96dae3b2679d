//! What another template changes of a stack.

use serde::Serialize;
use serde_yaml::Value;

use super::properties::{FIXED, create_only};

/// A resource of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Its name in the template.
    pub id: String,
    /// `AWS::SQS::Queue`.
    pub kind: String,
}

/// What a template changes of the one before; all empty where they say the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub added: Vec<Resource>,
    pub changed: Vec<Resource>,
    /// Changed in what makes another of it.
    pub replaced: Vec<Resource>,
    pub removed: Vec<Resource>,
    /// Something else than resources: outputs, the description.
    pub other: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes that LocalStack does not make, whatever it says.
    pub fn not_made(&self) -> impl Iterator<Item = &Resource> {
        self.changed.iter().filter(|it| FIXED.split(' ').any(|kind| kind == it.kind))
    }

    /// What there is no more afterwards.
    pub fn lost(&self) -> impl Iterator<Item = &Resource> {
        self.removed.iter().chain(&self.replaced)
    }
}

impl std::fmt::Display for Changes {
    /// `adds OrdersQueue; removes AuditQueue and 2 more`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("adds", &self.added),
            ("changes", &self.changed),
            ("replaces", &self.replaced),
            ("removes", &self.removed),
        ];
        let mut parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, all)| !all.is_empty())
            .map(|(verb, all)| format!("{verb} {}", some(all)))
            .collect();
        if parts.is_empty() {
            parts.push(if self.other { "changes outputs" } else { "changes nothing" }.to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

/// The first of them, and how many more.
fn some(all: &[Resource]) -> String {
    const SHOWN: usize = 4;
    let names: Vec<&str> = all.iter().take(SHOWN).map(|resource| resource.id.as_str()).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Compares two templates, each JSON or YAML. What is no template has no resources.
pub fn compare(old: &str, new: &str) -> Changes {
    let (old, new) = (read(old), read(new));
    let (before, after) = (resources(&old), resources(&new));
    let mut changes = Changes::default();
    for (id, resource) in &after {
        let named = || Resource { id: id.clone(), kind: kind(resource) };
        match before.iter().find(|(other, _)| other == id) {
            None => changes.added.push(named()),
            Some((_, was)) if was == resource => {}
            Some((_, was)) if is_another(was, resource) => changes.replaced.push(named()),
            Some(_) => changes.changed.push(named()),
        }
    }
    for (id, resource) in &before {
        if !after.iter().any(|(other, _)| other == id) {
            changes.removed.push(Resource { id: id.clone(), kind: kind(resource) });
        }
    }
    changes.other = less_resources(old) != less_resources(new);
    changes
}

fn read(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_default()
}

fn resources(template: &Value) -> Vec<(String, Value)> {
    let all = template.get("Resources").and_then(Value::as_mapping);
    all.into_iter()
        .flatten()
        .filter_map(|(id, resource)| Some((id.as_str()?.to_owned(), resource.clone())))
        .collect()
}

fn less_resources(mut template: Value) -> Value {
    if let Some(all) = template.as_mapping_mut() {
        all.remove("Resources");
    }
    template
}

fn kind(resource: &Value) -> String {
    resource.get("Type").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_another(old: &Value, new: &Value) -> bool {
    let property = |resource: &Value, name: &str| resource.get("Properties")?.get(name).cloned();
    kind(old) != kind(new)
        || create_only(&kind(new)).any(|name| property(old, name) != property(new, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_template_changes_is_told_by_what_becomes_of_each_resource() {
        let old = r#"{"Resources": {
            "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a"}},
            "B": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "b"}},
            "C": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "c"}},
            "D": {"Type": "AWS::SQS::Queue"}}}"#;
        let new = "Resources:\n  A: { Type: AWS::SQS::Queue, Properties: { QueueName: a, DelaySeconds: 2 } }\n  B: { Type: AWS::SQS::Queue, Properties: { QueueName: other } }\n  C: { Type: AWS::SQS::Queue, Properties: { QueueName: c } }\n  E: { Type: AWS::SNS::Topic }\n";
        let changes = compare(old, new);
        assert_eq!(changes.to_string(), "adds E; changes A; replaces B; removes D");
        assert_eq!(changes.lost().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["D", "B"]);
        assert!(compare(old, old).is_empty() && !changes.is_empty());
        assert_eq!(changes.not_made().count(), 0);
        let outputs = compare("Resources: {}\n", "Resources: {}\nOutputs: { A: { Value: b } }\n");
        assert_eq!(outputs.to_string(), "changes outputs");
    }

    #[test]
    fn tags_of_cloudformation_are_read() {
        let tagged = "Resources:\n  A: { Type: T, Properties: { Arn: !GetAtt B.Arn } }\n";
        assert!(compare(tagged, tagged).is_empty());
        assert_eq!(compare(tagged, &tagged.replace("B.Arn", "C.Arn")).to_string(), "changes A");
    }
}
