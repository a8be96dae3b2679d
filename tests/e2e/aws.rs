//! AWS resources on the real LocalStack: one stack, deployed, changed, refused, rolled back; its outputs and its queues.

use std::{fs, process::Command, time::Duration};

use crate::support::{Sandbox, engine, program, wait};

/// LocalStack as the demo has it.
pub const LOCALSTACK: &str = r#"  localstack:
    image: localstack/localstack:4.14.0
    build: { context: durable/localstack, args: { BASE_IMAGE: "${BASE_IMAGE:-debian:trixie-slim}" } }
    environment:
      GATEWAY_LISTEN: 0.0.0.0:4566
      LOCALSTACK_HOST: localstack:4566
      SQS_ENDPOINT_STRATEGY: path
      DNS_ADDRESS: 0
      DISABLE_EVENTS: 1
      SKIP_SSL_CERT_DOWNLOAD: 1
    healthcheck: { test: [CMD, curl, -sf, "http://127.0.0.1:4566/_localstack/health"], interval: 1s, retries: 60 }
"#;

const RESOURCES: &str = r"aws:
  service: localstack
  queues:
    orders: { maxReceiveCount: 3 }
  secrets:
    database: { value: { username: shop, password: '${DATABASE_PASSWORD}', salt: { generate: 24 } }, KmsKeyId: app }
  keys: [app]
  topics: { order-events: { subscriptions: [orders] } }
  identities: [shop@example.com]
";

/// A web service whose mark is the URL of a queue, and LocalStack in the durable layer or in each color.
fn project(durable: bool) -> Sandbox {
    let sandbox = Sandbox::small();
    sandbox.take("durable/localstack", "durable/localstack");
    let mut yaml = format!("{}credentials: [DATABASE_PASSWORD]\n", sandbox.read("envctl.yaml"));
    if durable {
        sandbox.write("durable.yaml", &format!("services:\n{LOCALSTACK}"));
        yaml.push_str("durable: { compose: [durable.yaml] }\n");
    } else {
        let compose = sandbox.read("compose.yaml");
        sandbox.write("compose.yaml", &format!("{compose}{LOCALSTACK}"));
    }
    sandbox.write("envctl.yaml", &format!("{yaml}{RESOURCES}"));
    sandbox.mark_web("${aws.outputs.OrdersQueueUrl}");
    sandbox
}

/// A call of SQS's own, made in LocalStack's container.
#[track_caller]
fn sqs(sandbox: &Sandbox, queue: &str, query: &str) -> String {
    let container = sandbox.thing("durable-localstack");
    let url = format!("http://127.0.0.1:4566/queue/us-east-1/000000000000/{queue}?{query}");
    engine::ask(&["exec", &container, "curl", "-sf", &url])
}

#[track_caller]
fn names(sandbox: &Sandbox, queue: &str) -> Vec<String> {
    let peeked = sandbox.ok(&format!("aws queue peek {queue} --json")).json();
    let bodies = peeked.as_array().unwrap().iter().map(|it| it["body"].as_str().unwrap());
    bodies.map(str::to_owned).collect()
}

