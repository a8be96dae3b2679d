//! Databases that show a certificate of the local authority.

use insta::assert_snapshot;

use super::{durable::DB, stage::Stage, world::World};
use crate::{
    model::{Health, Mount, State, database_tls::FOLDER},
    plan::{Action, ImageJob},
};

fn stage(tls: &str, db: &str) -> Stage {
    let project = format!("name: shop\ndurable: {{ compose: [db.yaml], tls: {tls} }}\napp: {{}}\n");
    let app = "services: { web: { image: nginx } }";
    let mut stage = Stage::with(&project, &[("db.yaml", db), ("compose.yaml", app)]);
    let tag = "envctl-proxy:1".to_owned();
    stage.signing.image = Some((ImageJob { tag, ..ImageJob::default() }, false));
    stage
}

fn with_user() -> String {
    DB.replace(
        "    image: mariadb:11.8",
        "    image: mariadb:11.8\n    environment: { MARIADB_USER: shop }",
    )
}

#[test]
fn a_certificate_is_made_before_the_server_starts_and_renewed_while_it_runs() {
    let mut stage = stage("{ db: required }", &with_user());
    let mut world = World::default();
    let (plan, _) = stage.durable_up(&world, false).unwrap();
    assert_snapshot!(plan, @"
    [1]              pull image mariadb:11.8                       db needs it
    [2]              pull image mercure:1                          hub needs it
    [3]              create network shop-devlocal-durable-network  not found
    [4]              create volume shop-devlocal-durable-data      not found
    [5]              create volume shop-devlocal-ca                not found
    [6]              create volume shop-devlocal-durable-db-tls    not found
    [7]              make image envctl-proxy:1                     certificates are signed by it
    [8]              create volume envctl-ca                       for the local certificate authority
    [9]  ←1,3,4,6    create db (mariadb:11.8)                      not found
    [10] ←5,6,7,8,9  see to the certificate of db                  the server reads it when it starts
    [11] ←9,10       start db                                      depends on nothing
    [12] ←11         wait until db is healthy                      hub depends on it
    [13] ←2,3        create hub (mercure:1)                        not found
    [14] ←12,13      start hub                                     after db
    [15] ←14         wait until hub is healthy                     it is part of the stack
    ");
    world.apply(&plan);
    assert!(stage.durable_up(&world, false).unwrap().0.is_empty());

    stage.signing.due.insert("db".to_owned());
    // Also where the engine does not know yet that it is healthy.
    let name = "shop-devlocal-durable-db";
    let db = world.observed.containers.iter_mut().find(|found| found.name == name).unwrap();
    db.state = State::Running { health: Some(Health::Starting) };
    let (renewal, _) = stage.durable_up(&world, false).unwrap();
    let titles: Vec<&str> = renewal.steps().iter().map(|step| step.title.as_str()).collect();
    let sign = "see to the certificate of db";
    assert!(titles.contains(&sign), "{titles:?}");
    assert!(titles.contains(&"have db show its certificate"), "{titles:?}");

    // Whoever signs has the authority's key and no network; the database has its own certificate, to read.
    let sign = plan.steps().iter().find_map(|step| match &step.action {
        Action::Sign(job) => Some(job),
        _ => None,
    });
    let job = sign.unwrap();
    assert_eq!(job.spec.network_mode.as_deref(), Some("none"));
    let volumes: Vec<&str> = job.spec.volumes().collect();
    assert_eq!(volumes, ["envctl-ca", "shop-devlocal-durable-db-tls", "shop-devlocal-ca"]);
    let names = job.spec.command.clone().unwrap().join(" ");
    assert_eq!(names, "sign 127.0.0.1 ::1 db localhost shop-devlocal-durable-db");
    let db = &stage.durable().services[0].replicas[0];
    assert!(db.volumes().all(|volume| volume != "envctl-ca"));
    assert!(db.mounts.iter().any(|mount| matches!(
        mount, Mount::Volume { target, read_only: true, .. } if target == FOLDER
    )));
    let command = db.command.clone().unwrap().join(" ");
    assert!(
        command.starts_with("mariadbd --ssl-ca=/run/envctl/tls/ca.crt --ssl-cert="),
        "{command}"
    );
}

#[test]
fn what_cannot_have_a_certificate_is_refused_where_it_is_asked_for() {
    for (tls, db, reason) in [
        ("{ db: required }", DB.to_owned(), "needs the application's user, in `MARIADB_USER or"),
        ("{ db: required }", DB.replace("mariadb:11.8", "postgres:15"), "needs PostgreSQL 16"),
        ("{ hub: offered }", DB.to_owned(), "only MariaDB, MySQL and PostgreSQL"),
        ("{ dv: offered }", DB.to_owned(), "no such durable service"),
        (
            "{ db: offered }",
            DB.replace("    image: mariadb:11.8", "    image: mariadb:11.8\n    command: sh -c x"),
            "not the server's own",
        ),
    ] {
        let problems = stage(tls, &db).try_durable().unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let said = problems[0].to_string();
        assert!(said.contains(reason) && said.contains("envctl.yaml:2:"), "{said}");
    }
    assert!(stage("{ db: offered }", DB).try_durable().is_ok());
}
