//! The stack of AWS resources in plans.

use insta::assert_snapshot;

use super::{stage::Stage, world::World};
use crate::{
    aws::Template,
    model::Color,
    plan::{At, Aws, AwsJob},
};

const COMPOSE: &str = "services:\n  api:\n    image: shop/api\n    environment: { QUEUE: '${aws.outputs.OrdersQueueUrl}' }\n  worker: { image: shop/worker, depends_on: { localstack: { condition: service_healthy } } }\n  cache: { image: redis:8 }\n";
const LOCALSTACK: &str = "  localstack: { image: localstack/localstack:4.14.0 }\n";
const RESOURCES: &str = "aws: { service: localstack, queues: [orders] }\n";

fn aws(service: Option<&str>, reason: Option<&str>) -> Aws {
    let job = AwsJob {
        stack: "shop-devlocal".to_owned(),
        at: At::Container { name: "l".to_owned(), port: 4566 },
        region: "us-east-1".to_owned(),
        template: Template::default(),
        parameters: vec![],
        identities: vec![],
        may_lose: false,
    };
    Aws { job, service: service.map(str::to_owned), reason: reason.map(str::to_owned) }
}

fn of_the_app() -> Stage {
    let project = format!("name: shop\napp: {{}}\n{RESOURCES}");
    let mut stage = Stage::new(&project, &format!("{COMPOSE}{LOCALSTACK}"));
    stage.aws = Some(aws(Some("localstack"), None));
    stage
}

fn of_the_durable_layer() -> Stage {
    let project =
        format!("name: shop\ndurable: {{ compose: [durable.yaml] }}\napp: {{}}\n{RESOURCES}");
    let durable = format!("services:\n{LOCALSTACK}");
    let app = COMPOSE.replace(", depends_on: { localstack: { condition: service_healthy } }", "");
    Stage::with(&project, &[("compose.yaml", &app), ("durable.yaml", &durable)])
}

#[test]
fn a_colors_own_stack_comes_when_its_localstack_is_healthy_and_before_what_has_its_outputs() {
    let plan = of_the_app().deploy(&World::default(), Color::Green, "r1").unwrap();
    assert_snapshot!(plan);
}

#[test]
fn a_stack_that_is_as_it_shall_be_is_read_only_where_a_service_has_its_outputs() {
    let mut stage = of_the_durable_layer();
    stage.aws = Some(aws(None, None));
    let plan = stage.deploy(&World::default(), Color::Green, "r1").unwrap();
    let lines = plan.lines().join("\n");
    assert!(lines.contains("read the outputs of aws stack shop-devlocal"), "{lines}");
    let create =
        plan.steps().iter().find(|step| step.title.starts_with("create green/api")).unwrap();
    let read = plan.steps().iter().find(|step| step.title.starts_with("read the outputs")).unwrap();
    assert!(create.after.contains(&read.id) && read.after.is_empty(), "{lines}");

    stage.aws = Some(aws(None, Some("adds AuditQueue")));
    let plan = stage.deploy(&World::default(), Color::Green, "r1").unwrap();
    assert!(plan.lines().iter().any(|line| line.ends_with("adds AuditQueue")), "{plan}");
}

#[test]
fn a_durable_localstack_that_starts_gets_its_stack_and_one_that_is_whole_gets_nothing() {
    let mut stage = of_the_durable_layer();
    stage.aws = Some(aws(Some("localstack"), None));
    let mut world = World::default();
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    assert!(
        plan.lines().iter().any(|line| line.contains("localstack starts without it")),
        "{plan}"
    );
    world.apply(&plan);
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    assert!(plan.only_waits(), "{plan}");
    stage.aws = Some(aws(Some("localstack"), Some("not found: adds OrdersQueue")));
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    assert!(plan.lines().iter().any(|line| line.contains("deploy aws stack")), "{plan}");
}

#[test]
fn outputs_stand_in_variables_alone_and_localstack_waits_for_none_of_them() {
    let project = format!("name: shop\napp: {{}}\n{RESOURCES}");
    let wrong = |compose: &str| {
        Stage::new(&project, compose).try_app(Color::Green, "r1").unwrap_err().join("\n")
    };
    let command = "services:\n  localstack: { image: l }\n  api: { image: a, command: [run, '${aws.outputs.OrdersQueueUrl}'] }\n";
    assert!(wrong(command).contains("`OrdersQueueUrl` is known when containers are made"));
    let circle = "services:\n  localstack: { image: l, depends_on: [api] }\n  api: { image: a, environment: { Q: '${aws.outputs.OrdersQueueUrl}' } }\n";
    assert!(wrong(circle).contains("`localstack` waits for `api`"));
}
