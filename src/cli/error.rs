//! Every error that a command can end with: its exit code and what to do about it.

use super::exit::Exit;
use crate::{
    aws::AwsError,
    config::ConfigError,
    database::Unsuited,
    engine::EngineError,
    model::Color,
    ops::OpsError,
    plan::Conflict,
    proxy,
    run::{AwsFailure, Cause, Evidence, ProxyError, RunError},
};

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Ops(#[from] OpsError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Proxy(#[from] proxy::ProxyError),
    #[error("`{program}` cannot be run: {reason}")]
    Program { program: String, reason: String },
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Ops(error.into())
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        Self::Ops(error.into())
    }
}

impl CliError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ops(error) => exit(error),
            Self::Usage(_) => Exit::Usage,
            Self::Proxy(_) | Self::Program { .. } => Exit::Failed,
        }
    }

    /// What is known of the service that failed.
    pub fn evidence(&self) -> Option<&Evidence> {
        let Self::Ops(error) = self else { return None };
        let error = match error {
            OpsError::Undone { error, .. } => error,
            other => other,
        };
        match error {
            OpsError::Failed { failure, .. } | OpsError::Unfinished { failure, .. } => {
                match &failure.source {
                    RunError::NotHealthy(evidence) => Some(evidence),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// What to do about it, each a line.
    pub fn hints(&self) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        let Self::Ops(error) = self else { return vec![] };
        match error {
            OpsError::Config(ConfigError::NoProject { .. }) => one(
                "`envctl init` beside your Compose files makes them a project, and `-C FOLDER` looks elsewhere",
            ),
            OpsError::Config(ConfigError::NoEnvironment { near: Some(near), .. }) => {
                vec![format!("did you mean `--env {near}`?")]
            }
            OpsError::Engine(error) => engine_hints(error),
            OpsError::NoLastSnapshot { .. } => one(
                "nothing was stopped or deleted: `envctl durable up` once the service is back in the files, or `--no-snapshot`, which deletes the data all the same",
            ),
            OpsError::Conflict(conflict) => conflict_hints(conflict),
            OpsError::Proxy(ProxyError::NotHealthy { .. }) => one(
                "the live color still serves; `envctl logs` shows the service, `envctl deploy` brings up a fresh stack",
            ),
            OpsError::Failed { failure, color } => {
                let mut hints = match &failure.source {
                    RunError::Engine(error) | RunError::Service { source: error, .. } => {
                        engine_hints(error)
                    }
                    RunError::StillOpen(_) => {
                        return one(
                            "nothing was cut off or removed: run the command again when they ended",
                        );
                    }
                    RunError::NotHealthy(evidence) => {
                        cause_hint(evidence.cause).map(str::to_owned).into_iter().collect()
                    }
                    RunError::Proxy(_)
                    | RunError::Exceeded(_)
                    | RunError::Command { .. }
                    | RunError::File(_)
                    | RunError::Damaged { .. } => vec![],
                    RunError::Aws(failure) => aws_hints(failure),
                    RunError::NoOutput { .. } => one(
                        "`envctl aws outputs` lists them; what another release used may not be in envctl.yaml any more",
                    ),
                    RunError::Unsuited { reason, .. } => {
                        return vec![unsuited_hint(reason).to_owned()];
                    }
                    RunError::NoUser { .. } => {
                        one("`user:` of the service says who its server runs as")
                    }
                    RunError::NotStoppedCleanly { .. } => {
                        return one(
                            "it is stopped, and nothing of it was removed: `envctl durable up` starts it as it was, which mends its data; then `envctl durable up --apply` again",
                        );
                    }
                };
                let image = matches!(
                    failure.source,
                    RunError::Engine(
                        EngineError::Pull { .. }
                            | EngineError::NoImage { .. }
                            | EngineError::Build { .. }
                    )
                );
                if color.is_some() && image {
                    hints.push("no container was touched: both colors are as they were".to_owned());
                } else if let Some(color) = color {
                    hints.push(format!(
                        "no traffic was moved; {color} stands for a look: `{}`, `envctl status`",
                        logs(&failure.source, *color)
                    ));
                } else if let RunError::NotHealthy(evidence) = &failure.source {
                    hints.push(match evidence.service.split_once('/') {
                        Some((color, service)) => format!(
                            "nothing was removed; `envctl logs {color} {service}` shows more, `envctl cleanup --force` goes without the hooks"
                        ),
                        None => "`envctl durable logs` shows more; running the command again goes on from here".to_owned(),
                    });
                }
                hints
            }
            OpsError::Unfinished { color, .. } => vec![format!(
                "`envctl switch {color}` goes on with what is left; `envctl rollback` moves the traffic back"
            )],
            OpsError::Undone { kept, .. } => {
                let mut hints = vec![];
                if let Some(evidence) = self.evidence() {
                    hints.extend(cause_hint(evidence.cause).map(str::to_owned));
                }
                if kept.is_none() {
                    let text = "no traffic was moved; without `--cleanup-on-failure` the new one stays for a look";
                    hints.push(text.to_owned());
                }
                hints
            }
            OpsError::Exceeded { color, .. } => {
                vec![format!("`envctl logs {color}` shows what went wrong; it stands for a look")]
            }
            OpsError::TestsFailed { color, .. } => {
                vec![format!("no traffic was moved; `envctl logs {color}` shows the new one")]
            }
            OpsError::OtherRevision { .. } => one(
                "nothing was touched; another deployment came between: deploy the revision again, then test and switch",
            ),
            OpsError::NotOurs { kind, name } => vec![not_ours(kind, name)],
            OpsError::Locked { .. } => {
                one("`--lock-wait 10m` waits longer; a holder that died is taken over by itself")
            }
            OpsError::NothingToRollBack { .. } | OpsError::OtherColor { .. } => {
                one("deploy the revision you want back: `git checkout …`, `envctl up`")
            }
            OpsError::NotKept { revision, .. }
            | OpsError::ImagesGone { revision, .. }
            | OpsError::OtherPorts { revision, .. } => {
                let revision = revision.as_deref().unwrap_or("REVISION");
                vec![format!(
                    "nothing was touched; deploy it anew: `git checkout {revision}`, `envctl up`"
                )]
            }
            OpsError::CredentialsMissing { .. } => {
                one("nothing was touched; set the variables, or put the credentials file back")
            }
            OpsError::ProjectExists { .. } => one(
                "it is never overwritten: edit it (docs/project-file.md has every key), or move it away first",
            ),
            OpsError::NoComposeFile { .. } => one(
                "a compose.yaml is looked for, and what COMPOSE_FILE names; `-C FOLDER` looks elsewhere",
            ),
            OpsError::NeverServed { .. } => one(
                "`envctl history` lists the releases; one that stands is switched to: `envctl switch COLOR`",
            ),
            OpsError::CredentialsLost { file, .. } => vec![format!(
                "put the file `{}` back (from the checkout that made it, or from your secrets), or set the variables; to start with an empty database: `envctl durable down --volumes` first",
                file.display()
            )],
            OpsError::Failures { .. } => {
                one("all else is done; running the command again tries what is left")
            }
            OpsError::ProxyStopped => one("`envctl switch COLOR` with the live color starts it"),
            OpsError::NoSnapshot { .. } => one(
                "`envctl durable snapshots` lists them, `--env NAME` those of another environment",
            ),
            OpsError::NoWayTo { .. } => one(
                "`envctl durable snapshots` has the times to go back to; the log of changes (binary log) is on where the server's command says so",
            ),
            OpsError::KeyChanged => one("`envctl durable up` starts the database with it"),
            OpsError::Shared { color, .. } => {
                vec![format!("`envctl switch --weight 0 {color}` ends its share")]
            }
            OpsError::NotYet { color, .. } => {
                vec![format!("`envctl switch {color}` once, and back, does that")]
            }
            OpsError::NoAnswer { .. } => {
                one("no traffic was moved; `--path` asks for another path")
            }
            OpsError::NoHttpRoute => one("`--url http://HOST:PORT` names another address"),
            OpsError::Aws(failure) => aws_hints(failure),
            OpsError::NoAws => one("docs/aws.md has what it may say"),
            OpsError::AwsDown { .. } | OpsError::NoStack { .. } | OpsError::NotOnAws { .. } => one(
                "`envctl durable up` brings up what the durable layer has, `envctl up` everything",
            ),
            OpsError::NoAwsCredentials => {
                one("the shell, an env_file of the environment or `.env` may set them")
            }
            OpsError::NoQueue { near: Some(near), .. } => vec![format!("did you mean `{near}`?")],
            OpsError::LookCounts { .. } => {
                one("its dead-letter queue can be looked into; on LocalStack any queue can")
            }
            OpsError::NotMoved { .. } => one(
                "none is lost: what was not moved waits in the dead-letter queue, and the same command moves it",
            ),
            OpsError::NothingLive => one("`envctl up` brings everything up"),
            OpsError::Interrupted => {
                one("what was done stands; running the command again goes on from here")
            }
            _ => vec![],
        }
    }
}

fn exit(error: &OpsError) -> Exit {
    match error {
        OpsError::Config(ConfigError::File(_)) | OpsError::File(_) => Exit::Failed,
        OpsError::Config(_)
        | OpsError::Problems(_)
        | OpsError::NoDurableLayer
        | OpsError::ProjectExists { .. }
        | OpsError::NoComposeFile { .. }
        | OpsError::NeverServed { .. }
        | OpsError::LiveAlready { .. }
        | OpsError::BadPage { .. }
        | OpsError::NoSnapshot { .. }
        | OpsError::SnapshotExists { .. }
        | OpsError::NoWayTo { .. }
        | OpsError::NoTestService { .. }
        | OpsError::NoAws
        | OpsError::NoAwsCredentials
        | OpsError::NoQueue { .. }
        | OpsError::NoService { .. } => Exit::Usage,
        OpsError::Engine(error) => engine(error),
        OpsError::Proxy(error) => talk(error),
        OpsError::Failed { failure, .. } | OpsError::Unfinished { failure, .. } => {
            match &failure.source {
                RunError::NotHealthy(_) | RunError::Exceeded(_) => Exit::Unhealthy,
                RunError::Aws(failure) => aws(failure),
                RunError::Engine(error) | RunError::Service { source: error, .. } => engine(error),
                RunError::Proxy(error) => talk(error),
                RunError::StillOpen(_)
                | RunError::Command { .. }
                | RunError::File(_)
                | RunError::Damaged { .. }
                | RunError::Unsuited { .. }
                | RunError::NoOutput { .. }
                | RunError::NoUser { .. }
                | RunError::NotStoppedCleanly { .. } => Exit::Failed,
            }
        }
        OpsError::TestsFailed { .. }
        | OpsError::Exceeded { .. }
        | OpsError::Conflict(Conflict::TestsFailed { .. })
        | OpsError::NoAnswer { .. } => Exit::Unhealthy,
        OpsError::Aws(failure) => aws(failure),
        OpsError::Locked { .. } => Exit::Locked,
        OpsError::Interrupted => Exit::Interrupted,
        OpsError::Conflict(_)
        | OpsError::Replaced { .. }
        | OpsError::OtherRevision { .. }
        | OpsError::NotOurs { .. }
        | OpsError::AwsDown { .. }
        | OpsError::NoStack { .. }
        | OpsError::NotOnAws { .. }
        | OpsError::LookCounts { .. }
        | OpsError::NotMoved { .. }
        | OpsError::NothingLive
        | OpsError::ProxyStopped
        | OpsError::NothingToRollBack { .. }
        | OpsError::Failures { .. }
        | OpsError::NotKept { .. }
        | OpsError::ImagesGone { .. }
        | OpsError::OtherPorts { .. }
        | OpsError::OtherColor { .. }
        | OpsError::CredentialsMissing { .. }
        | OpsError::LockLost
        | OpsError::NotYet { .. }
        | OpsError::Shared { .. }
        | OpsError::NoHttpRoute
        | OpsError::NoThread { .. }
        | OpsError::SwitchCommand { .. }
        | OpsError::CredentialsLost { .. }
        | OpsError::State { .. }
        | OpsError::NoLastSnapshot { .. }
        | OpsError::NotCopied { .. }
        | OpsError::KeyChanged
        | OpsError::NotPutBack { .. }
        | OpsError::Executable { .. } => Exit::Failed,
        OpsError::Undone { error, .. } | OpsError::NotRestored { error, .. } => exit(error),
    }
}

const fn engine(error: &EngineError) -> Exit {
    match error {
        EngineError::Unreachable { .. }
        | EngineError::Denied { .. }
        | EngineError::TooOld { .. } => Exit::Unreachable,
        EngineError::Context { .. } => Exit::Usage,
        _ => Exit::Failed,
    }
}

const fn aws(failure: &AwsFailure) -> Exit {
    match failure {
        AwsFailure::Stack { .. }
        | AwsFailure::Broken { .. }
        | AwsFailure::Late { .. }
        | AwsFailure::NotReady { .. }
        | AwsFailure::Scripts { .. } => Exit::Unhealthy,
        AwsFailure::Call { .. } | AwsFailure::WouldLose { .. } | AwsFailure::Fixed { .. } => {
            Exit::Failed
        }
    }
}

fn aws_hints(failure: &AwsFailure) -> Vec<String> {
    let text = match failure {
        AwsFailure::Stack { .. } => "`envctl aws status` shows how the stack stands",
        AwsFailure::WouldLose { .. } => {
            "once nothing needs it: `envctl aws apply`, or `envctl durable up --apply`"
        }
        AwsFailure::Fixed { .. } | AwsFailure::Broken { .. } => {
            "`envctl aws apply` makes the whole stack anew: messages of its queues and objects of its buckets go"
        }
        AwsFailure::Scripts { .. } => {
            "`envctl durable logs` or `envctl logs` shows what they said; mended, they run when its container is started anew"
        }
        AwsFailure::NotReady { .. }
        | AwsFailure::Call { source: AwsError::Unreachable { .. }, .. } => {
            "is it up? `envctl durable logs` or `envctl logs` shows what it says"
        }
        AwsFailure::Late { .. } => {
            "`envctl aws status` shows how the stack stands; the same command goes on from there"
        }
        AwsFailure::Call { .. } => return vec![],
    };
    vec![text.to_owned()]
}

const fn talk(error: &ProxyError) -> Exit {
    match error {
        ProxyError::NotHealthy { .. } => Exit::Unhealthy,
        ProxyError::Engine { source, .. } => engine(source),
        _ => Exit::Failed,
    }
}

fn engine_hints(error: &EngineError) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match error {
        EngineError::Unreachable { .. } => one(
            "is Docker running? `systemctl start docker`, or on a machine without one: scripts/engine; DOCKER_HOST names another",
        ),
        EngineError::Denied { .. } => {
            one("`sudo usermod -aG docker $USER` and a new login, or run as root")
        }
        EngineError::TooOld { .. } => one("envctl needs Docker Engine 20.10 or later"),
        EngineError::Pull { .. } | EngineError::NoImage { .. } => one(
            "`docker login` where the registry asks for it; a `build:` beside the `image:` is used when it cannot be pulled",
        ),
        EngineError::Frontend { .. } => one(
            "without the Dockerfile's `# syntax=` line the engine's own frontend is used; or load that image into the engine",
        ),
        EngineError::PortTaken { port, .. } => vec![format!(
            "`ss -ltnp 'sport = :{port}'` names who holds it; the environment's env_file or envctl.yaml sets another"
        )],
        EngineError::DiskFull { .. } => one(
            "`envctl cleanup` removes the idle color and unused images; `docker system df` shows the rest",
        ),
        EngineError::NoSubnet { .. } => {
            one("`docker network ls` shows what uses them; remove networks that nothing needs")
        }
        EngineError::NoBindSource { .. } => one(
            "bind sources are looked up on the engine's host: in a job's container or with Docker-in-Docker the checkout has to be at the same path there (docs/ci.md)",
        ),
        EngineError::BeingRemoved { .. } => one(
            "the engine still takes it back for a command that was broken off: run the command again",
        ),
        EngineError::NameTaken { name, .. } => vec![format!(
            "`docker inspect {name}` shows whose it is; envctl never removes what is not its own"
        )],
        _ => vec![],
    }
}

/// The command that shows more of what failed.
fn logs(error: &RunError, color: Color) -> String {
    let service = match error {
        RunError::NotHealthy(evidence) => evidence.service.split_once('/'),
        RunError::Service { service, .. } => service.split_once('/'),
        _ => None,
    };
    let service = service.map(|(_, service)| format!(" {service}")).unwrap_or_default();
    format!("envctl logs {color}{service}")
}

const fn unsuited_hint(reason: &Unsuited) -> &'static str {
    match reason {
        Unsuited::OtherKind { .. } => {
            "nothing was stopped or changed: give the service a volume of its own, and bring the data over with a dump"
        }
        Unsuited::Lower { .. } => {
            "nothing was stopped or changed: name the version of the data in the Compose file, or bring a dump into a new volume"
        }
        Unsuited::OtherMajor { .. } => {
            "nothing was stopped or changed: a new major version gets a volume of its own, and the data by a dump (pg_dump, pg_restore) or pg_upgrade"
        }
    }
}

