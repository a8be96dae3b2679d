//! Resources of `aws:` as the real LocalStack has them, and the start of a LocalStack that nobody asks for its health.

use serde_json::Value;

use super::aws::LOCALSTACK;
use crate::support::{Sandbox, engine};

const RESOURCES: &str = "aws:
  service: localstack
  keys: [app]
  queues:
    orders:
    late.fifo: { maxReceiveCount: 2, ContentBasedDeduplication: true, VisibilityTimeout: 45 }
  topics: { order-events: { subscriptions: [orders] } }
  buckets: { uploads: { versioning: true, cors: ['http://localhost:3000'] } }
  secrets:
    token: 'a-${API_TOKEN}'
    session: { generate: 40 }
    database: { value: { username: shop, password: '${API_TOKEN}', salt: { generate: 24 } }, KmsKeyId: app }
  parameters: { /shop/mode: live, /shop/regions: [eu, us] }
  rules: { created: { EventPattern: { source: [shop] }, targets: [orders, late.fifo] } }
";

/// What clients of AWS are told of all of it, as JSON.
const LOOK: &str = r"
import json, boto3
def client(name):
    return boto3.client(name, endpoint_url='http://127.0.0.1:4566', region_name='us-east-1',
                        aws_access_key_id='test', aws_secret_access_key='test')
s3, ssm, sqs, kms = client('s3'), client('ssm'), client('sqs'), client('kms')
secrets, events, sns = client('secretsmanager'), client('events'), client('sns')
def queue(name):
    return sqs.get_queue_url(QueueName=name)['QueueUrl']
def received(name):
    found = sqs.receive_message(QueueUrl=queue(name), WaitTimeSeconds=20, MaxNumberOfMessages=1)['Messages'][0]
    sqs.delete_message(QueueUrl=queue(name), ReceiptHandle=found['ReceiptHandle'])
    return found['Body']
told = {
    'versioning': s3.get_bucket_versioning(Bucket='uploads')['Status'],
    'cors': s3.get_bucket_cors(Bucket='uploads')['CORSRules'][0]['AllowedOrigins'],
    'mode': ssm.get_parameter(Name='/shop/mode')['Parameter']['Value'],
    'regions': ssm.get_parameter(Name='/shop/regions')['Parameter'],
    'late': sqs.get_queue_attributes(QueueUrl=queue('late.fifo'), AttributeNames=['All'])['Attributes'],
    'secrets': {name: secrets.get_secret_value(SecretId=name)['SecretString'] for name in ('token', 'session', 'database')},
    'keys': {name: secrets.describe_secret(SecretId=name).get('KmsKeyId') for name in ('token', 'database')},
    'alias': kms.describe_key(KeyId='alias/app')['KeyMetadata'],
}
sealed = kms.encrypt(KeyId='alias/app', Plaintext=b'sealed')['CiphertextBlob']
told['opened'] = kms.decrypt(CiphertextBlob=sealed)['Plaintext'].decode()
events.put_events(Entries=[{'Source': 'shop', 'DetailType': 'created', 'Detail': json.dumps({'order': 7})}])
told['event'] = json.loads(received('orders'))
told['fifo event'] = json.loads(received('late.fifo'))
topic = next(it['TopicArn'] for it in sns.list_topics()['Topics'] if it['TopicArn'].endswith(':order-events'))
sns.publish(TopicArn=topic, Message='paid')
told['published'] = json.loads(received('orders'))
print(json.dumps(told, default=str))
";

fn project(localstack: &str, resources: &str) -> Sandbox {
    let sandbox = Sandbox::small();
    sandbox.take("durable/localstack", "durable/localstack");
    sandbox.write("durable.yaml", &format!("services:\n{localstack}"));
    let yaml = sandbox.read("envctl.yaml");
    let durable = "credentials: [API_TOKEN]\ndurable: { compose: [durable.yaml] }\n";
    sandbox.write("envctl.yaml", &format!("{yaml}{durable}{resources}"));
    sandbox
}

fn credential(sandbox: &Sandbox, name: &str) -> String {
    let kept = sandbox.read(".envctl/devlocal.credentials");
    let line = kept.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap().to_owned()
}

