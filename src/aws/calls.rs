//! The calls that it takes to deploy a stack, to set its secrets and to look at its queues.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{AwsError, Client, Parameter, Values, xml::Element};

const CLOUDFORMATION: (&str, &str) = ("cloudformation", "cloudformation");
const CLOUDFORMATION_VERSION: &str = "2010-05-15";
/// Version 1 of SES, whose host is called otherwise.
const SES: (&str, &str) = ("ses", "email");
const SES_VERSION: &str = "2010-12-01";
/// What a template may make that needs a word for it.
const CAPABILITIES: [&str; 3] =
    ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"];

/// A stack as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// `CREATE_COMPLETE`.
    pub status: String,
    pub reason: Option<String>,
    pub outputs: BTreeMap<String, String>,
    /// As they are told: hidden ones are not.
    pub parameters: Values,
    /// The name of the change set that it was last deployed by.
    pub change_set: Option<String>,
}

impl Stack {
    /// Whether something is being done to it.
    pub fn is_under_way(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS"
    }

    /// Whether it is as the template that it was last given has it.
    pub fn is_whole(&self) -> bool {
        matches!(
            self.status.as_str(),
            "CREATE_COMPLETE"
                | "UPDATE_COMPLETE"
                | "UPDATE_ROLLBACK_COMPLETE"
                | "IMPORT_COMPLETE"
                | "IMPORT_ROLLBACK_COMPLETE"
        )
    }
}

/// What a change set would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    pub status: String,
    pub reason: Option<String>,
    pub changes: Vec<Change>,
}

/// What becomes of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`.
    pub action: String,
    pub id: String,
    pub kind: String,
    /// Another one takes its place.
    pub replaced: bool,
}

/// Something that happened to a resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub event: String,
    pub id: String,
    pub kind: String,
    pub status: String,
    pub reason: Option<String>,
}

/// A resource of a stack as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployed {
    pub id: String,
    pub kind: String,
    /// What it is called on AWS: a URL, an ARN, a name.
    pub name: String,
    pub status: String,
}

/// How far LocalStack's scripts of `/etc/localstack/init` are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scripts {
    /// None is still to come.
    pub done: bool,
    /// `10-queues.sh`: those under way.
    pub running: Vec<String>,
    pub failed: Vec<String>,
}

/// A message of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub id: String,
    /// Seconds since 1970.
    pub sent: i64,
    /// How often it was received.
    pub received: u64,
    pub body: String,
    /// Texts and numbers that were sent with it.
    pub attributes: BTreeMap<String, String>,
    /// Nobody has it in hand.
    pub visible: bool,
}

/// How far dead letters were moved back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// `RUNNING`, `COMPLETED`, `FAILED`, `CANCELLED`.
    pub status: String,
    pub reason: Option<String>,
    pub moved: u64,
}

fn owned(element: &Element, name: &str) -> String {
    element.text(name).unwrap_or_default().to_owned()
}