const fn cause_hint(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::OutOfMemory => {
            "raise the service's `mem_limit` (or `deploy.resources.limits.memory`)"
        }
        Cause::PortInUse => {
            "give one of the two another port: services with `network_mode: service:…` share them all"
        }
        Cause::CommandNotFound | Cause::CommandNotExecutable => {
            "the service's `command` and `entrypoint`, or its image's, name it"
        }
        Cause::WrongPlatform => "build or pull the image for the engine's platform: `platform:`",
        Cause::WrongMount => {
            "is it there? The engine makes a missing bind source as an empty folder; remove that"
        }
        Cause::EndedWell => {
            "a service that runs on stays in the foreground; one that is to end is waited for with `condition: service_completed_successfully`"
        }
        Cause::NotListening => {
            "the service has to listen on the port of its route, on all addresses (0.0.0.0) and not on 127.0.0.1 alone"
        }
        Cause::TookTooLong => {
            "`--wait-timeout 10m` waits longer; a hook's or a test's own `timeout` is in envctl.yaml"
        }
        Cause::Unhealthy => {
            "its health check's `start_period` and `retries` allow more time, up to `--wait-timeout`"
        }
        Cause::Ended | Cause::Interfered => return None,
    })
}

fn not_ours(kind: &str, name: &str) -> String {
    format!(
        "envctl never touches what is not its own: rename or remove it yourself (`docker {kind} inspect {name}`)"
    )
}

