//! The stack of AWS resources around the use cases, at an endpoint of its own.

use serde_json::json;

use super::{
    localstack::{LocalStack, started},
    stage::Stage,
};
use crate::{
    ops::{self, OpsError},
    run::{AwsFailure, RunError},
};

const APP: &str = "services:\n  web: { image: nginx, ports: ['8000:80'] }\n";
const TEMPLATE: &str = "Parameters:\n  Keep: { Type: Number, Default: 60 }\n  Token: { Type: String, NoEcho: true }\nResources:\n  Orders: { Type: AWS::SQS::Queue, Properties: { MessageRetentionPeriod: !Ref Keep } }\n  Mails: { Type: AWS::SNS::Subscription, Properties: { Endpoint: !Sub 'https://mail.test/${Token}' } }\n";
const CREDENTIALS: &str = ".envctl/devlocal.credentials";
const ENV: &str = "AWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=kept-to-itself\n";

fn stage(localstack: &LocalStack) -> Stage {
    let project = format!(
        "name: shop\napp: {{}}\ncredentials: [TOKEN]\naws: {{ endpoint: '{}', template: t.yaml, parameters: {{ Keep: '${{KEEP:-60}}', Token: '${{TOKEN:-none-yet}}' }} }}\n",
        localstack.url
    );
    let mut stage = Stage::with(&project, APP, &[("t.yaml", TEMPLATE), (".env", ENV)]);
    stage.read_again_with(CREDENTIALS, "TOKEN=first-token\n");
    stage
}

async fn planned(stage: &Stage) -> String {
    let options = ops::DeployOptions::default();
    let plan = ops::plan_deploy(&stage.session(), options).await.unwrap();
    format!("{plan}\n{plan:?}")
}

#[tokio::test]
async fn another_value_of_a_parameter_is_seen_and_deployed_and_a_hidden_one_is_never_told() {
    let localstack = LocalStack::start().await;
    let mut stage = stage(&localstack);
    stage.up().await.unwrap();
    assert_eq!(localstack.stack().status, "CREATE_COMPLETE");
    assert_eq!(localstack.stack().parameters["Token"], "first-token");
    assert!(stage.up().await.unwrap().deployed.is_none());
    assert!(!planned(&stage).await.contains("deploy aws stack"));

    stage.read_again_with(".env", &format!("{ENV}KEEP=90\n"));
    assert!(planned(&stage).await.contains("changes Orders"));
    assert!(stage.up().await.unwrap().deployed.is_some());
    assert_eq!(localstack.stack().parameters["Keep"], "90");
    assert!(stage.up().await.unwrap().deployed.is_none());

    stage.read_again_with(CREDENTIALS, "TOKEN=second-token\n");
    let mut told = planned(&stage).await;
    assert!(told.contains("replaces Mails"), "{told}");
    ops::aws_apply(&stage.session(), None).await.unwrap();
    assert_eq!(localstack.stack().parameters["Token"], "second-token");
    assert!(stage.up().await.unwrap().deployed.is_none());

    told.push_str(&serde_json::to_string(&stage.history().await).unwrap());
    told.push_str(&stage.notes.all());
    told.push_str(&format!("{:?}", stage.engine.seen()));
    told.push_str(&localstack.asked().join(" "));
    assert!(!told.contains("-token"), "{told}");
}

#[tokio::test]
async fn localstack_at_an_endpoint_is_told_from_aws_and_its_changes_are_rehearsed() {
    for is_aws in [false, true] {
        let localstack = LocalStack::start().await;
        localstack.kept().is_aws = is_aws;
        let mut stage = stage(&localstack);
        stage.up().await.unwrap();
        let _ = localstack.asked();
        stage.read_again_with(".env", &format!("{ENV}KEEP=90\n"));
        stage.up().await.unwrap();
        let asked = localstack.asked();
        let rehearsed = asked.contains(&"999999999999 ExecuteChangeSet".to_owned());
        assert_eq!(rehearsed, !is_aws, "{asked:?}");
        assert!(asked.contains(&"ExecuteChangeSet".to_owned()), "{asked:?}");
        assert_eq!(localstack.stack().parameters["Keep"], "90");
    }
}

