//! What another template changes of a stack.

use serde::Serialize;
use serde_yaml::Value;

use super::{
    parameters::{Values, defaults, filled},
    properties::{FIXED, create_only},
};

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
    /// Something else than resources: outputs, conditions, the description.
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
            let other = if self.other { "outputs or conditions" } else { "nothing" };
            parts.push(format!("changes {other}"));
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

/// Compares two templates, each JSON or YAML, by what they come to with the values of their parameters. What is no template
/// has no resources.
pub fn compare((old, before): (&str, &Values), (new, after): (&str, &Values)) -> Changes {
    let (old, new) = (with(old, before), with(new, after));
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

fn with(text: &str, values: &Values) -> Value {
    let template: Value = serde_yaml::from_str(text).unwrap_or_default();
    let mut all = defaults(&template);
    all.extend(values.clone());
    filled(template, &all)
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
        // What parameters are shows in what they do.
        for section in ["Resources", "Parameters"] {
            all.remove(section);
        }
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

    fn compared(old: &str, new: &str) -> Changes {
        compare((old, &Values::new()), (new, &Values::new()))
    }

    #[test]
    fn what_another_template_changes_is_told_by_what_becomes_of_each_resource() {
        let old = r#"{"Resources": {
            "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a"}},
            "B": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "b"}},
            "C": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "c"}},
            "D": {"Type": "AWS::SQS::Queue"}}}"#;
        let new = "Resources:\n  A: { Type: AWS::SQS::Queue, Properties: { QueueName: a, DelaySeconds: 2 } }\n  B: { Type: AWS::SQS::Queue, Properties: { QueueName: other } }\n  C: { Type: AWS::SQS::Queue, Properties: { QueueName: c } }\n  E: { Type: AWS::SNS::Topic }\n";
        let changes = compared(old, new);
        assert_eq!(changes.to_string(), "adds E; changes A; replaces B; removes D");
        assert_eq!(changes.lost().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["D", "B"]);
        assert!(compared(old, old).is_empty() && !changes.is_empty());
        assert_eq!(changes.not_made().count(), 0);
        let outputs = compared("Resources: {}\n", "Resources: {}\nOutputs: { A: { Value: b } }\n");
        assert_eq!(outputs.to_string(), "changes outputs or conditions");
    }

    #[test]
    fn tags_of_cloudformation_are_read() {
        let tagged = "Resources:\n  A: { Type: T, Properties: { Arn: !GetAtt B.Arn } }\n";
        assert!(compared(tagged, tagged).is_empty());
        assert_eq!(compared(tagged, &tagged.replace("B.Arn", "C.Arn")).to_string(), "changes A");
    }

    #[test]
    fn another_value_of_a_parameter_changes_what_names_it() {
        let template = "Parameters:\n  Stage: { Type: String, Default: test }\n  Keep: { Type: Number, Default: 60 }\nConditions: { Live: !Equals [!Ref Stage, prod] }\nResources:\n  A: { Type: AWS::SQS::Queue, Properties: { MessageRetentionPeriod: !Ref Keep } }\n  B: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub 'b-${Stage}' } }\n  C: { Type: AWS::SQS::Queue }\n";
        let values = |all: &[(&str, &str)]| -> Values {
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let said = |old: &[(&str, &str)], new: &[(&str, &str)]| {
            compare((template, &values(old)), (template, &values(new))).to_string()
        };
        let whole = [("Stage", "test"), ("Keep", "60")];
        assert_eq!(said(&whole, &[]), "changes nothing");
        assert_eq!(said(&whole, &[("Keep", "90")]), "changes A");
        assert_eq!(said(&whole, &[("Stage", "ci")]), "replaces B");
        // Its condition has another answer, too.
        let live = compare((template, &values(&whole)), (template, &values(&[("Stage", "prod")])));
        assert!(live.other);
    }
}
