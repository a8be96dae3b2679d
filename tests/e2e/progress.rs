//! What a deployment tells while it runs and at its end: as events for tools, and as lines for a log.

use serde_json::Value;

use crate::support::{Outcome, Sandbox};

fn events(outcome: &Outcome) -> Vec<Value> {
    let parse = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: `{line}`\n{outcome}"))
    };
    outcome.stderr.lines().map(parse).collect()
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn events_tell_each_step_with_its_reason_and_its_time_and_end_with_a_summary() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.edit("web/Dockerfile", "CMD", "RUN echo kneading for @NAME@\nCMD");
    let outcome = sandbox.ok("deploy green --progress json");
    assert_eq!(outcome.stdout, "");
    let all = events(&outcome);
    assert_eq!(all[0], serde_json::json!({ "event": "operation", "title": "deploy" }));

    let planned = of(&all, "planned");
    let steps = planned[0]["steps"].as_array().unwrap();
    assert_eq!(planned.len(), 1);
    let (started, done) = (of(&all, "step-started"), of(&all, "step-done"));
    assert_eq!((started.len(), done.len()), (steps.len(), steps.len()));
    for step in steps {
        let same = |event: &&&Value| event["step"] == step["step"];
        let (started, done) = (started.iter().find(same).unwrap(), done.iter().find(same).unwrap());
        for key in ["action", "title", "reason"] {
            assert_eq!(step[key], started[key]);
            assert_eq!(step[key], done[key]);
            assert_ne!(step[key], "", "{step}");
        }
        assert!(done["ms"].is_u64(), "{done}");
        for before in step["after"].as_array().unwrap() {
            let at = |kind: &str, step: &Value| {
                all.iter().position(|it| it["event"] == kind && it["step"] == *step).unwrap()
            };
            assert!(at("step-done", before) < at("step-started", &step["step"]), "{step}");
        }
    }
    let said = of(&all, "step-progress");
    let line = format!("kneading for {}", sandbox.name);
    assert!(said.iter().any(|it| it["line"] == line), "{outcome}");

    let [.., summary, hint] = &all[..] else { panic!("{outcome}") };
    assert_eq!((&summary["event"], &hint["event"]), (&"summary".into(), &"hint".into()));
    assert!(summary["text"].as_str().unwrap().starts_with("green holds release "), "{summary}");
    assert!(summary["ms"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["slowest"]["title"].is_string() && summary["slowest"]["ms"].is_u64());
    assert_eq!(summary["addresses"], serde_json::json!([preview(&sandbox)]));
    let count = |what: &str, how: &str| {
        let changes = summary["changes"].as_array().unwrap().iter();
        changes
            .filter(|it| it["what"] == what && it["how"] == how)
            .map(|it| &it["count"])
            .collect::<Vec<_>>()
    };
    for (what, how) in [("image", "built"), ("network", "created"), ("container", "created")] {
        assert_eq!(count(what, how), [1], "{summary}");
    }

    // Every command's every line is an event, and a failure is the last word.
    sandbox.edit(
        "compose.yaml",
        "    ports:",
        "    command: [sh, -c, 'echo no flour; exit 9']\n    ports:",
    );
    for (words, code) in
        [("switch green", 0), ("deploy blue", 6), ("cleanup blue", 0), ("deploy green", 1)]
    {
        let outcome = sandbox.envctl(&format!("{words} --progress json")).run().code(code);
        let all = events(&outcome);
        assert_eq!(all[0]["event"], "operation", "{outcome}");
        let errors = of(&all, "error");
        assert_eq!(errors.len(), usize::from(code != 0), "{outcome}");
        if code == 6 {
            let failed = of(&all, "step-failed");
            assert_eq!(failed.len(), 1);
            assert_eq!(failed[0]["title"], "wait until blue/web is ready");
            assert_eq!(errors[0]["evidence"]["exit_code"], 9, "{outcome}");
            assert_eq!(errors[0]["evidence"]["log"], serde_json::json!(["no flour"]));
            assert!(!errors[0]["hints"].as_array().unwrap().is_empty(), "{outcome}");
        }
    }
}

fn preview(sandbox: &Sandbox) -> String {
    format!("http://127.0.0.1:{}", sandbox.ports.get(20))
}

#[test]
fn lines_tell_each_step_once_and_the_summary_what_changed_how_long_what_was_slowest_and_where() {
    let sandbox = Sandbox::small();
    let _ = sandbox.ok("up").says("blue is live");
    sandbox.mark_web("second");
    let outcome = sandbox.ok("deploy green");
    let mut text =
        outcome.stderr.replace(&sandbox.name, "NAME").replace(&preview(&sandbox), "PREVIEW");
    for (pattern, instead) in [
        (r"\b\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}\b", "RELEASE"),
        (r"\b[0-9a-f]{12}\b", "HASH"),
        (r"slowest: .*", "slowest: STEP (TIME)"),
        (r" +\d+\.\d s", " TIME"),
        (r" +", " "),
    ] {
        text = regex::Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    // Steps are told as they end, and some run at one time; what takes long on a slow machine gives signs of life.
    let lines = text.lines().filter(|line| !line.starts_with('…'));
    let (mut steps, rest): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with("✓ ") && line.contains(" TIME "));
    steps.sort_unstable();
    insta::assert_snapshot!(format!("{}\n\n{}", steps.join("\n"), rest.join("\n")), @"
    ✓ create green/web (NAME-web:HASH) TIME a fresh stack
    ✓ create network NAME-devlocal-green-network TIME not found
    ✓ make green known to the proxy TIME its preview leads to it from here on
    ✓ start green/web TIME depends on nothing
    ✓ wait until green/web is ready TIME a route leads to it

    deploy
    ✓ green holds release RELEASE in TIME
     1 network and 1 container created
     slowest: STEP (TIME)
     preview: PREVIEW
    hint: `envctl test green`, then `envctl switch green`
    ");
}
