//! `aws:` of the project file: resources in short forms or a template, and where they go.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{ConfigError, Project, scalar::optional_number};
use crate::{
    aws::{self, Credentials, Parameter, Resources, Section, Template, Values},
    base::{files, words},
    compose::{self, Problem, Problems},
};

/// The port on which LocalStack answers for all services.
const PORT: u16 = 4566;
/// Values of credentials are searched for from this length on: shorter ones may be part of anything.
const SHORTEST: usize = 6;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AwsFile {
    /// The Compose service that stands for AWS, of the durable layer or of the app.
    pub service: Option<String>,
    /// Its port in its container.
    #[serde(deserialize_with = "optional_number")]
    pub port: Option<u16>,
    /// Another one, as a URL; `{service}` in it is the name of AWS's service.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Before the names of all resources. None: nothing for a service, `{project}-{env}-` for an endpoint.
    pub prefix: Option<String>,
    /// A CloudFormation template in place of short forms.
    pub template: Option<PathBuf>,
    #[serde(deserialize_with = "section")]
    pub queues: Section,
    #[serde(deserialize_with = "section")]
    pub topics: Section,
    #[serde(deserialize_with = "section")]
    pub buckets: Section,
    #[serde(deserialize_with = "section")]
    pub secrets: Section,
    #[serde(deserialize_with = "section")]
    pub keys: Section,
    /// Of SSM; of the template, where one is named.
    #[serde(deserialize_with = "section")]
    pub parameters: Section,
    #[serde(deserialize_with = "section")]
    pub rules: Section,
    /// Mail addresses and domains that mail is sent from.
    pub identities: Vec<String>,
}

impl AwsFile {
    fn sections(&self) -> [(&'static str, &Section); 7] {
        [
            ("queues", &self.queues),
            ("topics", &self.topics),
            ("buckets", &self.buckets),
            ("secrets", &self.secrets),
            ("keys", &self.keys),
            ("parameters", &self.parameters),
            ("rules", &self.rules),
        ]
    }
}

/// Names, or a mapping of names and what is said of each.
fn section<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Section, D::Error> {
    struct Either;

    impl<'de> de::Visitor<'de> for Either {
        type Value = Section;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of names, or a mapping of names")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Section, A::Error> {
            let mut all = Section::new();
            while let Some(name) = seq.next_element::<String>()? {
                all.insert(name, Value::Null);
            }
            Ok(all)
        }

        fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Section, M::Error> {
            let mut all = Section::new();
            while let Some((name, value)) = map.next_entry()? {
                all.insert(name, value);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Either)
}

/// The AWS resources of a project, ready to be deployed as one stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Aws {
    pub stack: String,
    pub endpoint: Endpoint,
    pub region: String,
    pub template: Template,
    /// Of the user's own template.
    pub parameters: Vec<Parameter>,
    pub identities: Vec<String>,
}

/// Where AWS, or what stands for it, is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A service of the project; it takes any credentials.
    Service {
        key: String,
        port: u16,
    },
    Url {
        url: String,
        credentials: Option<Credentials>,
    },
}

