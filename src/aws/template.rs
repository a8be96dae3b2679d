//! Resources in their short forms as a CloudFormation template.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{
    properties::{
        ALIAS, BUCKET, KEY, PARAMETER, QUEUE, RULE, SECRET, SUBSCRIPTION, TARGET, TOPIC, Type,
    },
    resources::{Resources, Section, Wrong},
    secret::{Part, Secret},
    short::Short,
};

/// Two weeks, the longest that a queue keeps a message: one that failed is looked at later.
const DEAD_LETTER_SECONDS: u64 = 1_209_600;
/// Letters of a generated secret whose file gives no number.
const GENERATED: u16 = 32;

/// A template, and what goes with it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    /// JSON or YAML.
    pub body: String,
    /// The names of its outputs.
    pub outputs: Vec<String>,
    /// Set once the stack is there.
    pub secrets: Vec<Secret>,
    /// The queues: their names in the file and in the template.
    pub queues: IndexMap<String, String>,
}

/// Makes the template of resources. All that is wrong with them comes at once.
pub fn template(resources: &Resources, description: &str) -> Result<Template, Vec<Wrong>> {
    let mut making = Making {
        all: resources,
        resources: Map::new(),
        outputs: Map::new(),
        senders: BTreeMap::new(),
        secrets: vec![],
        queues: IndexMap::new(),
        wrong: vec![],
    };
    making.each("keys", &resources.keys, Making::key);
    making.each("queues", &resources.queues, Making::queue);
    making.each("topics", &resources.topics, Making::topic);
    making.each("buckets", &resources.buckets, Making::bucket);
    making.each("secrets", &resources.secrets, Making::secret);
    making.each("parameters", &resources.parameters, Making::parameter);
    making.each("rules", &resources.rules, Making::rule);
    making.policies();
    let Making { resources, outputs, secrets, queues, wrong, .. } = making;
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let names = outputs.keys().cloned().collect();
    let whole = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        "Resources": resources,
        "Outputs": outputs,
    });
    let mut body = serde_json::to_string_pretty(&whole).expect("text keys");
    body.push('\n');
    Ok(Template { body, outputs: names, secrets, queues })
}

/// The template for another account of LocalStack, where buckets need other names; none where those are not known.
pub fn rehearsed(body: &str) -> Option<String> {
    let Ok(mut template) = serde_json::from_str::<Value>(body) else {
        return (!body.contains(BUCKET.name)).then(|| body.to_owned());
    };
    let all = template.get_mut("Resources").and_then(Value::as_object_mut)?;
    for resource in all.values_mut().filter(|it| it["Type"] == BUCKET.name) {
        let Value::String(name) = &mut resource["Properties"]["BucketName"] else { return None };
        name.push_str("-rehearsal");
    }
    Some(template.to_string())
}

struct Making<'a> {
    all: &'a Resources,
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
    /// Who may send to a queue, by the queue's name in the template.
    senders: BTreeMap<String, Vec<Value>>,
    secrets: Vec<Secret>,
    queues: IndexMap<String, String>,
    wrong: Vec<Wrong>,
}

fn reference(id: &str) -> Value {
    json!({ "Ref": id })
}

fn arn(id: &str) -> Value {
    json!({ "Fn::GetAtt": [id, "Arn"] })
}

