//! What answers in place of AWS or LocalStack in tests of the use cases: the calls that deploy one stack.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[derive(Clone)]
pub struct LocalStack {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
pub struct Kept {
    /// AWS: it has none of LocalStack's own addresses.
    pub is_aws: bool,
    /// What `/_localstack/init` tells, one after the other; the last one stays.
    pub starts: VecDeque<Value>,
    /// What calls in JSON are answered, by their actions.
    pub answers: BTreeMap<&'static str, Value>,
    /// `999999999999 CreateChangeSet`, with the account alone where it is another than the first.
    pub asked: Vec<String>,
    /// The next change of a stack fails, and what was changed stands.
    pub fails: bool,
    /// By accounts.
    pub stacks: BTreeMap<String, Stack>,
}

#[derive(Default, Clone)]
pub struct Stack {
    pub status: String,
    pub template: String,
    pub parameters: BTreeMap<String, String>,
    change_set: String,
    prepared: Option<Box<Stack>>,
}

impl LocalStack {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = Arc::new(Mutex::new(Kept::default()));
        let own = Self { url, kept };
        let serving = own.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        own
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    pub fn stack(&self) -> Stack {
        self.kept().stacks.get("test").cloned().unwrap_or_default()
    }

    /// What was asked since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.kept().asked)
    }

    async fn serve(self, mut stream: TcpStream) {
        let (mut text, mut bytes) = (String::new(), vec![0; 65536]);
        loop {
            let whole = text.split_once("\r\n\r\n").and_then(|(head, body)| {
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                (body.len() >= length).then(|| (head, body[..length].to_owned()))
            });
            let Some((head, body)) = whole else {
                let Ok(count @ 1..) = stream.read(&mut bytes).await else { return };
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
                continue;
            };
            text.clear();
            let (status, answer) = self.kept().answer(&head, &body);
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

impl Kept {
    fn answer(&mut self, head: &str, body: &str) -> (u16, String) {
        let path = head.split(' ').nth(1).unwrap();
        if path.starts_with("/_localstack/") {
            let told = match path {
                _ if self.is_aws => return (404, "<html>".to_owned()),
                "/_localstack/health" => serde_json::json!({ "services": {} }),
                _ if self.starts.len() > 1 => self.starts.pop_front().unwrap(),
                _ => self.starts.front().cloned().unwrap_or_else(|| started(true, &[])),
            };
            return (200, told.to_string());
        }
        let between = |from: &str, to: char| head.split_once(from)?.1.split_once(to);
        if let Some((target, _)) = between("x-amz-target: ", '\r') {
            let found = self
                .answers
                .iter()
                .find(|(action, _)| target.ends_with(&format!(".{}", action.to_ascii_lowercase())));
            return (200, found.map_or("{}".to_owned(), |(_, answer)| answer.to_string()));
        }
        let account = between("credential=", '/').unwrap().0.to_owned();
        let form: BTreeMap<String, String> = body
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (plain(key), plain(value)))
            .collect();
        let action = form["Action"].clone();
        let other = if account == "test" { String::new() } else { format!("{account} ") };
        self.asked.push(format!("{other}{action}"));
        self.cloudformation(&account, &action, &form)
    }

    fn cloudformation(
        &mut self,
        account: &str,
        action: &str,
        form: &BTreeMap<String, String>,
    ) -> (u16, String) {
        let stack = self.stacks.get_mut(account);
        let done = match (action, stack) {
            ("CreateChangeSet", stack) => {
                let mut new = stack.cloned().unwrap_or_default();
                let prepared = Stack {
                    status: if new.template.is_empty() { "CREATE" } else { "UPDATE" }.to_owned(),
                    template: form["TemplateBody"].clone(),
                    parameters: (1..)
                        .map_while(|number| {
                            let of = |what: &str| {
                                form.get(&format!("Parameters.member.{number}.Parameter{what}"))
                            };
                            Some((of("Key")?.clone(), of("Value")?.clone()))
                        })
                        .collect(),
                    change_set: form["ChangeSetName"].clone(),
                    prepared: None,
                };
                if new.template.is_empty() {
                    new.status = "REVIEW_IN_PROGRESS".to_owned();
                }
                new.prepared = Some(Box::new(prepared));
                self.stacks.insert(account.to_owned(), new);
                String::new()
            }
            (_, None) => {
                let error = "<E><Error><Code>ValidationError</Code><Message>Stack does not exist</Message></Error></E>";
                return (400, error.to_owned());
            }
            ("DescribeStacks", Some(stack)) => format!(
                "<Stacks><member><StackStatus>{}</StackStatus><ChangeSetId>arn:changeSet/{}/1</ChangeSetId><Parameters>{}</Parameters></member></Stacks>",
                stack.status,
                stack.change_set,
                stack.told()
            ),
            ("GetTemplate", Some(stack)) => {
                let body = stack.template.replace('&', "&amp;").replace('<', "&lt;");
                format!("<TemplateBody>{body}</TemplateBody>")
            }
            ("DescribeChangeSet", Some(stack)) => {
                let new = stack.prepared.as_ref().unwrap();
                let same = new.template == stack.template && new.parameters == stack.parameters;
                if same {
                    "<Status>FAILED</Status><StatusReason>The submitted information didn't contain changes.</StatusReason>"
                } else {
                    "<Status>CREATE_COMPLETE</Status>"
                }
                .to_owned()
            }
            ("ExecuteChangeSet", Some(stack)) => {
                *stack = *stack.prepared.take().unwrap();
                if account == "test" && std::mem::take(&mut self.fails) {
                    stack.status = "ROLLBACK".to_owned();
                }
                stack.status.push_str("_COMPLETE");
                String::new()
            }
            ("DeleteStack", Some(_)) => {
                self.stacks.remove(account);
                String::new()
            }
            ("ListStackResources", Some(_)) => "<StackResourceSummaries><member><LogicalResourceId>Orders</LogicalResourceId><ResourceType>AWS::SQS::Queue</ResourceType><PhysicalResourceId>q</PhysicalResourceId></member></StackResourceSummaries>".to_owned(),
            _ => String::new(),
        };
        (200, format!("<R><{action}Result>{done}</{action}Result></R>"))
    }
}

impl Stack {
    /// The parameters as they are told.
    fn told(&self) -> String {
        let template: serde_yaml::Value = serde_yaml::from_str(&self.template).unwrap_or_default();
        let all = template.get("Parameters").and_then(serde_yaml::Value::as_mapping);
        let told = all.into_iter().flatten().map(|(name, of)| {
            let name = name.as_str().unwrap();
            let default = of.get("Default").and_then(serde_yaml::Value::as_str);
            let value = match of.get("NoEcho") {
                Some(_) => "****",
                None => self.parameters.get(name).map_or(default.unwrap_or_default(), |it| it),
            };
            format!(
                "<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
            )
        });
        told.collect()
    }
}

/// What LocalStack tells of its scripts.
pub fn started(done: bool, scripts: &[(&str, &str)]) -> Value {
    let scripts: Vec<Value> = scripts
        .iter()
        .map(|(name, state)| serde_json::json!({ "stage": "READY", "name": name, "state": state }))
        .collect();
    serde_json::json!({ "completed": { "READY": done }, "scripts": scripts })
}

/// What stands encoded in a form.
fn plain(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
