//! `doctor`: whether this machine can run the project, and what mends it.

use serde::Serialize;

use super::{OpsError, Session, ports};
use crate::{
    base::words,
    engine::Info,
    model::{Color, Observed},
    plan::desired,
};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: String,
    pub good: bool,
    pub detail: String,
    /// The command or change that mends it.
    pub mend: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub good: bool,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Sums findings up.
    pub fn of(findings: Vec<Finding>) -> Self {
        Self { good: findings.iter().all(|finding| finding.good), findings }
    }
}

fn good(what: &str, detail: impl Into<String>) -> Finding {
    Finding { what: what.to_owned(), good: true, detail: detail.into(), mend: None }
}

fn bad(what: &str, detail: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { what: what.to_owned(), good: false, detail: detail.into(), mend: Some(mend.into()) }
}

/// Free space under which a deployment is likely to fail.
const FREE: u64 = 2 << 30;

/// Looks at the engine and at what the project needs of it.
pub async fn doctor(session: &Session<'_>) -> Result<Report, OpsError> {
    let (info, observed) = tokio::try_join!(session.engine.info(), session.engine.observe())?;
    let mut findings = vec![good(
        "engine",
        format!("{} at {}, API {}, {}", info.version, info.address, info.api, info.platform),
    )];
    findings.push(memory(&info));
    findings.push(disk(&info).await);
    findings.extend(project(session, &observed));
    Ok(Report::of(findings))
}

fn memory(info: &Info) -> Finding {
    let text = format!(
        "{}, {}",
        words::bytes(info.memory),
        words::count(usize::try_from(info.cpus).unwrap_or(0), "processor")
    );
    if info.memory < 1 << 30 {
        return bad(
            "memory",
            text,
            "two stacks side by side need at least 1 GiB: give the engine's machine more",
        );
    }
    good("memory", text)
}

async fn disk(info: &Info) -> Finding {
    let output = tokio::process::Command::new("df").args(["-Pk", &info.root]).output().await;
    let free = output.ok().filter(|output| output.status.success()).and_then(|output| {
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines()
            .nth(1)?
            .split_whitespace()
            .nth(3)?
            .parse::<u64>()
            .ok()
            .map(|blocks| blocks * 1024)
    });
    match free {
        None => good(
            "disk",
            format!("{} is not on this machine: its free space is not known", info.root),
        ),
        Some(free) if free < FREE => bad(
            "disk",
            format!("{} free under {}", words::bytes(free), info.root),
            "envctl cleanup removes the idle color and unused images; `docker system df` shows what else is there",
        ),
        Some(free) => good("disk", format!("{} free under {}", words::bytes(free), info.root)),
    }
}

fn project(session: &Session<'_>, observed: &Observed) -> Vec<Finding> {
    let project = session.project;
    let names = &project.names;
    let mut findings = vec![];
    let missing: Vec<&str> = project
        .file
        .credentials
        .iter()
        .filter(|name| !project.variables.contains_key(*name))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        findings.push(good("credentials", project.credentials_file().display().to_string()));
    } else {
        let env = format!("envctl --env {} credentials", names.environment);
        findings.push(bad("credentials", format!("no value for {}", missing.join(", ")), env));
    }
    let files = match project.load_app(Color::Blue, "doctor") {
        Ok(files) => files,
        Err(error) => {
            findings.push(bad("app's files", error.to_string(), "mend the file"));
            return findings;
        }
    };
    findings.push(good("app's files", words::count(files.services.len(), "service")));
    let mut wanted: Vec<(String, u16)> = desired::listeners(project, &files)
        .into_iter()
        .map(|(listener, host_ip)| (host_ip, listener.port))
        .collect();
    match project.load_durable() {
        Ok(durable) => {
            let ports = durable
                .iter()
                .flat_map(|files| files.services.values())
                .flat_map(|service| &service.ports);
            wanted.extend(ports.filter_map(|port| {
                let host_ip = port.host_ip.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
                Some((
                    host_ip,
                    port.published_port()?.saturating_add(project.environment.port_offset),
                ))
            }));
        }
        Err(error) => findings.push(bad("durable files", error.to_string(), "mend the file")),
    }
    for (host_ip, port) in wanted {
        findings.extend(taken(session, observed, &host_ip, port));
    }
    if findings.iter().all(|finding| finding.what != "port") {
        findings.push(good("ports", "free, or held by this environment"));
    }
    findings
}

/// A port that something else holds: a container where the engine tells, else a process of this machine.
fn taken(session: &Session<'_>, observed: &Observed, host_ip: &str, port: u16) -> Option<Finding> {
    let holder = observed.containers.iter().find(|found| {
        found.is_running() && found.ports.iter().any(|held| held.host_port == Some(port))
    });
    if let Some(holder) = holder {
        return (!holder.belongs_to(&session.project.names)).then(|| {
            bad(
                "port",
                format!("{host_ip}:{port} is held by the container `{}`", holder.name),
                format!(
                    "docker stop {}, or another port in the environment's env_file",
                    holder.name
                ),
            )
        });
    }
    ports::is_taken(host_ip, port).then(|| {
        bad(
            "port",
            format!("{host_ip}:{port} is taken by another program of this machine"),
            format!(
                "ss -ltnp 'sport = :{port}' names it; or choose another port in the environment's env_file"
            ),
        )
    })
}
