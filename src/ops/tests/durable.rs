//! The durable layer's use cases.

use insta::assert_snapshot;

use super::stage::{DB, Stage};
use crate::{
    database::Kind,
    engine::{Engine as _, memory::Behaviour},
    model::{Container, Outcome, labels},
    ops::{self, OpsError, database::kind_of, sources},
};

const VOLUME: &str = "shop-devlocal-durable-data";

#[tokio::test(start_paused = true)]
async fn up_down_up_keeps_the_data() {
    let stage = Stage::new();
    let session = stage.session();
    ops::durable_up(&session, ops::Apply::No).await.unwrap();
    stage.engine.set_volume_file(VOLUME, "ibdata1", b"rows");
    ops::durable_down(&session, ops::Data::Stays).await.unwrap();
    assert_snapshot!(stage.standing().join("\n"), @"
    shop-devlocal-durable-data (volume)
    shop-devlocal-proxy-state (volume)
    ");
    ops::durable_up(&session, ops::Apply::No).await.unwrap();
    assert_eq!(stage.engine.volume_file(VOLUME, "ibdata1").unwrap(), b"rows");
    let commands: Vec<_> = stage.history().await.into_iter().map(|c| c.command).collect();
    assert_eq!(commands, ["durable up", "durable down", "durable up"]);
}

#[tokio::test(start_paused = true)]
async fn up_tells_how_long_each_step_of_all_its_parts_took() {
    let ops::Up { durable, deployed, switched, .. } = Stage::new().up().await.unwrap();
    let (durable, deployed, switched) = (durable.unwrap(), deployed.unwrap(), switched.unwrap());
    for (plan, took) in [
        (&durable.plan, &durable.took),
        (&deployed.plan, &deployed.took),
        (&switched.plan, &switched.steps),
    ] {
        let steps: Vec<_> = plan.steps().iter().map(|step| step.id).collect();
        assert!(!steps.is_empty());
        assert_eq!(took.keys().copied().collect::<Vec<_>>(), steps);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_up_locks_records_and_changes_nothing() {
    let stage = Stage::new();
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    stage.engine.forget_calls();
    let up = ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    assert!(up.plan.only_waits());
    assert_eq!(stage.engine.changes(), Vec::<String>::new());
    assert_eq!(stage.history().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_ends_is_told_with_its_exit_code_and_its_log() {
    let stage = Stage::new();
    stage.engine.behave("db", Behaviour::runs_out_of_memory().saying("InnoDB: starting\n"));
    let error = ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap_err();
    assert_snapshot!(error, @"
    db did not get healthy within 1 min: out of memory
      exit code: 137
      restarts: 1
      its log ends with:
        InnoDB: starting
    ");
    let last = stage.history().await.pop().unwrap();
    assert!(matches!(last.outcome, Outcome::Failed { .. }), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn down_with_volumes_takes_the_data_and_nothing_of_others() {
    let stage = Stage::new();
    stage.up().await.unwrap();
    let others = crate::model::VolumeSpec { name: "other".into(), ..Default::default() };
    stage.engine.create_volume(&others).await.unwrap();
    ops::durable_down(&stage.session(), ops::Data::Goes).await.unwrap();
    let volumes: Vec<_> =
        stage.standing().into_iter().filter(|line| line.ends_with("(volume)")).collect();
    assert_eq!(
        volumes,
        ["envctl-ca (volume)", "other (volume)", "shop-devlocal-proxy-state (volume)"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_no_snapshot_keeps_is_told_where_there_is_any() {
    let mut stage = Stage::new();
    let redis = "services:\n  sessions: { image: redis, volumes: [\"sessions:/data\"] }\n";
    let db = DB.replace("services:\n", redis).replace("data: }", "data: , sessions: }");
    stage.with_db(&db);
    assert_eq!(ops::without_snapshot(&stage.session()).await.unwrap(), [""; 0]);
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    assert_eq!(ops::without_snapshot(&stage.session()).await.unwrap(), ["sessions"]);
}

#[tokio::test(start_paused = true)]
async fn data_of_a_service_that_the_files_have_no_more_is_not_deleted_without_a_word() {
    let mut stage = Stage::new();
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    assert_eq!(ops::volumes_of_no_service(&stage.session()).await.unwrap(), [""; 0]);
    stage.with_db("services: { hub: { image: nginx } }\n");
    for reset in [false, true] {
        let (session, data) = (stage.session(), ops::Data::GoesAfterSnapshot);
        let refused = if reset {
            ops::durable_reset(&session, data).await.map(|_| ())
        } else {
            ops::durable_down(&session, data).await.map(|_| ())
        };
        let refused = refused.unwrap_err();
        let OpsError::NoLastSnapshot { volumes } = &refused else { panic!("{refused}") };
        assert_eq!(volumes, &[VOLUME]);
        assert!(stage.engine.seen().container("shop-devlocal-durable-db").unwrap().is_running());
    }
    assert_eq!(ops::volumes_of_no_service(&stage.session()).await.unwrap(), [VOLUME]);
    ops::durable_down(&stage.session(), ops::Data::Goes).await.unwrap();
    assert!(stage.engine.seen().volume(VOLUME).is_none());
}

#[tokio::test(start_paused = true)]
async fn status_tells_of_what_is_missing() {
    let stage = Stage::new();
    let (services, differences) = ops::durable_status(&stage.session()).await.unwrap();
    assert_eq!(services[0].state, "absent");
    assert_eq!(differences, []);
}

#[tokio::test(start_paused = true)]
async fn a_project_without_a_durable_layer_says_so() {
    let stage = Stage::of("name: shop\napp: {}\n", "services: { web: { image: nginx } }");
    let refused = ops::durable_up(&stage.session(), ops::Apply::No).await;
    assert!(matches!(refused, Err(OpsError::NoDurableLayer)));
    assert!(stage.up().await.unwrap().durable.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_shell_is_the_databases_own_client() {
    let stage = Stage::new();
    let none = ops::shell_command(&stage.session(), None, None).await.unwrap_err();
    assert!(matches!(none, OpsError::NoService { .. }));
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    let (container, command) = ops::shell_command(&stage.session(), None, None).await.unwrap();
    assert_eq!(container, "shop-devlocal-durable-db");
    assert!(command[2].contains("exec mariadb"));
}

/// A container of an envctl that gave it no label of its image, whose tag leads to another image by now.
#[tokio::test(start_paused = true)]
async fn a_database_without_a_name_of_its_image_is_known_by_its_files() {
    let stage = Stage::new();
    let desired = sources::durable(&stage.session()).await.unwrap();
    let mut found = Container {
        name: "shop-devlocal-durable-db".to_owned(),
        image: "sha256:0123".to_owned(),
        ..Container::default()
    };
    assert_eq!(kind_of(&desired, &found), Some(Kind::MariaDb));
    found.name = "shop-devlocal-durable-hub".to_owned();
    assert_eq!(kind_of(&desired, &found), None);

    // One with the label is of the same definition as one without.
    let spec = &desired.services[0].replicas[0];
    assert_eq!(spec.labels[labels::IMAGE], "mariadb:11.8");
    let mut bare = spec.clone();
    bare.labels.remove(labels::IMAGE);
    assert_eq!(bare.hash(), spec.labels[labels::SPEC_HASH]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_definition_is_told_field_by_field_and_without_secrets() {
    let mut stage = Stage::new();
    let with = |password: &str, rest: &str| {
        let variables =
            format!("environment: {{ DB_PASSWORD: {password}, DB_NAME: shop }}\n    image:");
        DB.replace("image:", &format!("command: [mariadbd{rest}]\n    {variables}"))
    };
    stage.with_db(&with("first-one", ", --a=1"));
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    let seen = stage.engine.seen();
    let labels = format!("{:?}", seen.containers);
    assert!(labels.contains("DB_NAME") && !labels.contains("first-one"), "{labels}");

    stage.with_db(&with("second-one", ", --a=2, --b"));
    let up = ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    let told: Vec<_> = up.differences[0].changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "command[1]: --a=1 → --a=2",
            "command[2]: (none) → --b",
            "environment.DB_PASSWORD: <redacted> → <redacted>",
        ]
    );
    let (_, differences) = ops::durable_status(&stage.session()).await.unwrap();
    assert_eq!(differences, up.differences);

    ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap();
    assert!(stage.notes.all().contains("db: command[1]: --a=1 → --a=2"), "{}", stage.notes.all());
    let (_, differences) = ops::durable_status(&stage.session()).await.unwrap();
    assert_eq!(differences, []);
}