#[test]
fn a_stack_in_the_durable_layer_is_deployed_changed_and_rolled_back_and_made_whole_again() {
    let sandbox = project(true);
    let stack = sandbox.thing("").trim_end_matches('-').to_owned();
    let up = sandbox.ok("up").says("blue is live").says("adds OrdersQueue (AWS::SQS::Queue)");
    let url = "http://localstack:4566/queue/us-east-1/000000000000/orders";
    assert_eq!(sandbox.ask("/mark"), url);
    let password = sandbox.read(".envctl/devlocal.credentials");
    let password = password.lines().find_map(|line| line.strip_prefix("DATABASE_PASSWORD="));
    let password = password.unwrap();
    assert!(!up.stderr.contains(password));
    let secret = "import boto3; print(boto3.client('secretsmanager', endpoint_url='http://127.0.0.1:4566', region_name='us-east-1', aws_access_key_id='test', aws_secret_access_key='test').get_secret_value(SecretId='database')['SecretString'])";
    let container = sandbox.thing("durable-localstack");
    let kept = || engine::ask(&["exec", &container, "python3", "-c", secret]);
    let first = kept();
    assert!(first.contains(password) && first.contains("\"salt\""), "{}", first.len());

    let status = sandbox.ok("aws status --json").json();
    assert_eq!(status["status"], "CREATE_COMPLETE");
    assert_eq!(status["outputs"]["OrdersQueueUrl"], url);
    assert!(!status.to_string().contains(password));
    let _ = sandbox.ok("aws outputs").shows("OrdersDeadLetterQueueArn");
    // Again, there is nothing to do.
    let _ = sandbox.ok("durable up").says("was up already");
    let _ = sandbox.ok("plan durable").says("nothing to do");
    assert!(sandbox.ok("up").took < Duration::from_secs(20));
    assert_eq!(kept(), first);

    // What is new or changed comes with a deployment, and the plan says what.
    sandbox.edit("envctl.yaml", "{ maxReceiveCount: 3 }", "{ maxReceiveCount: 2 }\n    audit:");
    let _ = sandbox
        .ok("plan")
        .shows(&format!("deploy aws stack {stack}"))
        .shows("adds AuditQueue; changes OrdersQueue");
    let _ = sandbox.ok("deploy green").says("changes OrdersQueue").says("adds AuditQueue");
    let policy = sqs(&sandbox, "orders", "Action=GetQueueAttributes&AttributeName.1=RedrivePolicy");
    assert!(policy.contains("maxReceiveCount") && policy.contains('2'), "{policy}");

    // A message that nobody can work off is a dead letter after two tries, and comes back when it is told to.
    let _ = sqs(&sandbox, "orders", "Action=SendMessage&MessageBody=first");
    assert_eq!(names(&sandbox, "orders"), ["first"]);
    for _ in 0..2 {
        let _ = sqs(&sandbox, "orders", "Action=ReceiveMessage&VisibilityTimeout=0");
    }
    wait::until_true(Duration::from_secs(30), "the message is a dead letter", || {
        let _ = sqs(&sandbox, "orders", "Action=ReceiveMessage&VisibilityTimeout=0");
        names(&sandbox, "orders-dlq") == ["first"]
    });
    let _ = sandbox.ok("aws queue peek orders-dlq").shows("first").says("1 message");
    let _ = sandbox.ok("aws queue redrive orders").says("moved 1 dead letter back");
    assert_eq!(
        (names(&sandbox, "orders"), names(&sandbox, "orders-dlq").len()),
        (vec!["first".to_owned()], 0)
    );
    let _ = sandbox.envctl("aws queue peek ordres").run().code(2).says("did you mean `orders`?");

    // One that fails is taken back, whole; what is live is not touched.
    sandbox.edit("envctl.yaml", "    audit:", "    audit:\n    late:");
    let wrong = "[orders, { Protocol: nonsense, Endpoint: x }]";
    sandbox.edit("envctl.yaml", "[orders]", wrong);
    let failed = sandbox.envctl("deploy green").run().code(6);
    let failed = failed.says("OrderEventsSubscription2 (AWS::SNS::Subscription)");
    let _ = failed.says("does not support this protocol").says("it is as it was");
    let status = sandbox.ok("aws status --json").json();
    let there: Vec<&str> = status["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    assert!(there.contains(&"AuditQueue") && !there.contains(&"LateQueue"), "{status}");
    assert_eq!((sandbox.ask("/mark").as_str(), sandbox.live().as_deref()), (url, Some("blue")));
    assert_eq!(names(&sandbox, "orders"), ["first"]);

    // What would go is kept, until it is said to go.
    sandbox.edit("envctl.yaml", wrong, "[orders]");
    sandbox.edit("envctl.yaml", "    audit:\n    late:\n", "");
    let kept_all = sandbox.envctl("deploy green").run().code(1);
    let _ = kept_all.says("would lose AuditQueue (AWS::SQS::Queue)").says("envctl aws apply");
    let _ = sandbox.ok("aws apply").says("removes AuditQueue").says("is deployed");
    assert_eq!(names(&sandbox, "orders"), ["first"]);

    // What LocalStack would only say that it changed is told before.
    sandbox.edit("envctl.yaml", "keys: [app]", "keys: { app: { Description: for orders } }");
    let fixed = sandbox.envctl("durable up").run().code(1);
    let _ = fixed.says("LocalStack cannot change AppKey (AWS::KMS::Key)").says("envctl aws apply");
    sandbox.edit("envctl.yaml", "keys: { app: { Description: for orders } }", "keys: [app]");

    // LocalStack forgets when it is restarted.
    let _ = engine::ask(&["restart", &container]);
    wait::until_true(Duration::from_secs(60), "LocalStack answers again", || {
        sandbox.envctl("aws status").run().code == Some(0)
    });
    let _ = sandbox.ok("durable up").says("adds OrdersQueue (AWS::SQS::Queue)");
    assert!(kept().contains(password));
    let _ = sandbox.ok("durable up").says("was up already");
}

#[test]
fn an_endpoint_takes_the_stack_with_names_of_the_environments_own() {
    let sandbox = project(true);
    sandbox.edit(
        "durable.yaml",
        "    environment:",
        "    ports: [\"127.0.0.1:@PORT1@:4566\"]\n    environment:",
    );
    sandbox.edit("envctl.yaml", "service: localstack", "endpoint: http://127.0.0.1:@PORT1@");
    let _ = sandbox.envctl("up").run().code(2).says("AWS_SECRET_ACCESS_KEY");
    let envctl = |words: &str| {
        let envctl = sandbox.envctl(words).env("AWS_ACCESS_KEY_ID", "test");
        envctl.env("AWS_SECRET_ACCESS_KEY", "kept-to-itself").run()
    };

    let up = envctl("up").ok().says("blue is live").says("adds OrdersQueue (AWS::SQS::Queue)");
    assert!(!up.stderr.contains("kept-to-itself"), "{}", up.stderr);
    let name = sandbox.thing("orders");
    let url = format!("http://localstack:4566/queue/us-east-1/000000000000/{name}");
    assert_eq!(sandbox.ask("/mark"), url);
    let status = envctl("aws status --json").ok().json();
    assert_eq!(status["at"], format!("http://127.0.0.1:{}", sandbox.ports.get(1)));
    assert_eq!(status["outputs"]["OrdersQueueUrl"], url);
    let _ = envctl("up").ok().says("up to date");

    sandbox.edit("envctl.yaml", "{ maxReceiveCount: 3 }", "{ maxReceiveCount: 2 }");
    let _ = envctl("deploy green").ok().says("changes OrdersQueue");
    let query = "Action=GetQueueAttributes&AttributeName.1=RedrivePolicy";
    assert!(sqs(&sandbox, &name, query).contains(&format!("{name}-dlq")));

    // It is LocalStack all the same: a look does not count, and a change is rehearsed.
    let _ = sqs(&sandbox, &name, "Action=SendMessage&MessageBody=first");
    let _ = envctl("aws queue peek orders").ok().shows("first").says("1 message");
    sandbox.edit("envctl.yaml", "[orders] }", "[orders, { Protocol: nonsense, Endpoint: x }] }");
    let failed = envctl("deploy green").code(6).says("does not support this protocol");
    let _ = failed.says("it is as it was: a rehearsal found that");
    let _ = envctl("aws queue peek orders").ok().shows("first");

    // What does not answer is told, and what is live is not touched.
    let _ = engine::ask(&["stop", "--time=1", &sandbox.thing("durable-localstack")]);
    sandbox.mark_web("changed");
    let down = envctl("aws status").code(1);
    let _ =
        down.says(&format!("http://127.0.0.1:{}", sandbox.ports.get(1))).says("does not answer");
    assert_eq!((sandbox.ask("/mark"), sandbox.live().as_deref()), (url, Some("blue")));
}

#[test]
fn each_color_has_a_stack_in_its_own_localstack() {
    let sandbox = project(false);
    let _ = sandbox.ok("up").says("blue is live").says("adds OrdersQueue (AWS::SQS::Queue)");
    let url = "http://localstack:4566/queue/us-east-1/000000000000/orders";
    assert_eq!(sandbox.ask("/mark"), url);
    let _ = sandbox.ok("up").says("up to date");
    sandbox.edit("envctl.yaml", "orders: { maxReceiveCount: 3 }", "orders:\n    late:");
    let _ = sandbox.ok("plan").shows("localstack starts without it");
    let _ = sandbox.ok("deploy green").says("adds LateQueue");
    let ids = |color: &str| sandbox.ok(&format!("aws status --color {color}")).stdout;
    assert!(ids("green").contains("LateQueue") && !ids("blue").contains("LateQueue"));
    assert!(ids("blue").contains("OrdersDeadLetterQueue"));

    // Unknown types are refused, not left out.
    sandbox.write("stack.yaml", "Resources:\n  Orders: { Type: AWS::SQS::Queue, Properties: { QueueName: orders } }\n  Pool: { Type: AWS::Cognito::UserPool }\nOutputs:\n  OrdersQueueUrl: { Value: !Ref Orders }\n");
    let yaml = sandbox.read("envctl.yaml");
    let (before, _) = yaml.split_once("aws:\n").unwrap();
    sandbox.write(
        "envctl.yaml",
        &format!("{before}aws: {{ service: localstack, template: stack.yaml }}\n"),
    );
    let failed = sandbox.envctl("deploy green").run().code(6);
    let _ = failed.says("Pool (AWS::Cognito::UserPool)");
    assert_eq!(sandbox.live().as_deref(), Some("blue"));
    assert_eq!(sandbox.ask("/mark"), url);
    sandbox.edit("stack.yaml", "  Pool: { Type: AWS::Cognito::UserPool }\n", "");
    sandbox.edit("stack.yaml", "QueueName: orders", "QueueName: !Sub 'order${Suffix}'");
    let parameters = "Parameters:\n  Suffix: { Type: String }\nResources:";
    sandbox.edit("stack.yaml", "Resources:", parameters);
    let given = "template: stack.yaml, parameters: { Suffix: '${SUFFIX:-s}' }";
    sandbox.edit("envctl.yaml", "template: stack.yaml", given);
    let _ = sandbox.ok("up").says("green is live");
    assert_eq!(sandbox.ask("/mark"), url);
    let _ = sandbox.ok("up").says("up to date");
    let _ = sandbox.envctl("up").env("SUFFIX", "s-ci").run().ok().says("blue is live");
    assert_eq!(sandbox.ask("/mark"), format!("{url}-ci"));
    let _ = sandbox.envctl("up").env("SUFFIX", "s-ci").run().ok().says("up to date");
}

#[test]
fn every_template_passes_cfn_lint() {
    let sandbox = Sandbox::empty();
    let lint =
        program::run(&mut Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/cfn-lint")))
            .ok();
    let aws = "aws:\n  service: l\n  queues:\n    orders: { maxReceiveCount: 3 }\n    late.fifo: { maxReceiveCount: 2, KmsMasterKeyId: app, ContentBasedDeduplication: true }\n    shared:\n    audit: { maxReceiveCount: 9, deadLetter: shared, VisibilityTimeout: 60, DelaySeconds: 3 }\n  topics:\n    events: { subscriptions: [orders, { queue: audit, FilterPolicy: { type: [paid] } }, 'https://example.com/x', a@example.com], KmsMasterKeyId: app }\n    line.fifo: [late.fifo]\n  buckets:\n    uploads: { versioning: true, cors: ['http://localhost:3000'], lifecycle: 30, publicRead: true }\n    plain:\n  secrets:\n    database: { value: { username: a, password: { generate: 32 } }, KmsKeyId: app }\n    token: tok\n  keys: { app: { EnableKeyRotation: true } }\n  parameters: { /shop/mode: live, list: [a, b], limit: 3 }\n  rules:\n    nightly: { ScheduleExpression: rate(5 minutes), targets: [orders, late.fifo] }\n    created: { EventPattern: { source: [shop] }, targets: [audit] }\n  identities: [a@example.com]\n";
    for (number, aws) in [aws, RESOURCES].into_iter().enumerate() {
        sandbox.write("envctl.yaml", &format!("name: @NAME@\napp: {{}}\n{aws}"));
        let template = sandbox.ok("aws template").stdout;
        let file = sandbox.path(&format!("{number}.json"));
        fs::write(&file, template).unwrap();
        let _ = program::run(Command::new(lint.stdout.trim()).arg("-t").arg(&file)).ok();
    }
}