fn conflict_hints(conflict: &Conflict) -> Vec<String> {
    match conflict {
        Conflict::NotOurs { kind, name, .. } => vec![not_ours(kind, name)],
        Conflict::PortHeld { holder, .. } => vec![format!(
            "`docker stop {holder}`, or another port in the environment's env_file or envctl.yaml"
        )],
        Conflict::VolumeInUse { holder, .. } => vec![format!(
            "two databases on the same files spoil them: `docker rm {holder}` once it is not needed, or another volume"
        )],
        Conflict::VolumeOfLeft { holder, .. } => vec![format!(
            "two servers on the same files spoil them: `docker stop {holder}` and `docker rm {holder}`, which leave the data, then the command again; or `container_name: {holder}` for the service"
        )],
        Conflict::VolumeHeld { holder, .. } => vec![format!(
            "nothing was touched: `envctl cleanup` takes the idle color away first, `envctl down` the whole app, `docker rm --force {holder}` what is not envctl's"
        )],
        Conflict::NoDurable { .. } => {
            vec!["`envctl durable up` brings it up, `envctl up` everything".to_owned()]
        }
        Conflict::PortHeldByProgram { port, .. } => vec![format!(
            "`ss -ltnp 'sport = :{port}'` names it; the environment's env_file or envctl.yaml sets another port"
        )],
        Conflict::NeedsApply { .. } => {
            vec![
                "`envctl durable up --apply` makes a new container from it, on the same volumes"
                    .to_owned(),
            ]
        }
        Conflict::NoExternal { kind, name } => {
            vec![format!("`docker {kind} create {name}`, or take `external` away")]
        }
        Conflict::Live { color } => {
            vec![format!("the idle one is {}: leave the color out", color.other())]
        }
        Conflict::Serves { .. } => {
            vec!["`--confirm NAME` with the environment's name takes it away".to_owned()]
        }
        Conflict::TakesShare { color, .. } => vec![format!(
            "`envctl switch {color}` gives it all of the traffic, `envctl switch --weight 0` none"
        )],
        Conflict::RunsOnce { .. } | Conflict::SharesClone { .. } => vec![],
        Conflict::Changed { .. } => {
            vec![
                "`envctl deploy --replicas SERVICE=N` starts a fresh stack with so many".to_owned(),
            ]
        }
        Conflict::NotCloned { .. } => {
            vec!["nothing was touched; docs/durable.md tells who can have a clone".to_owned()]
        }
        Conflict::HasClone { color, .. } => vec![format!(
            "`envctl deploy {color}` gives it the durable database; `envctl switch {color} --keep-clone` switches all the same, and the history keeps that"
        )],
        Conflict::LiveDatabase { color } => {
            vec![format!("deploy to the idle one, {}, and switch to it", color.other())]
        }
        Conflict::NoRelease { color } => vec![format!("`envctl deploy {color}` brings one up")],
        Conflict::TestsFailed { color, .. } => vec![format!(
            "`envctl test {color}` shows what failed; `--force` switches all the same, and the history keeps that"
        )],
        Conflict::NotTested { color, .. } => vec![format!(
            "`envctl test {color}` runs the checks; `--force` switches all the same, and the history keeps that"
        )],
    }
}