/// `order-events` is `OrderEvents`, `/shop/mode` is `ShopMode`.
fn pascal(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

/// The name of a queue or topic less `.fifo`, and whether it had it.
fn stem(name: &str) -> (&str, bool) {
    name.strip_suffix(".fifo").map_or((name, false), |stem| (stem, true))
}

fn queue_id(name: &str) -> String {
    format!("{}Queue", pascal(stem(name).0))
}

impl Making<'_> {
    fn each(&mut self, section: &str, all: &Section, make: fn(&mut Self, &str, &Value)) {
        for (name, value) in all {
            if pascal(name).is_empty() {
                self.wrong.push(Wrong::new(&[section, name], "a name has letters or digits"));
                continue;
            }
            make(self, name, value);
        }
    }

    /// A resource of a section; two names that come to one are refused.
    fn add(&mut self, path: &[&str], id: &str, kind: &Type, properties: Map<String, Value>) {
        self.put(path, id, kind.name, &Value::Object(properties));
    }

    fn put(&mut self, path: &[&str], id: &str, kind: &str, properties: &Value) {
        let resource = json!({ "Type": kind, "Properties": properties });
        if self.resources.insert(id.to_owned(), resource).is_some() {
            let message = format!("another one is called `{id}` in the template, too");
            self.wrong.push(Wrong::new(path, message));
        }
    }

    fn output(&mut self, name: impl Into<String>, value: &Value) {
        self.outputs.insert(name.into(), json!({ "Value": value }));
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.all.prefix)
    }

    /// A key of `keys` where the property names one.
    fn with_key(&self, property: &str, properties: &mut Map<String, Value>) {
        if let Some(Value::String(name)) = properties.get(property)
            && self.all.keys.contains_key(name)
        {
            let key = arn(&format!("{}Key", pascal(name)));
            properties.insert(property.to_owned(), key);
        }
    }

    /// The queue of `queues` that is meant.
    fn queue_named(&mut self, path: &[&str], name: &str) -> Option<String> {
        if self.all.queues.contains_key(name) {
            return Some(queue_id(name));
        }
        let wrong = Wrong::new(path, format!("no queue `{name}` in `queues`"));
        self.wrong.push(wrong.near(name, self.all.queues.keys().map(String::as_str)));
        None
    }

    fn queue_outputs(&mut self, id: &str) {
        self.output(format!("{id}Url"), &reference(id));
        self.output(format!("{id}Arn"), &arn(id));
        self.output(format!("{id}Name"), &json!({ "Fn::GetAtt": [id, "QueueName"] }));
    }

    fn queue(&mut self, name: &str, value: &Value) {
        const OWN: &[&str] = &["maxReceiveCount", "deadLetter", "fifo"];
        let path = ["queues", name];
        let mut short = Short::read(&path, value, &QUEUE, OWN, None, &mut self.wrong);
        let (stem, by_name) = stem(name);
        let fifo = short.flag("fifo", &mut self.wrong) || by_name;
        let tries = short.number("maxReceiveCount", &mut self.wrong);
        let dead = short.take("deadLetter");
        let id = queue_id(name);
        let whole = |name: &str| format!("{name}{}", if fifo { ".fifo" } else { "" });
        let mut policy = None;
        match (dead, tries) {
            (Some(Value::String(dead)), Some(tries)) => {
                let at = [path[0], name, "deadLetter"];
                policy = self.queue_named(&at, &dead).map(|dead| (dead, tries));
            }
            (Some(_), Some(_)) => {
                self.wrong.push(short.wrong("deadLetter", "expected the name of a queue"));
            }
            (Some(_), None) => {
                let message = "`maxReceiveCount` says after how many tries";
                self.wrong.push(short.wrong("deadLetter", message));
            }
            (None, Some(tries)) => {
                let dead = format!("{}DeadLetterQueue", pascal(stem));
                let mut properties = Map::new();
                let name = self.name(&whole(&format!("{stem}-dlq")));
                properties.insert("QueueName".to_owned(), name.into());
                if fifo {
                    properties.insert("FifoQueue".to_owned(), true.into());
                }
                properties.insert("MessageRetentionPeriod".to_owned(), DEAD_LETTER_SECONDS.into());
                self.add(&path, &dead, &QUEUE, properties);
                self.queue_outputs(&dead);
                self.named(&path, &whole(&format!("{stem}-dlq")), dead.clone());
                policy = Some((dead, tries));
            }
            (None, None) => {}
        }
        let mut properties = short.properties([("QueueName", self.name(&whole(stem)).into())]);
        if fifo {
            properties.insert("FifoQueue".to_owned(), true.into());
        }
        if let Some((dead, tries)) = policy {
            let policy = json!({ "deadLetterTargetArn": arn(&dead), "maxReceiveCount": tries });
            properties.insert("RedrivePolicy".to_owned(), policy);
        }
        self.with_key("KmsMasterKeyId", &mut properties);
        self.add(&path, &id, &QUEUE, properties);
        self.queue_outputs(&id);
        self.named(&path, name, id);
    }

    /// Notes the queue of that name; of two, one is made for the dead letters of another queue.
    fn named(&mut self, path: &[&str], name: &str, id: String) {
        if self.queues.insert(name.to_owned(), id).is_some() {
            let message = format!(
                "there are two queues `{name}`: `maxReceiveCount` alone makes one; `deadLetter: {name}` beside it takes yours"
            );
            self.wrong.push(Wrong::new(path, message));
        }
    }

    fn topic(&mut self, name: &str, value: &Value) {
        const OWN: &[&str] = &["subscriptions", "fifo"];
        let path = ["topics", name];
        let mut short =
            Short::read(&path, value, &TOPIC, OWN, Some("subscriptions"), &mut self.wrong);
        let (stem, by_name) = stem(name);
        let fifo = short.flag("fifo", &mut self.wrong) || by_name;
        let subscriptions = short.list("subscriptions");
        let id = format!("{}Topic", pascal(stem));
        let whole = format!("{stem}{}", if fifo { ".fifo" } else { "" });
        let mut properties = short.properties([("TopicName", self.name(&whole).into())]);
        if fifo {
            properties.insert("FifoTopic".to_owned(), true.into());
        }
        self.with_key("KmsMasterKeyId", &mut properties);
        self.add(&path, &id, &TOPIC, properties);
        self.output(format!("{id}Arn"), &reference(&id));
        self.output(format!("{id}Name"), &json!({ "Fn::GetAtt": [id, "TopicName"] }));
        for (number, subscription) in subscriptions.iter().enumerate() {
            self.subscription(&path, &id, number, subscription);
        }
    }

    fn subscription(&mut self, topic_path: &[&str], topic: &str, number: usize, value: &Value) {
        let index = number.to_string();
        let path = [topic_path[0], topic_path[1], "subscriptions", &index];
        let mut short =
            Short::read(&path, value, &SUBSCRIPTION, &["queue"], Some("queue"), &mut self.wrong);
        let to = short.take("queue");
        let stem = topic.trim_end_matches("Topic");
        let own = format!("{stem}Subscription{}", number + 1);
        let (id, protocol, endpoint) = match to {
            None if short.has("Endpoint") && short.has("Protocol") => {
                let mut properties = short.properties([]);
                properties.insert("TopicArn".to_owned(), reference(topic));
                self.add(&path, &own, &SUBSCRIPTION, properties);
                return;
            }
            None => {
                let message = "needs `queue`, or `Protocol` and `Endpoint`";
                self.wrong.push(Wrong::new(&path, message));
                return;
            }
            Some(Value::String(text)) if text.contains("://") => {
                let protocol = text.split_once(':').map_or("", |(scheme, _)| scheme).to_owned();
                (own, protocol, Value::String(text))
            }
            Some(Value::String(text)) if text.contains('@') => {
                (own, "email".to_owned(), Value::String(text))
            }
            Some(Value::String(name)) => {
                let Some(queue) = self.queue_named(&path, &name) else { return };
                let statement = sender("sns.amazonaws.com", &queue, &reference(topic));
                self.senders.entry(queue.clone()).or_default().push(statement);
                let id = format!("{stem}To{}Subscription", queue.trim_end_matches("Queue"));
                (id, "sqs".to_owned(), arn(&queue))
            }
            Some(_) => {
                let message = "expected the name of a queue, an address or a URL";
                self.wrong.push(Wrong::new(&path, message));
                return;
            }
        };
        let properties = short.properties([
            ("TopicArn", reference(topic)),
            ("Protocol", protocol.into()),
            ("Endpoint", endpoint),
        ]);
        self.add(&path, &id, &SUBSCRIPTION, properties);
    }

    fn bucket(&mut self, name: &str, value: &Value) {
        const OWN: &[&str] = &["versioning", "cors", "lifecycle", "publicRead"];
        let path = ["buckets", name];
        let mut short = Short::read(&path, value, &BUCKET, OWN, None, &mut self.wrong);
        let versioned = short.flag("versioning", &mut self.wrong);
        let public = short.flag("publicRead", &mut self.wrong);
        let (origins, rules) = (short.list("cors"), short.list("lifecycle"));
        let mut properties = Map::new();
        properties.insert("BucketName".to_owned(), self.name(name).into());
        if versioned {
            let status = json!({ "Status": "Enabled" });
            properties.insert("VersioningConfiguration".to_owned(), status);
        }
        if !origins.is_empty() {
            let rules = if origins.iter().all(Value::is_object) {
                origins
            } else {
                vec![json!({
                    "AllowedOrigins": origins,
                    "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
                    "AllowedHeaders": ["*"],
                    "MaxAge": 3600,
                })]
            };
            properties.insert("CorsConfiguration".to_owned(), json!({ "CorsRules": rules }));
        }
        if !rules.is_empty() {
            let rules: Vec<Value> = rules.into_iter().map(lifecycle_rule).collect();
            if let Some(wrong) = rules.iter().find(|rule| !rule.is_object()) {
                let message = format!("expected days or a rule, found {wrong}");
                self.wrong.push(short.wrong("lifecycle", message));
            }
            properties.insert("LifecycleConfiguration".to_owned(), json!({ "Rules": rules }));
        }
        if public {
            let open = json!({
                "BlockPublicAcls": false,
                "BlockPublicPolicy": false,
                "IgnorePublicAcls": false,
                "RestrictPublicBuckets": false,
            });
            properties.insert("PublicAccessBlockConfiguration".to_owned(), open);
        }
        let id = format!("{}Bucket", pascal(name));
        properties.extend(short.properties([]));
        self.add(&path, &id, &BUCKET, properties);
        if public {
            let all = json!({ "Fn::Join": ["", [arn(&id), "/*"]] });
            let document = json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "s3:GetObject",
                    "Resource": all,
                }],
            });
            let policy = json!({ "Bucket": reference(&id), "PolicyDocument": document });
            self.put(&path, &format!("{id}Policy"), "AWS::S3::BucketPolicy", &policy);
        }
        self.output(format!("{id}Name"), &reference(&id));
        self.output(format!("{id}Arn"), &arn(&id));
    }

    fn secret(&mut self, name: &str, value: &Value) {
        const OWN: &[&str] = &["value", "generate"];
        let path = ["secrets", name];
        let mut short = Short::read(&path, value, &SECRET, OWN, Some("value"), &mut self.wrong);
        let (value, generate) = (short.take("value"), short.take("generate"));
        let part = match (value, generate) {
            (Some(value), None) => part(&value),
            (None, Some(length)) => generated(&length),
            _ => None,
        };
        if let Some(value) = part {
            self.secrets.push(Secret { name: self.name(name), value });
        } else {
            let message = "needs one of `value` (a text, or a mapping for JSON) and `generate` (a number of letters)";
            self.wrong.push(Wrong::new(&path, message));
        }
        let mut properties = short.properties([("Name", self.name(name).into())]);
        self.with_key("KmsKeyId", &mut properties);
        let id = format!("{}Secret", pascal(name));
        self.add(&path, &id, &SECRET, properties);
        self.output(format!("{id}Arn"), &reference(&id));
        self.output(format!("{id}Name"), &self.name(name).into());
    }

    fn key(&mut self, name: &str, value: &Value) {
        let path = ["keys", name];
        let short = Short::read(&path, value, &KEY, &[], Some("Description"), &mut self.wrong);
        let id = format!("{}Key", pascal(name));
        let properties = short.properties([("Description", self.name(name).into())]);
        self.add(&path, &id, &KEY, properties);
        let alias = json!({
            "AliasName": format!("alias/{}", self.name(name)),
            "TargetKeyId": reference(&id),
        });
        self.put(&path, &format!("{id}Alias"), ALIAS.name, &alias);
        self.output(format!("{id}Id"), &reference(&id));
        self.output(format!("{id}Arn"), &arn(&id));
        self.output(format!("{id}Alias"), &reference(&format!("{id}Alias")));
    }

    fn parameter(&mut self, name: &str, value: &Value) {
        let path = ["parameters", name];
        let short = Short::read(&path, value, &PARAMETER, &[], Some("Value"), &mut self.wrong);
        let (kind, value) = match short.get("Value") {
            Some(Value::Array(list)) => {
                let each: Vec<String> = list.iter().map(text).collect();
                ("StringList", each.join(","))
            }
            Some(Value::Object(_)) | None => {
                let message = "expected a value: a text, a number or a list";
                self.wrong.push(Wrong::new(&path, message));
                return;
            }
            Some(scalar) => ("String", text(scalar)),
        };
        // A path stays one: the prefix is its first part.
        let name_on_aws = match (name.strip_prefix('/'), self.all.prefix.trim_end_matches('-')) {
            (Some(_), "") => name.to_owned(),
            (Some(rest), prefix) => format!("/{prefix}/{rest}"),
            (None, _) => self.name(name),
        };
        let first = [("Name", name_on_aws.into()), ("Type", kind.into())];
        let mut properties = short.properties(first);
        properties.insert("Value".to_owned(), value.into());
        let id = format!("{}Parameter", pascal(name));
        self.add(&path, &id, &PARAMETER, properties);
        self.output(format!("{id}Name"), &reference(&id));
    }

    fn rule(&mut self, name: &str, value: &Value) {
        let path = ["rules", name];
        let mut short = Short::read(&path, value, &RULE, &["targets"], None, &mut self.wrong);
        if !short.has("ScheduleExpression") && !short.has("EventPattern") {
            let message = "needs `ScheduleExpression` (rate(5 minutes)) or `EventPattern`";
            self.wrong.push(Wrong::new(&path, message));
        }
        let id = format!("{}Rule", pascal(name));
        let mut targets = vec![];
        for (number, target) in short.list("targets").iter().enumerate() {
            let index = number.to_string();
            let path = ["rules", name, "targets", &index];
            let mut target =
                Short::read(&path, target, &TARGET, &["queue"], Some("queue"), &mut self.wrong);
            let Some(Value::String(queue)) = target.take("queue") else {
                self.wrong.push(Wrong::new(&path, "expected the name of a queue, or `queue`"));
                continue;
            };
            let Some(queue_id) = self.queue_named(&path, &queue) else { continue };
            let mut properties = target.properties([
                ("Id", format!("{}-{}", stem(&queue).0, number + 1).into()),
                ("Arn", arn(&queue_id)),
            ]);
            if self.resources[&queue_id]["Properties"]["FifoQueue"] == true {
                let group = json!({ "MessageGroupId": name });
                properties.entry("SqsParameters").or_insert(group);
            }
            targets.push(Value::Object(properties));
            let statement = sender("events.amazonaws.com", &queue_id, &arn(&id));
            self.senders.entry(queue_id).or_default().push(statement);
        }
        let mut properties = short.properties([("Name", self.name(name).into())]);
        if !targets.is_empty() {
            properties.insert("Targets".to_owned(), targets.into());
        }
        self.add(&path, &id, &RULE, properties);
        self.output(format!("{id}Name"), &reference(&id));
        self.output(format!("{id}Arn"), &arn(&id));
    }

    /// Lets topics and rules send to the queues that they name.
    fn policies(&mut self) {
        for (queue, mut statements) in std::mem::take(&mut self.senders) {
            statements.dedup();
            let policy = json!({
                "Queues": [reference(&queue)],
                "PolicyDocument": { "Version": "2012-10-17", "Statement": statements },
            });
            self.put(&["queues"], &format!("{queue}Policy"), "AWS::SQS::QueuePolicy", &policy);
        }
    }
}

