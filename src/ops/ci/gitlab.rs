//! The pipeline as GitLab reads it: `.gitlab-ci.yml` (GitLab's CI/CD YAML syntax reference).

use super::Pipeline;

pub(super) fn write(pipeline: &Pipeline<'_>) -> String {
    let Pipeline { project, environment, .. } = pipeline;
    let mut text = format!(
        "# The pipeline of {project}, environment {environment}: written by `envctl ci gitlab`, yours to change.
#
# A runner needs envctl on its PATH and Docker Engine: the shell executor those of its host, the docker executor an
# image with envctl and the host's /var/run/docker.sock. All state is on the engine: jobs may run in different
# checkouts, and a job that was cancelled needs no cleanup.
"
    );
    if !pipeline.credentials.is_empty() {
        text.push_str(&format!(
            "#
# To be set as masked CI/CD variables, because a checkout does not last: {}.
",
            pipeline.credentials.join(", ")
        ));
    }
    text.push_str(&format!(
        r#"
stages: [setup, build, deploy, test, promote, operate]

variables:
  ENVCTL_ENV: {environment}

.evidence:
  # What a failed job leaves to look at, beside what it has printed.
  after_script:
    - if [ "$CI_JOB_STATUS" = success ]; then exit 0; fi
    - envctl status
    - envctl history --limit 5
    - mkdir -p evidence
    - for color in blue green; do envctl logs $color --tail 200 > evidence/$color.log 2>&1 || true; done
  artifacts:
    when: on_failure
    paths: [evidence/]
    expire_in: 1 week
"#
    ));
    if pipeline.durable {
        job(
            &mut text,
            &format!("durable:setup-{environment}"),
            "setup",
            "The database, its network and its volume: safe in every pipeline.",
            &["resource_group: $ENVCTL_ENV"],
            &["envctl durable up --lock-wait 10m"],
        );
    }
    job(&mut text, "build", "build", "All images, once for both colors.", &[], &["envctl build"]);
    job(
        &mut text,
        "deploy:green",
        "deploy",
        "A fresh stack on the idle color, green or blue: nobody sees it yet.",
        &["resource_group: $ENVCTL_ENV"],
        &["envctl deploy --lock-wait 10m"],
    );
    let tests = pipeline.requests.then_some(("requests", "--requests".to_owned()));
    let services =
        pipeline.services.iter().map(|service| (*service, format!("--service {service}")));
    for (name, what) in tests.into_iter().chain(services) {
        text.push_str(&format!(
            "
test:{name}:
  stage: test
  extends: .evidence
  script:
    - envctl test {what} --revision $CI_COMMIT_SHA --junit test-{name}.xml --lock-wait 10m
  artifacts:
    when: always
    paths: [evidence/, test-{name}.xml]
    reports:
      junit: test-{name}.xml
    expire_in: 1 week
"
        ));
    }
    job(
        &mut text,
        "promote",
        "promote",
        "Moves the traffic to what this pipeline deployed and tested; run again, it moves nothing.",
        &[
            "when: manual",
            "allow_failure: false",
            "resource_group: $ENVCTL_ENV",
            "environment:",
            &format!("  name: {environment}"),
            "  on_stop: cleanup",
        ],
        &["envctl switch --revision $CI_COMMIT_SHA --lock-wait 10m"],
    );
    job(
        &mut text,
        "rollback",
        "operate",
        "Back to the release that was live before.",
        &[
            "needs: []",
            "when: manual",
            "resource_group: $ENVCTL_ENV",
            "environment:",
            &format!("  name: {environment}"),
        ],
        &["envctl rollback --lock-wait 10m"],
    );
    job(
        &mut text,
        "cleanup",
        "operate",
        "Removes the idle color once its connections have ended; the data stays.",
        &[
            "needs: []",
            "when: manual",
            "resource_group: $ENVCTL_ENV",
            "environment:",
            &format!("  name: {environment}"),
            "  action: stop",
        ],
        &["envctl cleanup --lock-wait 10m"],
    );
    text
}

fn job(text: &mut String, name: &str, stage: &str, comment: &str, keys: &[&str], script: &[&str]) {
    text.push_str(&format!("\n# {comment}\n{name}:\n  stage: {stage}\n  extends: .evidence\n"));
    for key in keys {
        text.push_str(&format!("  {key}\n"));
    }
    text.push_str("  script:\n");
    for line in script {
        text.push_str(&format!("    - {line}\n"));
    }
}