#[test]
fn each_kind_of_resource_is_what_the_file_says_and_works() {
    let sandbox = project(LOCALSTACK, RESOURCES);
    let up = sandbox.ok("durable up").says("adds UploadsBucket (AWS::S3::Bucket)");
    let container = sandbox.thing("durable-localstack");
    let look = || -> Value {
        let told = engine::ask(&["exec", &container, "python3", "-c", LOOK]);
        serde_json::from_str(&told).unwrap()
    };
    let told = look();
    assert_eq!(told["versioning"], "Enabled");
    assert_eq!(told["cors"][0], "http://localhost:3000");
    assert_eq!(told["mode"], "live");
    assert_eq!(told["regions"]["Type"], "StringList");
    assert_eq!(told["regions"]["Value"], "eu,us");

    let late = &told["late"];
    assert_eq!(
        (&late["FifoQueue"], &late["ContentBasedDeduplication"]),
        (&"true".into(), &"true".into())
    );
    assert_eq!(late["VisibilityTimeout"], "45");
    let redrive: Value = serde_json::from_str(late["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with(":late-dlq.fifo"), "{late}");
    assert_eq!(redrive["maxReceiveCount"].to_string().trim_matches('"'), "2");

    let token = credential(&sandbox, "API_TOKEN");
    let secret = |name: &str| told["secrets"][name].as_str().unwrap().to_owned();
    assert_eq!(secret("token"), format!("a-{token}"));
    assert_eq!(secret("session").len(), 40);
    let database: Value = serde_json::from_str(&secret("database")).unwrap();
    assert_eq!(
        (&database["username"], &database["password"]),
        (&"shop".into(), &token.clone().into())
    );
    assert_eq!(database["salt"].as_str().unwrap().len(), 24);
    assert!(!up.stderr.contains(&token));

    let key = &told["alias"];
    assert_eq!(told["keys"]["database"], key["Arn"], "the secret is under the key of the file");
    assert_eq!(told["keys"]["token"], Value::Null);
    assert_eq!(told["opened"], "sealed");

    assert_eq!(told["event"]["source"], "shop");
    assert_eq!(told["event"]["detail"]["order"], 7);
    assert_eq!(told["fifo event"]["detail"]["order"], 7);
    assert_eq!(told["published"]["Message"], "paid");

    // What was made by chance stays as it is.
    let _ = sandbox.ok("durable up").says("was up already");
    assert_eq!(look()["secrets"], told["secrets"]);
}

/// Without a health check, and with scripts of one's own.
fn unasked() -> String {
    let (before, _) = LOCALSTACK.split_once("    healthcheck:").unwrap();
    format!("{before}    volumes: ['./ready.d:/etc/localstack/init/ready.d:ro']\n")
}

#[test]
fn a_localstack_without_a_health_check_gets_its_stack_when_its_scripts_have_done_their_work() {
    let sandbox = project(&unasked(), "aws: { service: localstack, queues: [orders] }\n");
    let first = "import time; time.sleep(3); open('/tmp/first', 'w').close()\n";
    sandbox.write("ready.d/10-first.py", first);
    let container = sandbox.thing("durable-localstack");
    let _ = sandbox.ok("durable up").says("adds OrdersQueue (AWS::SQS::Queue)");
    let made = r"
import os, boto3
sqs = boto3.client('sqs', endpoint_url='http://127.0.0.1:4566', region_name='us-east-1',
                   aws_access_key_id='test', aws_secret_access_key='test')
url = sqs.get_queue_url(QueueName='orders')['QueueUrl']
told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=['CreatedTimestamp'])['Attributes']
print(int(told['CreatedTimestamp']) - int(os.stat('/tmp/first').st_mtime))
";
    let after = engine::ask(&["exec", &container, "python3", "-c", made]);
    assert!(after.trim().parse::<i64>().unwrap() >= 0, "the queue was made {after} s after it");

    // One that fails is told by its name; mended, it is well.
    sandbox.write("ready.d/20-fails.py", "raise SystemError('on purpose')\n");
    let _ = engine::ask(&["restart", "--time=1", &container]);
    let failed = sandbox.envctl("durable up").run().code(6);
    let _ = failed.says("scripts failed that LocalStack runs when it starts: 20-fails.py");
    assert!(sandbox.ok("durable logs --tail 50").stdout.contains("on purpose"));
    sandbox.write("ready.d/20-fails.py", "");
    let _ = engine::ask(&["restart", "--time=1", &container]);
    let _ = sandbox.ok("durable up").says("adds OrdersQueue (AWS::SQS::Queue)");
}