fn sender(service: &str, queue: &str, source: &Value) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": { "Service": service },
        "Action": "sqs:SendMessage",
        "Resource": arn(queue),
        "Condition": { "ArnEquals": { "aws:SourceArn": source } },
    })
}

/// A number is the days after which objects go.
fn lifecycle_rule(rule: Value) -> Value {
    let days = match &rule {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    match (days, rule) {
        (Some(days), _) => json!({ "Status": "Enabled", "ExpirationInDays": days }),
        (None, Value::Object(mut rule)) => {
            rule.entry("Status").or_insert_with(|| "Enabled".into());
            Value::Object(rule)
        }
        (None, other) => other,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text, a JSON object, or in it `{ generate: 32 }`.
fn part(value: &Value) -> Option<Part> {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("generate") => {
            generated(&map["generate"])
        }
        Value::Object(map) => {
            let members = map.iter().map(|(key, value)| Some((key.clone(), part(value)?)));
            members.collect::<Option<_>>().map(Part::Object)
        }
        Value::Null | Value::Array(_) => None,
        scalar => Some(Part::Text(text(scalar))),
    }
}

fn generated(length: &Value) -> Option<Part> {
    let length = match length {
        Value::Bool(true) => GENERATED,
        other => text(other).parse().ok().filter(|length| (1..=4096).contains(length))?,
    };
    Some(Part::Generated(length))
}
