//! Parameters of a template of the user's own, and the template with their values in place.

use std::{collections::BTreeMap, fmt};

use serde_yaml::{Mapping, Value};

/// A parameter that the project file gives a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub value: String,
    /// `NoEcho`: AWS tells its value to nobody.
    pub hidden: bool,
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parameter({})", self.name)
    }
}

/// Values of parameters by their names.
pub type Values = BTreeMap<String, String>;

/// What AWS tells in place of a hidden value.
pub const HIDDEN: &str = "****";

/// The values that a template has by itself.
pub(super) fn defaults(template: &Value) -> Values {
    let all = template.get("Parameters").and_then(Value::as_mapping).into_iter().flatten();
    let default =
        |(name, of): (&Value, &Value)| Some((name.as_str()?.to_owned(), text(of.get("Default")?)?));
    all.filter_map(default).collect()
}

/// A template to compare: with the values in place of what names its parameters (`Ref`, `Fn::Sub`), and with the answers
/// of `Fn::Equals`.
pub fn filled(template: Value, values: &Values) -> Value {
    match template {
        Value::Sequence(all) => {
            Value::Sequence(all.into_iter().map(|it| filled(it, values)).collect())
        }
        Value::Mapping(all) => {
            let all: Mapping =
                all.into_iter().map(|(key, value)| (key, filled(value, values))).collect();
            let sole = (all.len() == 1).then(|| all.iter().next()).flatten();
            let called = sole.and_then(|(name, of)| call(name.as_str()?, of, values));
            called.unwrap_or(Value::Mapping(all))
        }
        Value::Tagged(mut tagged) => {
            tagged.value = filled(std::mem::take(&mut tagged.value), values);
            let name = tagged.tag.to_string();
            let name = match name.trim_start_matches('!') {
                "Ref" => "Ref".to_owned(),
                other => format!("Fn::{other}"),
            };
            call(&name, &tagged.value, values).unwrap_or(Value::Tagged(tagged))
        }
        other => other,
    }
}

/// What a function of CloudFormation comes to, where the values say so.
fn call(name: &str, of: &Value, values: &Values) -> Option<Value> {
    match (name, of) {
        ("Ref", Value::String(name)) => values.get(name).cloned().map(Value::String),
        ("Fn::Sub", Value::String(text)) => put(text, values, None).map(Value::String),
        ("Fn::Sub", Value::Sequence(parts)) => {
            let (text, own) = (parts.first()?.as_str()?, parts.get(1)?.as_mapping()?);
            let mut parts = parts.clone();
            parts[0] = Value::String(put(text, values, Some(own))?);
            Some(Value::Sequence(parts))
        }
        ("Fn::Equals", Value::Sequence(sides)) => {
            let [one, other] = sides.as_slice() else { return None };
            Some(Value::Bool(text(one)? == text(other)?))
        }
        _ => None,
    }
}

/// The text with the values in place of `${Name}`; none where it has none of them.
fn put(text: &str, values: &Values, own: Option<&Mapping>) -> Option<String> {
    let used = values.iter().filter(|(name, _)| own.is_none_or(|own| !own.contains_key(*name)));
    let filled = used
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    (filled != text).then_some(filled)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_place_of_what_names_them() {
        let template = "Conditions:\n  Live: !Equals [!Ref Stage, prod]\n  Long: { 'Fn::Equals': [{ Ref: Stage }, ci] }\nResources:\n  A: { Name: !Sub 'a-${Stage}-${AWS::Region}', Of: !Ref Other, Is: { Ref: Stage } }\n  B: { Name: !Sub ['${Stage}-${Own}', { Own: !Ref Stage }] }\n";
        let template: Value = serde_yaml::from_str(template).unwrap();
        let values = Values::from([("Stage".to_owned(), "ci".to_owned())]);
        let expected = "Conditions: { Live: false, Long: true }\nResources:\n  A: { Name: !Sub 'a-ci-${AWS::Region}', Of: !Ref Other, Is: ci }\n  B: { Name: ['ci-${Own}', { Own: ci }] }\n";
        let mut expected: Value = serde_yaml::from_str(expected).unwrap();
        // A text with its values is one.
        expected["Resources"]["A"]["Name"] = "a-ci-${AWS::Region}".into();
        assert_eq!(filled(template, &values), expected);
    }

    #[test]
    fn a_value_is_not_shown() {
        let name = "Token".to_owned();
        let parameter = Parameter { name, value: "hunter2".to_owned(), hidden: true };
        assert_eq!(format!("{parameter:?}"), "Parameter(Token)");
    }
}
