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
        assert!(script(job).contains(" --revision $CI_COMMIT_SHA "), "{job}: {}", script(job));
        let kept = &yaml[job]["artifacts"];
        assert_eq!(
            (kept["when"].as_str(), kept["paths"][0].as_str()),
            (Some("always"), Some("evidence/"))
        );
        let report = kept["reports"]["junit"].as_str().unwrap();
        assert!(script(job).contains(&format!("--junit {report}")), "{job}");
    }
    assert_eq!(script("promote"), "envctl switch --revision $CI_COMMIT_SHA --lock-wait 10m");
    for job in ["durable:setup-ci", "deploy:green", "promote", "rollback", "cleanup"] {
        assert_eq!(yaml[job]["resource_group"], "$ENVCTL_ENV", "{job} changes what others change");
    }
    for job in ["build", "test:requests", "test:e2e"] {
        assert!(yaml[job].get("resource_group").is_none(), "{job} waits for nobody");
    }
    let evidence = &yaml[".evidence"];
    let lines: Vec<&str> = evidence["after_script"]
        .as_sequence()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert_eq!(lines[0], "if [ \"$CI_JOB_STATUS\" = success ]; then exit 0; fi");
    for part in ["envctl status", "envctl history", "envctl logs $color --tail 200 > evidence/"] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {lines:?}");
    }
    assert_eq!(evidence["artifacts"]["when"], "on_failure");
    assert_eq!(evidence["artifacts"]["paths"][0], "evidence/");
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
    for run in [
        "envctl cleanup --lock-wait 10m",
        "envctl test ${{ matrix.what }} --revision $GITHUB_SHA ",
        "envctl switch --revision $GITHUB_SHA --lock-wait 10m",
    ] {
        assert!(text.contains(run), "{run}: {text}");
    }
}

#[test]
fn githubs_rollback_waits_for_no_job_and_a_failed_job_leaves_its_evidence() {
    let (_, yaml) = pipeline("github", SHOP);
    assert!(yaml.get("concurrency").is_none(), "it would hold a rollback behind a promotion");
    let jobs = &yaml["jobs"];
    for job in ["durable", "deploy"] {
        assert_eq!(jobs[job]["concurrency"]["group"], "shop-ci", "{job}");
        assert_eq!(jobs[job]["concurrency"]["cancel-in-progress"], false, "{job}");
    }
    for (name, job) in jobs.as_mapping().unwrap() {
        let waits = job.get("environment").is_some();
        let held = job.get("concurrency").is_some();
        assert!(!(waits && held), "{name:?} holds the group while it waits for its reviewers");
    }
    for job in ["promote", "rollback", "cleanup"] {
        assert_eq!(jobs[job]["environment"], "ci", "{job}");
    }
    for (name, job) in jobs.as_mapping().unwrap() {
        let steps = job["steps"].as_sequence().unwrap();
        let uploads = |when: &str| -> Vec<&str> {
            let of = steps
                .iter()
                .filter(|step| step["if"] == when && step["uses"] == "actions/upload-artifact@v4");
            of.map(|step| step["with"]["path"].as_str().unwrap()).collect()
        };
        assert_eq!(uploads("failure()"), ["evidence/"], "{name:?}");
        let writes = steps.iter().filter(|step| step["if"] == "failure()");
        let writes = writes.filter_map(|step| step["run"].as_str()).collect::<String>();
        assert!(writes.contains("envctl logs $color --tail 200 > evidence/"), "{name:?}: {writes}");
        let reports = uploads("always()");
        let expected: &[&str] = if name == "test" { &["test-${{ matrix.name }}.xml"] } else { &[] };
        assert_eq!(reports, expected, "{name:?}");
    }
}
