//! Whose data a durable service gets, and how its old container has to have stopped.

use super::stage::{DB, Stage};
use crate::{
    engine::{Engine as _, memory::Behaviour},
    model::{ServiceSpec, labels},
    ops::{self, OpsError},
    run::RunError,
};

const CONTAINER: &str = "shop-devlocal-durable-db";
const CHECK: &str = "shop-devlocal-check-db";

/// A layer that is up, whose files name another image now.
async fn upgraded() -> Stage {
    let mut stage = Stage::new();
    ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    stage.engine.pullable("mariadb:11.9");
    stage.with_db(&DB.replace("11.8", "11.9"));
    stage
}

/// The look finds this.
fn finds(stage: &Stage, said: &str) {
    stage.engine.behave(CHECK, Behaviour::exits(0).saying(said));
}

fn reason(refused: OpsError) -> String {
    let OpsError::Failed { failure, .. } = refused else { panic!("{refused}") };
    failure.source.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_lower_version_or_another_engine_is_refused_and_the_old_one_runs_on() {
    for (said, told) in [
        (
            "server mariadbd  Ver 10.11.6-MariaDB for debian\ndata mariadb\nversion 11.8.3-MariaDB\n",
            "`db` does not get `mariadb:11.9`: the data is of MariaDB 11.8.3, and MariaDB 10.11.6 is lower: it could spoil what it opens",
        ),
        (
            "server /usr/sbin/mysqld  Ver 9.7.0 for Linux\ndata mariadb\n",
            "`db` does not get `mariadb:11.9`: the data is of MariaDB, which MySQL 9.7 does not read",
        ),
    ] {
        let stage = upgraded().await;
        finds(&stage, said);
        let before = stage.engine.seen();
        let refused =
            ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap_err();
        assert_eq!(reason(refused), told);
        assert_eq!(stage.engine.seen().container(CONTAINER), before.container(CONTAINER));
        assert!(stage.engine.seen().container(CHECK).is_none(), "the look leaves nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn the_image_is_at_hand_and_the_data_looked_at_before_the_old_one_stops() {
    let stage = upgraded().await;
    finds(&stage, "server mariadbd  Ver 11.9.1-MariaDB\ndata mariadb\nversion 11.8.3-MariaDB\n");
    stage.engine.forget_calls();
    ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap();
    let calls = stage.engine.calls();
    let at = |call: &str| {
        calls.iter().position(|it| it.starts_with(call)).unwrap_or_else(|| panic!("{call}"))
    };
    let stop = at(&format!("stop {CONTAINER}"));
    assert!(at("pull mariadb:11.9") < at(&format!("create {CHECK}")));
    assert!(at(&format!("remove {CHECK}")) < stop && stop < at(&format!("create {CONTAINER}")));
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_shell_is_let_pass() {
    let stage = upgraded().await;
    stage
        .engine
        .behave(CHECK, Behaviour::cannot_start("exec: \"sh\": executable file not found in $PATH"));
    ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap();
    assert_eq!(stage.engine.seen().container(CONTAINER).unwrap().image, "mariadb:11.9");
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_look_left_is_taken_away_and_anothers_is_not() {
    let ours =
        [(labels::PROJECT, "shop"), (labels::ENVIRONMENT, "devlocal"), (labels::LAYER, "check")];
    for (of, is_ours) in [(&ours[..], true), (&[][..], false)] {
        let stage = upgraded().await;
        let left = ServiceSpec {
            name: CHECK.to_owned(),
            image: "mariadb:11.8".to_owned(),
            labels: of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..ServiceSpec::default()
        };
        stage.engine.create(&left).await.unwrap();
        let up = ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await;
        assert_eq!(up.is_ok(), is_ours);
        assert_eq!(stage.engine.seen().container(CHECK).is_some(), !is_ours);
    }
}

/// A server that is started again and again says much after it said what it lacks.
#[tokio::test(start_paused = true)]
async fn a_database_that_cannot_start_by_itself_is_known_by_more_than_the_end_of_its_log() {
    let lacks = "[ERROR] Found 1 prepared transactions! It means that mariadbd was not shut down";
    for (then, helped) in
        [("[Note] starting\n", true), ("[Note] mariadbd: ready for connections.\n", false)]
    {
        let stage = Stage::new();
        let said = format!("{lacks}\n{}", then.repeat(60));
        stage.engine.behave("db", Behaviour::exits(1).saying(&said));
        stage.engine.behave("shop-devlocal-scratch-db", Behaviour::exits(1));
        ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap_err();
        let told = stage.notes.all();
        assert_eq!(told.contains("was killed while it stopped"), helped, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_was_not_written_out_goes_to_no_other_version() {
    let stage = upgraded().await;
    stage.engine.behave(CONTAINER, Behaviour::killed_when_stopped());
    let refused = ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap_err();
    let OpsError::Failed { failure, .. } = &refused else { panic!("{refused}") };
    assert!(matches!(failure.source, RunError::NotStoppedCleanly { code: 137, .. }), "{refused}");
    assert!(stage.engine.seen().container(CONTAINER).is_some(), "it is not removed");
    // Its own server mends it.
    stage.engine.behave(CONTAINER, Behaviour::runs());
    let up = ops::durable_up(&stage.session(), ops::Apply::No).await.unwrap();
    assert_eq!(up.differences.len(), 1);
    assert!(stage.engine.seen().container(CONTAINER).unwrap().is_running());
    ops::durable_up(&stage.session(), ops::Apply::AfterSnapshot).await.unwrap();
    assert_eq!(stage.engine.seen().container(CONTAINER).unwrap().image, "mariadb:11.9");
}
