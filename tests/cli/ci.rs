//! `envctl ci`: pipelines that are what their hosts read.

use serde_yaml::Value;

use super::{envctl, project};

const SHOP: &str = "name: shop
durable: { services: [db] }
app: { compose: [compose.yaml] }
credentials: [DB_PASSWORD]
checks: [{ path: / }, { service: e2e }]
environments: { devlocal: {}, ci: {} }
";
const COMPOSE: &str = "services:
  web: { image: nginx, ports: ['8080:80'] }
  e2e: { image: tool, profiles: [test] }
  db: { image: postgres:17 }
";

fn pipeline(host: &str, file: &str) -> (String, Value) {
    let folder = project(file, COMPOSE);
    let (code, text, err) = envctl(folder.path(), &["ci", host, "--env", "ci"]);
    assert_eq!(code, Some(0), "{err}");
    let value = serde_yaml::from_str(&text).unwrap();
    (text, value)
}

#[test]
fn the_demos_pipeline_is_the_one_that_envctl_writes() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (code, text, err) = envctl(root, &["ci", "gitlab", "--env", "ci"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(text, std::fs::read_to_string(root.join(".gitlab-ci.yml")).unwrap());
}

#[test]
fn gitlabs_pipeline_has_a_job_for_each_step_and_each_test_and_asks_before_it_moves_traffic() {
    let (text, yaml) = pipeline("gitlab", SHOP);
    assert!(text.contains("masked CI/CD variables") && text.contains("DB_PASSWORD"), "{text}");
    assert_eq!(yaml["variables"]["ENVCTL_ENV"], "ci");
    let script = |job: &str| yaml[job]["script"][0].as_str().unwrap_or(job).to_owned();
    assert_eq!(script("durable:setup-ci"), "envctl durable up --lock-wait 10m");
    assert_eq!(script("build"), "envctl build");
    assert!(script("deploy:green").starts_with("envctl deploy "), "the idle color");
    for (job, what) in [("test:requests", "--requests"), ("test:e2e", "--service e2e")] {
        assert!(script(job).contains(what), "{job}: {}", script(job));
        let report = yaml[job]["artifacts"]["reports"]["junit"].as_str().unwrap();
        assert!(script(job).contains(&format!("--junit {report}")), "{job}");
    }
    for job in ["promote", "rollback", "cleanup"] {
        assert_eq!(yaml[job]["when"], "manual", "{job}");
        assert_eq!(yaml[job]["environment"]["name"], "ci", "{job}");
    }
    assert_eq!(yaml["promote"]["environment"]["on_stop"], "cleanup");
    assert_eq!(yaml["cleanup"]["environment"]["action"], "stop");
    let stages: Vec<_> = yaml["stages"].as_sequence().unwrap().iter().collect();
    for (job, its) in yaml.as_mapping().unwrap() {
        if let Some(stage) = its.get("stage") {
            assert!(stages.contains(&stage), "{job:?}");
            assert_eq!(its["extends"], ".evidence", "{job:?}");
        }
    }
}

#[test]
fn what_a_project_has_not_is_no_job() {
    let (text, yaml) = pipeline("gitlab", "name: shop\napp: {}\nenvironments: { ci: {} }\n");
    assert!(yaml.get("durable:setup-ci").is_none() && !text.contains("masked"), "{text}");
    assert!(yaml.get("test:requests").is_some(), "a release without checks is tested all the same");
    let (_, yaml) = pipeline("github", "name: shop\napp: {}\nenvironments: { ci: {} }\n");
    assert!(yaml["jobs"].get("durable").is_none());
    assert!(yaml["jobs"]["deploy"].get("needs").is_none());
}

#[test]
fn githubs_workflow_deploys_a_push_and_rolls_back_by_hand() {
    let (text, yaml) = pipeline("github", SHOP);
    assert_eq!(yaml["env"]["ENVCTL_ENV"], "ci");
    assert_eq!(yaml["env"]["DB_PASSWORD"], "${{ secrets.DB_PASSWORD }}");
    let jobs = &yaml["jobs"];
    assert_eq!(jobs["deploy"]["needs"], "durable");
    assert_eq!(jobs["promote"]["needs"], "test");
    assert_eq!(jobs["promote"]["environment"], "ci");
    assert_eq!(jobs["test"]["strategy"]["matrix"]["include"][1]["what"], "--service e2e");
    assert_eq!(jobs["rollback"]["if"], "inputs.operation == 'rollback'");
    assert!(text.contains("envctl cleanup --lock-wait 10m"), "{text}");
}
