//! The pipeline as GitHub reads it: `.github/workflows/….yml` (Workflow syntax for GitHub Actions).

use super::Pipeline;

pub(super) fn write(pipeline: &Pipeline<'_>) -> String {
    let Pipeline { project, environment, .. } = pipeline;
    let mut text = format!(
        "# The pipeline of {project}, environment {environment}: written by `envctl ci github`, yours to change.
#
# A runner of your own (self-hosted) needs envctl on its PATH and Docker Engine. All state is on the engine: jobs may
# run in different checkouts, and a job that was cancelled needs no cleanup. `promote` waits for the reviewers of the
# environment {environment} (Settings, Environments). A job that waits for them holds its concurrency group, so
# what may wait (`promote`, `rollback`, `cleanup`) is in none: envctl's own lock keeps them apart.
name: {project}

on:
  push:
    branches: [main]
  workflow_dispatch:
    inputs:
      operation:
        description: What to do in place of a deployment
        type: choice
        options: [deploy, rollback, cleanup]
        default: deploy

env:
  ENVCTL_ENV: {environment}
"
    );
    // Secrets of the repository: a checkout does not last.
    for name in pipeline.credentials {
        text.push_str(&format!("  {name}: ${{{{ secrets.{name} }}}}\n"));
    }
    text.push_str("\njobs:\n");
    let group = format!("{project}-{environment}");
    let deploys = "github.event_name == 'push' || inputs.operation == 'deploy'";
    let mut before = None;
    if pipeline.durable {
        let script = ["envctl durable up --lock-wait 10m"];
        job(
            &mut text,
            &Job {
                name: "durable",
                when: deploys,
                needs: None,
                environment: None,
                group: Some(&group),
                script: &script,
            },
        );
        before = Some("durable");
    }
    let script = ["envctl build", "envctl deploy --lock-wait 10m"];
    job(
        &mut text,
        &Job {
            name: "deploy",
            when: deploys,
            needs: before,
            environment: None,
            group: Some(&group),
            script: &script,
        },
    );

    let requests = pipeline.requests.then_some(("requests", "--requests".to_owned()));
    let services =
        pipeline.services.iter().map(|service| (*service, format!("--service {service}")));
    let tests: Vec<_> = requests.into_iter().chain(services).collect();
    text.push_str(&format!(
        "
  test:
    if: {deploys}
    needs: deploy
    runs-on: [self-hosted, docker]
    strategy:
      fail-fast: false
      matrix:
        include:
"
    ));
    for (name, what) in &tests {
        text.push_str(&format!("          - {{ name: {name}, what: \"{what}\" }}\n"));
    }
    text.push_str(
        "    steps:
      - uses: actions/checkout@v4
      - run: envctl test ${{ matrix.what }} --revision $GITHUB_SHA --junit test-${{ matrix.name }}.xml --lock-wait 10m
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: test-${{ matrix.name }}
          path: test-${{ matrix.name }}.xml
",
    );
    evidence(&mut text, "test-${{ matrix.name }}");
    let script = ["envctl switch --revision $GITHUB_SHA --lock-wait 10m"];
    let promote = Job {
        name: "promote",
        when: deploys,
        needs: Some("test"),
        environment: Some(environment),
        group: None,
        script: &script,
    };
    job(&mut text, &promote);
    for name in ["rollback", "cleanup"] {
        let when = format!("inputs.operation == '{name}'");
        let script = format!("envctl {name} --lock-wait 10m");
        let script = [script.as_str()];
        let environment = Some(*environment);
        let by_hand =
            Job { name, when: &when, needs: None, environment, group: None, script: &script };
        job(&mut text, &by_hand);
    }
    text
}

struct Job<'a> {
    name: &'a str,
    when: &'a str,
    needs: Option<&'a str>,
    environment: Option<&'a str>,
    /// Of which one job runs at a time.
    group: Option<&'a str>,
    script: &'a [&'a str],
}

fn job(text: &mut String, job: &Job<'_>) {
    if !text.ends_with("jobs:\n") {
        text.push('\n');
    }
    text.push_str(&format!("  {}:\n    if: {}\n", job.name, job.when));
    if let Some(needs) = job.needs {
        text.push_str(&format!("    needs: {needs}\n"));
    }
    if let Some(environment) = job.environment {
        text.push_str(&format!("    environment: {environment}\n"));
    }
    if let Some(group) = job.group {
        text.push_str(&format!(
            "    concurrency: {{ group: {group}, cancel-in-progress: false }}\n"
        ));
    }
    text.push_str(
        "    runs-on: [self-hosted, docker]\n    steps:\n      - uses: actions/checkout@v4\n",
    );
    for line in job.script {
        text.push_str(&format!("      - run: {line}\n"));
    }
    evidence(text, job.name);
}

/// What a failed job leaves to look at, beside what it has printed.
fn evidence(text: &mut String, name: &str) {
    text.push_str(&format!(
        "      - if: failure()
        run: |
          mkdir -p evidence
          envctl status | tee evidence/status.txt
          envctl history --limit 5 | tee evidence/history.txt
          for color in blue green; do envctl logs $color --tail 200 > evidence/$color.log 2>&1 || true; done
      - uses: actions/upload-artifact@v4
        if: failure()
        with:
          name: evidence-{name}
          path: evidence/
"
    ));
}