impl Aws {
    /// What the project file says, as a template. All that is wrong with it comes at once.
    pub(super) fn of(project: &Project) -> Result<Option<Self>, ConfigError> {
        let Some(file) = &project.file.aws else { return Ok(None) };
        let problem = |path: &[&str], message: &str| project.problem(path, message);
        let variable =
            |name: &str| project.variables.get(name).filter(|value| !value.is_empty()).cloned();
        let endpoint = match (&file.service, &file.endpoint) {
            (Some(key), None) => {
                Endpoint::Service { key: key.clone(), port: file.port.unwrap_or(PORT) }
            }
            (None, Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
                let credentials =
                    Option::zip(variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
                let token = variable("AWS_SESSION_TOKEN");
                let credentials = credentials.map(|(id, secret)| Credentials { id, secret, token });
                Endpoint::Url { url: url.trim_end_matches('/').to_owned(), credentials }
            }
            (None, Some(_)) => {
                let message = "expected a URL such as http://localhost:4566 or https://{service}.eu-central-1.amazonaws.com";
                return Err(Problems(vec![problem(&["aws", "endpoint"], message)]).into());
            }
            _ => {
                let message = "needs one of `service` (LocalStack, a service of your Compose files) and `endpoint` (a URL)";
                return Err(Problems(vec![problem(&["aws"], message)]).into());
            }
        };
        let region = file.region.clone().or_else(|| variable("AWS_REGION"));
        let region = region.or_else(|| variable("AWS_DEFAULT_REGION"));
        let (template, parameters) = match &file.template {
            Some(path) => own_template(project, file, path)?,
            None => (short(project, file, &endpoint)?, vec![]),
        };
        Ok(Some(Self {
            stack: stack_name(&project.names.prefix()),
            endpoint,
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            template,
            parameters,
            identities: file.identities.clone(),
        }))
    }

    /// The Compose service that stands for AWS.
    pub fn service(&self) -> Option<&str> {
        match &self.endpoint {
            Endpoint::Service { key, .. } => Some(key),
            Endpoint::Url { .. } => None,
        }
    }
}

/// Letters, digits and `-`, the first a letter.
fn stack_name(prefix: &str) -> String {
    let name = prefix.replace('_', "-");
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("s{name}") } else { name }
}

fn short(project: &Project, file: &AwsFile, endpoint: &Endpoint) -> Result<Template, ConfigError> {
    let default = match endpoint {
        Endpoint::Service { .. } => String::new(),
        Endpoint::Url { .. } => format!("{}-", project.names.prefix()),
    };
    let resources = Resources {
        prefix: file.prefix.clone().unwrap_or(default),
        queues: file.queues.clone(),
        topics: file.topics.clone(),
        buckets: file.buckets.clone(),
        secrets: file.secrets.clone(),
        keys: file.keys.clone(),
        parameters: file.parameters.clone(),
        rules: file.rules.clone(),
    };
    let names = &project.names;
    let description = format!("{} ({}), from envctl.yaml", names.project, names.environment);
    let made = aws::template(&resources, &description);
    let mut problems: Vec<Problem> = made
        .as_ref()
        .err()
        .into_iter()
        .flatten()
        .map(|wrong| {
            let path: Vec<&str> =
                ["aws"].into_iter().chain(wrong.path.iter().map(String::as_str)).collect();
            project.problem(&path, wrong.message.clone()).with_hint(wrong.hint.clone())
        })
        .collect();
    // A template is kept in clear by whoever deploys it.
    for (section, all) in file.sections() {
        for (name, value) in all.iter().filter(|_| section != "secrets") {
            if let Some(credential) = credential(project, value) {
                let message = format!(
                    "the credential {credential} would be in the template: `secrets` keep it"
                );
                problems.push(project.problem(&["aws", section, name], message));
            }
        }
    }
    match made {
        Ok(template) if problems.is_empty() => Ok(template),
        _ => Err(Problems(problems).into()),
    }
}

/// The credential whose value stands in a value of the file.
fn credential<'a>(project: &'a Project, value: &Value) -> Option<&'a str> {
    let mut listed = project.file.credentials.iter().chain(project.credentials.keys());
    let stands = |name: &&String| {
        let words = project.variables.get(*name);
        words.is_some_and(|words| words.len() >= SHORTEST && holds(value, words))
    };
    listed.find(stands).map(String::as_str)
}

fn holds(value: &Value, words: &str) -> bool {
    match value {
        Value::String(text) => text.contains(words),
        Value::Array(all) => all.iter().any(|it| holds(it, words)),
        Value::Object(all) => all.iter().any(|(key, it)| key.contains(words) || holds(it, words)),
        other => other.to_string().contains(words),
    }
}

