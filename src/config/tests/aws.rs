//! `aws:` of the project file: what is read, and what is refused.

use crate::{
    config::{Project, Shell},
    model::Color,
};

fn open(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Project, String>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let project = Project::open(folder.path(), None, &Shell::default());
    (folder, project.map_err(|error| error.to_string()))
}

fn wrong(aws: &str) -> String {
    let file = format!("name: shop\napp: {{}}\naws:\n{aws}");
    open(&[("envctl.yaml", &file)]).1.unwrap_err()
}

const COMPOSE: &str = "services:\n  localstack: { image: l }\n  api:\n    image: a\n    environment:\n      QUEUE: ${aws.outputs.OrdersQueueUrl}\n";

#[test]
fn an_output_stays_a_variable_until_it_is_known_and_one_that_is_not_made_is_refused() {
    let file = "name: shop\napp: {}\naws: { service: localstack, queues: [orders] }\n";
    let (_folder, project) = open(&[("envctl.yaml", file), ("compose.yaml", COMPOSE)]);
    let app = project.unwrap().load_app(Color::Blue, "r").unwrap();
    let value = app.services["api"].environment["QUEUE"].clone().unwrap();
    assert_eq!(value, "${aws.outputs.OrdersQueueUrl}");

    let typo = COMPOSE.replace("QueueUrl", "QueuUrl");
    let (_folder, project) = open(&[("envctl.yaml", file), ("compose.yaml", &typo)]);
    let error = project.unwrap().load_app(Color::Blue, "r").unwrap_err().to_string();
    assert!(error.contains("compose.yaml:6:14 services.api.environment.QUEUE"), "{error}");
    assert!(error.contains("no output `OrdersQueuUrl`"), "{error}");
    assert!(error.contains("did you mean `OrdersQueueUrl`?"), "{error}");
}

#[test]
fn the_service_has_to_be_in_the_files_of_a_layer() {
    let file = "name: shop\napp: {}\naws: { service: localstak, queues: [orders] }\n";
    let (_folder, project) = open(&[("envctl.yaml", file), ("compose.yaml", COMPOSE)]);
    let error = project.unwrap().load_app(Color::Blue, "r").unwrap_err().to_string();
    assert!(error.contains("envctl.yaml:3:8 aws.service: no service `localstak`"), "{error}");
    assert!(error.contains("did you mean `localstack`?"), "{error}");
}

#[test]
fn what_is_wrong_names_its_line() {
    for (aws, words) in [
        ("  queues: [orders]\n", "needs one of `service`"),
        ("  endpoint: localhost\n", "expected a URL"),
        ("  service: l\n  endpoint: http://l\n", "needs one of `service`"),
        (
            "  service: l\n  queues:\n    orders: { maxReciveCount: 3 }\n",
            "envctl.yaml:6:15 aws.queues.orders.maxReciveCount: unknown key",
        ),
        (
            "  service: l\n  topics: { t: { subscriptions: [a] } }\n",
            "aws.topics.t.subscriptions[0]: no queue `a`",
        ),
        ("  service: l\n  queus: [orders]\n", "queus"),
        ("  service: l\n  template: t.yaml\n", "t.yaml"),
        ("  service: l\n  queues: orders\n", "a list of names"),
    ] {
        let said = wrong(aws);
        assert!(said.contains(words), "{aws}: {said}");
    }
}

#[test]
fn a_credential_goes_into_a_secret_and_nowhere_else() {
    let aws = |section: &str| {
        format!(
            "name: shop\napp: {{}}\ncredentials: [TOKEN]\naws: {{ service: l, {section}: {{ s: 'a${{TOKEN}}' }} }}\n"
        )
    };
    let credentials = (".envctl/devlocal.credentials", "TOKEN=0123456789abcdef\n");
    let parameter = aws("parameters");
    let (_folder, refused) = open(&[("envctl.yaml", &parameter), credentials]);
    let refused = refused.unwrap_err();
    assert!(refused.contains("the credential TOKEN would be in the template"), "{refused}");
    let secret = aws("secrets");
    let (_folder, project) = open(&[("envctl.yaml", &secret), credentials]);
    let aws = project.unwrap().aws.unwrap();
    assert_eq!(aws.template.secrets[0].wanted(None), "a0123456789abcdef");
    assert!(!aws.template.body.contains("0123456789"));
}

#[test]
fn a_credential_goes_only_to_a_parameter_that_tells_nobody_and_to_no_output() {
    let file = "name: shop\napp: {}\ncredentials: [TOKEN]\naws:\n  service: l\n  template: t.yaml\n  parameters: { Token: 'a${TOKEN}', Stage: ci }\n";
    let credentials = (".envctl/devlocal.credentials", "TOKEN='0123\"456\\789'\n");
    let template = |echo: &str, output: &str| {
        format!(
            "Parameters:\n  Token: {{ Type: String{echo} }}\n  Stage: {{ Type: String }}\nResources:\n  T: {{ Type: AWS::SecretsManager::Secret, Properties: {{ SecretString: !Ref Token }} }}\nOutputs:\n  Arn: {{ Value: !Ref T }}\n  Shown: {{ Value: !Sub '${{{output}}}' }}\n"
        )
    };
    let opened = |text: &str| open(&[("envctl.yaml", file), ("t.yaml", text), credentials]).1;
    let told = opened(&template("", "Stage")).unwrap_err();
    let place = "envctl.yaml:7:17 aws.parameters.Token: the credential TOKEN would be told";
    assert!(told.contains(place) && told.contains("has no `NoEcho`"), "{told}");
    assert!(told.contains("`NoEcho: true`") && !told.contains("0123"), "{told}");

    let shown = opened(&template(", NoEcho: true", "Token")).unwrap_err();
    assert!(shown.contains("the output `Shown` of the template would tell"), "{shown}");

    let project = opened(&template(", NoEcho: 'true'", "Stage")).unwrap();
    let aws = project.aws.unwrap();
    assert!(aws.parameters[0].hidden && !aws.parameters[1].hidden);
    assert_eq!(aws.parameters[0].value, "a0123\"456\\789");
    assert!(!format!("{aws:?}").contains("0123"), "{aws:?}");
}

#[test]
fn a_template_of_ones_own_has_its_outputs_and_parameters() {
    let template = "Parameters:\n  Stage: { Type: String }\nResources:\n  Orders: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub 'orders-${Stage}' } }\nOutputs:\n  Url: { Value: !Ref Orders }\n";
    let file = |parameter: &str| {
        format!(
            "name: shop\napp: {{}}\naws: {{ endpoint: 'http://localhost:4566/', template: t.yaml, parameters: {{ {parameter}: ci }} }}\n"
        )
    };
    let right = file("Stage");
    let (_folder, project) = open(&[("envctl.yaml", &right), ("t.yaml", template)]);
    let aws = project.unwrap().aws.unwrap();
    assert_eq!(
        (aws.template.outputs, aws.template.body.as_str()),
        (vec!["Url".to_owned()], template)
    );
    let stage = &aws.parameters[0];
    assert_eq!((stage.name.as_str(), stage.value.as_str(), stage.hidden), ("Stage", "ci", false));
    assert_eq!(aws.stack, "shop-devlocal");
    assert_eq!(aws.template.queues["Orders"], "Orders");
    let typo = file("Stag");
    let (_folder, project) = open(&[("envctl.yaml", &typo), ("t.yaml", template)]);
    let error = project.unwrap_err();
    assert!(error.contains("no parameter `Stag`") && error.contains("`Stage`?"), "{error}");
}
