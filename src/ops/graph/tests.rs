use super::*;
use crate::ops::tests::stage::Stage;

const APP: &str = r#"
services:
  web: { image: nginx, ports: ["8000:80"], depends_on: { cache: { condition: service_healthy } } }
  cache: { image: redis, healthcheck: { test: ping } }
  worker: { image: nginx, environment: { DB: "mysql://shop:s3cret@db:3306/shop" } }
  migrate: { image: tool }
"#;

async fn both() -> Graph {
    let stage = Stage::of(crate::ops::tests::stage::PROJECT, APP);
    stage.up().await.unwrap();
    stage.deploy().await.unwrap();
    graph(&stage.session()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_running_environment_is_drawn_from_what_stands() {
    let graph = both().await;
    insta::assert_snapshot!(graph.mermaid(), @r#"
    flowchart TB
      clients([clients])
      subgraph group0["proxy"]
        proxy_8000["8000<br><small>HTTP</small>"]
      end
      clients --> proxy_8000
      subgraph group1["blue, live"]
        blue_cache["cache<br><small>redis</small>"]
        blue_web["web<br><small>nginx</small>"]
        blue_worker["worker<br><small>nginx</small>"]
      end
      subgraph group2["green, idle"]
        green_cache["cache<br><small>redis</small>"]
        green_web["web<br><small>nginx</small>"]
        green_worker["worker<br><small>nginx</small>"]
      end
      subgraph group3["durable layer"]
        durable_db[("db<br><small>mariadb:11.8</small>")]
      end
      blue_web --> blue_cache
      blue_worker --> durable_db
      green_web -.-> green_cache
      proxy_8000 -->|"/"| blue_web
      proxy_8000 -.-> green_web
    "#);
    let svg = graph.svg();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for title in ["8000", "web", "worker", "cache", "db", "blue, live", "green, idle"] {
        assert!(svg.contains(&format!(">{title}</text>")), "{title}: {svg}");
    }
    assert!(!svg.contains("s3cret"), "{svg}");
}

#[tokio::test(start_paused = true)]
async fn what_nothing_stands_of_is_an_empty_graph() {
    let graph = graph(&Stage::new().session()).await.unwrap();
    assert_eq!((graph.groups.len(), graph.lines.len()), (0, 0));
    assert!(graph.svg().contains("clients"));
}

#[test]
fn a_service_is_named_by_whole_hosts_only() {
    let variables = |value: &str| [format!("X={value}")];
    for value in ["db", "db:3306", "http://db/x", "mysql:dbname=shop;host=db", "a,db,c", "u:p@db"] {
        assert!(names_it(&variables(value), "db"), "{value}");
    }
    for value in ["dbs", "/db", "my-db", "http://x/db", "https://db.example", "the db"] {
        assert!(!names_it(&variables(value), "db"), "{value}");
    }
}