impl Client {
    async fn cloudformation(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Element, AwsError> {
        self.query(CLOUDFORMATION, CLOUDFORMATION_VERSION, action, parameters).await
    }

    /// How far the scripts of a LocalStack are that starts; none where it is none, or an old one.
    pub async fn scripts(&self) -> Result<Option<Scripts>, AwsError> {
        let Some(told) = self.get("/_localstack/init").await? else { return Ok(None) };
        let in_state = |state: &str| -> Vec<String> {
            let all = told["scripts"].as_array().into_iter().flatten();
            let all = all.filter(|script| script["state"] == state);
            all.filter_map(|script| Some(script["name"].as_str()?.to_owned())).collect()
        };
        Ok(Some(Scripts {
            done: told["completed"]["READY"] == true,
            running: in_state("RUNNING"),
            failed: in_state("ERROR"),
        }))
    }

    /// A stack; none where there is none of that name.
    pub async fn stack(&self, name: &str) -> Result<Option<Stack>, AwsError> {
        let answer = match self.cloudformation("DescribeStacks", &[("StackName", name)]).await {
            Err(AwsError::Refused { message, .. }) if message.contains("does not exist") => {
                return Ok(None);
            }
            answer => answer?,
        };
        let Some(found) = answer.list("Stacks").next() else { return Ok(None) };
        let pairs = |list: &str, [key, value]: [&str; 2]| {
            found.list(list).map(|it| (owned(it, key), owned(it, value))).collect()
        };
        // `arn:aws:cloudformation:us-east-1:000000000000:changeSet/NAME/ID`
        let set = found.text("ChangeSetId").and_then(|arn| arn.split('/').nth(1));
        let stack = Stack {
            status: owned(found, "StackStatus"),
            reason: found.text("StackStatusReason").map(str::to_owned),
            outputs: pairs("Outputs", ["OutputKey", "OutputValue"]),
            parameters: pairs("Parameters", ["ParameterKey", "ParameterValue"]),
            change_set: set.map(str::to_owned),
        };
        Ok(Some(stack).filter(|stack| stack.status != "DELETE_COMPLETE"))
    }

    /// The template that a stack was last given.
    pub async fn template(&self, stack: &str) -> Result<String, AwsError> {
        let parameters = [("StackName", stack), ("TemplateStage", "Original")];
        let answer = self.cloudformation("GetTemplate", &parameters).await?;
        let body = answer.find("TemplateBody").map(Element::own_text);
        Ok(body.unwrap_or_default().to_owned())
    }

    /// Makes a change set of a stack that is there, or is to be (`new`).
    pub async fn create_change_set(
        &self,
        (stack, name): (&str, &str),
        new: bool,
        template: &str,
        values: &[Parameter],
    ) -> Result<(), AwsError> {
        let kind = if new { "CREATE" } else { "UPDATE" };
        let mut form = vec![
            ("StackName".to_owned(), stack),
            ("ChangeSetName".to_owned(), name),
            ("ChangeSetType".to_owned(), kind),
            ("TemplateBody".to_owned(), template),
        ];
        for (number, capability) in CAPABILITIES.into_iter().enumerate() {
            form.push((format!("Capabilities.member.{}", number + 1), capability));
        }
        for (number, Parameter { name, value, .. }) in values.iter().enumerate() {
            let place = format!("Parameters.member.{}", number + 1);
            form.push((format!("{place}.ParameterKey"), name));
            form.push((format!("{place}.ParameterValue"), value));
        }
        let form: Vec<(&str, &str)> =
            form.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        self.cloudformation("CreateChangeSet", &form).await.map(|_| ())
    }

    pub async fn change_set(&self, stack: &str, name: &str) -> Result<ChangeSet, AwsError> {
        let form = [("StackName", stack), ("ChangeSetName", name)];
        let answer = self.cloudformation("DescribeChangeSet", &form).await?;
        let answer = answer.find("DescribeChangeSetResult").unwrap_or(&answer);
        let change = |member: &Element| {
            let change = member.find("ResourceChange")?;
            Some(Change {
                action: owned(change, "Action"),
                id: owned(change, "LogicalResourceId"),
                kind: owned(change, "ResourceType"),
                replaced: change.text("Replacement") == Some("True"),
            })
        };
        Ok(ChangeSet {
            status: owned(answer, "Status"),
            reason: answer.text("StatusReason").map(str::to_owned),
            changes: answer.list("Changes").filter_map(change).collect(),
        })
    }

    pub async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), AwsError> {
        let form = [("StackName", stack), ("ChangeSetName", name)];
        self.cloudformation("ExecuteChangeSet", &form).await.map(|_| ())
    }

