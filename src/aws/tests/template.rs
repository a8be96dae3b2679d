//! The templates that short forms come to.

use indexmap::IndexMap;

use crate::aws::{Resources, Section, Template, Wrong, template};

fn resources(yaml: &str) -> Resources {
    let mut all: IndexMap<String, Section> = serde_yaml::from_str(yaml).unwrap();
    let mut section = |name: &str| all.shift_remove(name).unwrap_or_default();
    let resources = Resources {
        prefix: String::new(),
        queues: section("queues"),
        topics: section("topics"),
        buckets: section("buckets"),
        secrets: section("secrets"),
        keys: section("keys"),
        parameters: section("parameters"),
        rules: section("rules"),
    };
    assert!(all.is_empty());
    resources
}

fn made(yaml: &str) -> Template {
    template(&resources(yaml), "shop ci").unwrap()
}

fn wrong(yaml: &str) -> Vec<String> {
    let wrong = template(&resources(yaml), "shop ci").unwrap_err();
    let line = |wrong: Wrong| {
        format!("{}: {} {}", wrong.path.join("."), wrong.message, wrong.hint.unwrap_or_default())
    };
    wrong.into_iter().map(line).collect()
}

#[test]
fn a_queue_has_its_dead_letter_queue_in_one_line() {
    let made = made("queues: { orders: { maxReceiveCount: 3 } }");
    insta::assert_snapshot!(made.body);
    assert_eq!(made.queues.keys().collect::<Vec<_>>(), ["orders-dlq", "orders"]);
}

#[test]
fn a_queue_of_the_name_of_anothers_dead_letter_queue_is_refused() {
    for file in [
        "queues: { orders: { maxReceiveCount: 3 }, orders-dlq: }",
        "queues: { orders-dlq: , orders: { maxReceiveCount: 3 } }",
        "queues: { orders.fifo: { maxReceiveCount: 3 }, orders-dlq.fifo: }",
    ] {
        let all = wrong(file);
        assert!(all.len() == 1 && all[0].contains("there are two queues `orders-dlq"), "{all:?}");
    }
    made("queues: { orders: { maxReceiveCount: 3, deadLetter: orders-dlq }, orders-dlq: }");
}

#[test]
fn queues_and_topics_may_be_fifo_and_have_properties_of_cloudformation() {
    insta::assert_snapshot!(made(
        "queues:\n  orders.fifo: { maxReceiveCount: 5, ContentBasedDeduplication: true }\n  mails: { fifo: true, VisibilityTimeout: 60, KmsMasterKeyId: app }\n  shared:\n  audit: { maxReceiveCount: 2, deadLetter: shared }\ntopics:\n  events.fifo: { subscriptions: [orders.fifo], ContentBasedDeduplication: true }\nkeys: { app: }\n"
    ).body);
}

#[test]
fn topics_have_subscriptions_and_the_queues_let_them_send() {
    insta::assert_snapshot!(made(
        "queues: { orders: , mails: }\ntopics:\n  order-events:\n    subscriptions:\n    - orders\n    - { queue: mails, FilterPolicy: { type: [paid] }, RawMessageDelivery: true }\n    - https://example.com/hook\n    - shop@example.com\n    - { Protocol: sms, Endpoint: '+15550100' }\n  alarms: [orders]\n"
    ).body);
}

#[test]
fn buckets_secrets_keys_parameters_and_rules() {
    let made = made(
        "queues: { orders: , late.fifo: }\nbuckets:\n  uploads: { versioning: true, cors: ['http://localhost:3000'], lifecycle: 30, publicRead: true }\n  logs: { lifecycle: [{ Prefix: old/, ExpirationInDays: 7 }] }\n  plain:\nsecrets:\n  database: { value: { username: app, password: hunter2 }, KmsKeyId: app }\n  session: { generate: 40, Description: for cookies }\n  token: tok-en\nkeys: { app: { EnableKeyRotation: true } }\nparameters:\n  /shop/mode: live\n  limit: 3\n  regions: [eu, us]\nrules:\n  nightly: { ScheduleExpression: rate(5 minutes), targets: [orders] }\n  created:\n    EventPattern: { source: [shop] }\n    targets: [{ queue: late.fifo, InputPath: $.detail }, orders]\n",
    );
    insta::assert_snapshot!(made.body);
    assert!(!made.body.contains("hunter2") && !made.body.contains("tok-en"));
    let names: Vec<&str> = made.secrets.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["database", "session", "token"]);
}

#[test]
fn a_prefix_is_before_every_name_on_aws_and_before_none_in_the_template() {
    let mut all = resources(
        "queues: { orders: { maxReceiveCount: 1 } }\ntopics: { t: }\nbuckets: { b-1: }\nsecrets: { s: { generate: true } }\nkeys: { k: }\nparameters: { /p/q: 1, r: 2 }\nrules: { e: { ScheduleExpression: rate(1 day) } }\n",
    );
    all.prefix = "shop-ci-".to_owned();
    let body = template(&all, "shop ci").unwrap().body;
    for name in [
        "shop-ci-orders",
        "shop-ci-orders-dlq",
        "shop-ci-t",
        "shop-ci-b-1",
        "shop-ci-s",
        "alias/shop-ci-k",
        "/shop-ci/p/q",
        "shop-ci-r",
        "shop-ci-e",
    ] {
        assert!(body.contains(&format!("\"{name}\"")), "{name}\n{body}");
    }
    assert!(body.contains("\"OrdersQueueUrl\"") && body.contains("\"PQParameterName\""));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_near_name() {
    let all = wrong(
        "queues:\n  orders: { maxRecieveCount: 3 }\n  mails: { VisibilityTimout: 3 }\n  a-b:\n  a.b:\n  none: { deadLetter: orders }\n  many: { maxReceiveCount: 0 }\n  lost: { maxReceiveCount: 1, deadLetter: ordres }\ntopics: { events: [orderz] }\nsecrets: { s: { KmsKeyId: app } }\nrules: { r: { targets: [orders] } }\nparameters: { p: { Type: String } }\n'buckets': { '--': }\n",
    );
    let text = all.join("\n");
    for line in [
        "queues.orders.maxRecieveCount: unknown key `maxRecieveCount` did you mean `maxReceiveCount`?",
        "queues.mails.VisibilityTimout: AWS::SQS::Queue has no property `VisibilityTimout` did you mean `VisibilityTimeout`?",
        "queues.a.b: another one is called `ABQueue` in the template, too",
        "queues.none.deadLetter: `maxReceiveCount` says after how many tries",
        "queues.many.maxReceiveCount: expected a number from 1 on, found 0",
        "queues.lost.deadLetter: no queue `ordres` in `queues` did you mean `orders`?",
        "topics.events.subscriptions.0: no queue `orderz` in `queues` did you mean `orders`?",
        "secrets.s: needs one of `value`",
        "rules.r: needs `ScheduleExpression`",
        "parameters.p: expected a value",
        "buckets.--: a name has letters or digits",
    ] {
        assert!(text.contains(line), "lacks {line}\n{text}");
    }
    assert!(!text.contains("hunter2"));
}