/// The user's own template, as its file has it.
fn own_template(
    project: &Project,
    file: &AwsFile,
    path: &std::path::Path,
) -> Result<(Template, Vec<Parameter>), ConfigError> {
    let mut problems = vec![];
    for (section, all) in file.sections() {
        if section != "parameters" && !all.is_empty() {
            let message = "a `template` says all: it has no short forms beside it";
            problems.push(project.problem(&["aws", section], message));
        }
    }
    let path = project.root.join(path);
    let body = files::read_text(&path)?;
    let read: serde_yaml::Value = match serde_yaml::from_str(&body) {
        Ok(read) => read,
        Err(error) => {
            problems.push(Problem::of_file(&path, error.to_string()));
            serde_yaml::Value::Null
        }
    };
    let members = |section: &str| -> Vec<(String, serde_yaml::Value)> {
        let all = read.get(section).and_then(serde_yaml::Value::as_mapping);
        all.into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.clone())))
            .collect()
    };
    if problems.is_empty() && members("Resources").is_empty() {
        problems.push(Problem::of_file(&path, "a CloudFormation template has `Resources`"));
    }
    let known = members("Parameters");
    let outputs = members("Outputs");
    let mut parameters = vec![];
    for (name, value) in &file.parameters {
        let place = ["aws", "parameters", name];
        let own = known.iter().find(|(known, _)| known == name);
        if own.is_none() {
            let near = words::nearest(name, known.iter().map(|(known, _)| known.as_str()));
            let message = format!("the template has no parameter `{name}`");
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            problems.push(project.problem(&place, message).with_hint(hint));
        }
        let hidden = own.and_then(|(_, of)| of.get("NoEcho")).is_some_and(is_true);
        if let Some(credential) = credential(project, value) {
            if own.is_some() && !hidden {
                let message = format!(
                    "the credential {credential} would be told to all who may look at the stack: the template's parameter `{name}` has no `NoEcho`"
                );
                let hint = format!("give `{name}` in the template `NoEcho: true`");
                problems.push(project.problem(&place, message).with_hint(Some(hint)));
            }
            for (output, _) in outputs.iter().filter(|(_, of)| shows(of, name)) {
                let message = format!(
                    "the output `{output}` of the template would tell the credential {credential}"
                );
                let hint = "take it out of `Outputs`: a service has the credential as a variable";
                let hint = Some(hint.to_owned());
                problems.push(project.problem(&place, message).with_hint(hint));
            }
        }
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Array(list) => list
                .iter()
                .map(|it| it.as_str().map_or(it.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        parameters.push(Parameter { name: name.clone(), value, hidden });
    }
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    let is_queue = |(_, resource): &(String, serde_yaml::Value)| {
        resource.get("Type").and_then(serde_yaml::Value::as_str) == Some("AWS::SQS::Queue")
    };
    let queues = members("Resources").into_iter().filter(is_queue);
    let template = Template {
        outputs: outputs.into_iter().map(|(name, _)| name).collect(),
        queues: queues.map(|(id, _)| (id.clone(), id)).collect(),
        body,
        secrets: vec![],
    };
    Ok((template, parameters))
}

fn is_true(value: &serde_yaml::Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

/// Whether a part of a template has the value of a parameter.
fn shows(part: &serde_yaml::Value, parameter: &str) -> bool {
    let mark = Values::from([(parameter.to_owned(), "mark".to_owned())]);
    aws::filled(part.clone(), &mark) != *part
}

impl Project {
    /// The service that stands for AWS has to be in the app's files or in those of the durable layer.
    pub(super) fn check_aws(&self, files: &compose::Project) -> Result<(), ConfigError> {
        let Some(key) = self.aws.as_ref().and_then(Aws::service) else { return Ok(()) };
        if files.services.contains_key(key) {
            return Ok(());
        }
        let durable = self.load_durable()?.map(|files| files.services).unwrap_or_default();
        if durable.contains_key(key) {
            return Ok(());
        }
        let known = files.services.keys().chain(durable.keys()).map(String::as_str);
        let near = words::nearest(key, known).map(|near| format!("did you mean `{near}`?"));
        let message = format!("no service `{key}` in the app's files or the durable layer's");
        Err(Problems(vec![self.problem(&["aws", "service"], message).with_hint(near)]).into())
    }
}