    pub async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), AwsError> {
        let form = [("StackName", stack), ("ChangeSetName", name)];
        self.cloudformation("DeleteChangeSet", &form).await.map(|_| ())
    }

    pub async fn delete_stack(&self, stack: &str) -> Result<(), AwsError> {
        self.cloudformation("DeleteStack", &[("StackName", stack)]).await.map(|_| ())
    }

    /// What happened to a stack lately, the newest first.
    pub async fn events(&self, stack: &str) -> Result<Vec<Event>, AwsError> {
        let answer = self.cloudformation("DescribeStackEvents", &[("StackName", stack)]).await?;
        let event = |it: &Element| Event {
            event: owned(it, "EventId"),
            id: owned(it, "LogicalResourceId"),
            kind: owned(it, "ResourceType"),
            status: owned(it, "ResourceStatus"),
            reason: it.text("ResourceStatusReason").map(str::to_owned),
        };
        Ok(answer.list("StackEvents").map(event).collect())
    }

    pub async fn resources(&self, stack: &str) -> Result<Vec<Deployed>, AwsError> {
        let mut all = vec![];
        let mut next: Option<String> = None;
        loop {
            let mut form = vec![("StackName", stack)];
            form.extend(next.as_deref().map(|next| ("NextToken", next)));
            let answer = self.cloudformation("ListStackResources", &form).await?;
            all.extend(answer.list("StackResourceSummaries").map(|it| Deployed {
                id: owned(it, "LogicalResourceId"),
                kind: owned(it, "ResourceType"),
                name: owned(it, "PhysicalResourceId"),
                status: owned(it, "ResourceStatus"),
            }));
            // What never was, or is no more.
            all.retain(|it: &Deployed| {
                it.status != "DELETE_COMPLETE"
                    && !(it.status.starts_with("DELETE") && it.name.is_empty())
            });
            let token = answer.find("NextToken").map(Element::own_text);
            next = token.filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    /// The value of a secret; none where it has none.
    pub async fn secret(&self, name: &str) -> Result<Option<String>, AwsError> {
        let body = json!({ "SecretId": name });
        match self.json("secretsmanager", "/", "secretsmanager.GetSecretValue", &body).await {
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            answer => Ok(answer?.get("SecretString").and_then(Value::as_str).map(str::to_owned)),
        }
    }

    pub async fn put_secret(&self, name: &str, value: &str) -> Result<(), AwsError> {
        let body = json!({
            "SecretId": name,
            "SecretString": value,
            // Makes a repeated call one.
            "ClientRequestToken": token(),
        });
        self.json("secretsmanager", "/", "secretsmanager.PutSecretValue", &body).await.map(|_| ())
    }

    /// The addresses and domains that mail may be sent from, or that wait for it.
    pub async fn identities(&self) -> Result<Vec<String>, AwsError> {
        let answer =
            self.query(SES, SES_VERSION, "ListIdentities", &[("MaxItems", "1000")]).await?;
        Ok(answer.list("Identities").map(|it| it.own_text().to_owned()).collect())
    }

    pub async fn verify_identity(&self, identity: &str) -> Result<(), AwsError> {
        let (action, key) = if identity.contains('@') {
            ("VerifyEmailIdentity", "EmailAddress")
        } else {
            ("VerifyDomainIdentity", "Domain")
        };
        self.query(SES, SES_VERSION, action, &[(key, identity)]).await.map(|_| ())
    }

    async fn sqs(&self, action: &str, body: &Value) -> Result<Value, AwsError> {
        self.json("sqs", "/", &format!("AmazonSQS.{action}"), body).await
    }

    pub async fn queue_attributes(&self, url: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let body = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let answer = self.sqs("GetQueueAttributes", &body).await?;
        let all = answer.get("Attributes").and_then(Value::as_object);
        let each = all.into_iter().flatten();
        Ok(each
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect())
    }

    /// The messages of a queue, those in hand too, without touching them: LocalStack has a way of its own for that.
    pub async fn look_into(&self, url: &str) -> Result<Vec<Message>, AwsError> {
        let body = json!({ "QueueUrl": url });
        let path = "/_aws/sqs/messages?ShowInvisible=true&ShowDelayed=true";
        let answer = self.json("sqs", path, "AmazonSQS.ReceiveMessage", &body).await?;
        Ok(messages(&answer))
    }

    /// The first messages of a queue. Each look counts as a try.
    pub async fn receive(&self, url: &str) -> Result<Vec<Message>, AwsError> {
        let body = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "VisibilityTimeout": 0,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        Ok(messages(&self.sqs("ReceiveMessage", &body).await?))
    }

    /// Starts to move all messages of a dead-letter queue back to where they came from.
    pub async fn move_back(&self, arn: &str) -> Result<(), AwsError> {
        self.sqs("StartMessageMoveTask", &json!({ "SourceArn": arn })).await.map(|_| ())
    }

    /// How far the last move of a dead-letter queue is.
    pub async fn moved(&self, arn: &str) -> Result<Moved, AwsError> {
        let body = json!({ "SourceArn": arn, "MaxResults": 1 });
        let answer = self.sqs("ListMessageMoveTasks", &body).await?;
        let last = answer.pointer("/Results/0").cloned().unwrap_or_default();
        let text = |name: &str| last.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Moved {
            status: text("Status").unwrap_or_default(),
            reason: text("FailureReason"),
            moved: last["ApproximateNumberOfMessagesMoved"].as_u64().unwrap_or_default(),
        })
    }
}

/// 32 hex digits by chance.
fn token() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system's random source answers");
    hex::encode(bytes)
}

fn messages(answer: &Value) -> Vec<Message> {
    let all = answer.get("Messages").and_then(Value::as_array);
    let text = |value: &Value, path: &str| -> String {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let message = |it: &Value| {
        let attributes = it.get("MessageAttributes").and_then(Value::as_object);
        let attributes = attributes.into_iter().flatten();
        Message {
            id: text(it, "/MessageId"),
            sent: text(it, "/Attributes/SentTimestamp").parse::<i64>().unwrap_or(0) / 1000,
            received: text(it, "/Attributes/ApproximateReceiveCount").parse().unwrap_or(0),
            body: text(it, "/Body"),
            attributes: attributes
                .map(|(key, value)| (key.clone(), text(value, "/StringValue")))
                .collect(),
            visible: text(it, "/Attributes/IsVisible") != "false",
        }
    };
    all.into_iter().flatten().map(message).collect()
}