fn told(error: &OpsError) -> String {
    match error {
        OpsError::Failed { failure, .. } => failure.to_string(),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn a_stack_that_was_broken_off_while_it_failed_is_no_success_and_is_made_anew() {
    let localstack = LocalStack::start().await;
    let stage = stage(&localstack);
    stage.up().await.unwrap();
    localstack.kept().stacks.get_mut("test").unwrap().status = "ROLLBACK_COMPLETE".to_owned();
    let refused = told(&stage.up().await.unwrap_err());
    assert!(refused.contains("is not whole: it is ROLLBACK_COMPLETE"), "{refused}");
    assert!(!localstack.asked().contains(&"DeleteStack".to_owned()), "what is live may use it");

    ops::aws_apply(&stage.session(), None).await.unwrap();
    assert!(localstack.asked().contains(&"DeleteStack".to_owned()));
    assert_eq!(localstack.stack().status, "CREATE_COMPLETE");
    assert!(stage.up().await.unwrap().deployed.is_none());
}

#[tokio::test]
async fn a_change_that_fails_is_taken_back_to_the_template_and_the_values_of_before() {
    let localstack = LocalStack::start().await;
    let mut stage = stage(&localstack);
    stage.up().await.unwrap();
    stage.file("t.yaml", &format!("{TEMPLATE}  More: {{ Type: AWS::SQS::Queue }}\n"));
    stage.read_again_with(".env", &format!("{ENV}KEEP=90\n"));
    localstack.kept().fails = true;
    let failed = told(&stage.up().await.unwrap_err());
    assert!(failed.contains("it is rolled back"), "{failed}");
    let stack = localstack.stack();
    assert_eq!(
        (stack.status.as_str(), stack.parameters["Keep"].as_str()),
        ("UPDATE_COMPLETE", "60")
    );
    assert!(!stack.template.contains("More"), "{}", stack.template);
}

#[tokio::test]
async fn a_stack_waits_for_the_scripts_that_localstack_starts_with() {
    let localstack = LocalStack::start().await;
    let script = "10-queues.sh";
    localstack.kept().starts =
        [started(false, &[]), started(false, &[(script, "RUNNING")]), started(true, &[])].into();
    let stage = stage(&localstack);
    stage.up().await.unwrap();
    assert_eq!(localstack.kept().starts.len(), 1);
    assert_eq!(localstack.stack().status, "CREATE_COMPLETE");

    // One that fails is told by its name, and nothing is made.
    let localstack = LocalStack::start().await;
    localstack.kept().starts = [started(true, &[(script, "ERROR")])].into();
    let stage = self::stage(&localstack);
    let failed = stage.up().await.unwrap_err();
    let OpsError::Failed { failure, .. } = failed else { panic!("{failed}") };
    let RunError::Aws(AwsFailure::Scripts { failed, .. }) = &failure.source else {
        panic!("{failure}")
    };
    assert_eq!(failed, &[script]);
    assert!(localstack.kept().stacks.is_empty());
    assert_eq!(stage.routing().live, None);
}

#[tokio::test]
async fn dead_letters_that_stay_are_told_with_the_reason() {
    let localstack = LocalStack::start().await;
    let stage = stage(&localstack);
    stage.up().await.unwrap();
    let task = json!({ "Results": [{ "Status": "FAILED", "FailureReason": "no such queue", "ApproximateNumberOfMessagesMoved": 2 }] });
    localstack.kept().answers.insert("ListMessageMoveTasks", task);
    let error = ops::redrive(&stage.session(), None, "Orders").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the dead letters of `Orders` were not all moved back: it ended as FAILED after 2 messages: no such queue"
    );
}
