//! A plan: the steps a command would do, each with its reason.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde::Serialize;

use super::{AwsJob, Bake, SignJob, desired::CertificateFiles};
use crate::model::{
    Attachment, BuildSpec, Color, NetworkSpec, ServiceSpec, VolumeSpec, control::Request,
};

/// The steps a command would do, in an order that respects their edges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
    /// What containers that are there, and are only started, are made of: for one that turns out to be on its way out.
    known: BTreeMap<String, ServiceSpec>,
}

/// The number of a step: its place in the plan, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Id(pub usize);

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub id: Id,
    /// Steps that have to be done before; each has a lower number.
    pub after: Vec<Id>,
    pub action: Action,
    /// What is done, for people: `start green/redis`.
    pub title: String,
    /// Why.
    pub reason: String,
}

/// One thing to do: one call of the engine or of the proxy, but for waits.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    GetImage(Box<ImageJob>),
    RemoveImage(String),
    CreateNetwork(Box<NetworkSpec>),
    RemoveNetwork(String),
    CreateVolume(Box<VolumeSpec>),
    RemoveVolume(String),
    Create(Box<ServiceSpec>),
    Start(String),
    /// Joins a running container to a network.
    Connect(String, Box<Attachment>),
    Stop(String),
    /// Stops a container; that it was killed, or failed, is a failure.
    StopCleanly(String),
    Remove(String),
    /// Removes a container of the durable layer: its anonymous volumes stay too.
    RemoveDurable(String),
    /// Looks, before anything is stopped for it, whether an image's server may open the data that is there.
    CheckData(Box<DataCheck>),
    /// A snapshot of a durable service, by the use case before all else where a look finds a higher version.
    Snapshot(String),
    Await(Box<Wait>),
    /// Waits for the end of a container, and tells its log as it comes. One that runs too long is stopped.
    Follow(Box<Wait>),
    /// Runs a command in a running container, with a stream into it or out of it.
    Pipe(Box<Pipe>),
    /// A request to the proxy.
    Tell(Box<Request>),
    /// Watches a color's requests; what is exceeded fails the step.
    Bake(Color, Bake),
    /// The user's own certificates, read and given to the proxy.
    Certify(Vec<CertificateFiles>),
    /// Makes the certificate of a database, where a good one is not there.
    Sign(Box<SignJob>),
    /// Brings the stack of AWS resources to what it shall be, and reads its outputs for the containers made afterwards.
    DeployAws(Box<AwsJob>),
}

/// An image to be had under `tag`: pulled if it can be, else built.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageJob {
    pub tag: String,
    /// The reference to pull.
    pub pull: Option<String>,
    pub build: Option<BuildSpec>,
    pub platform: Option<String>,
    /// Pull it also where an image of that name is there already.
    pub refresh: bool,
    /// The images that it is built on, where this project makes them.
    pub bases: Vec<Self>,
}

/// A command in a running container, what flows into it and where its output goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipe {
    pub container: String,
    pub command: Vec<String>,
    pub from: Source,
    pub to: Sink,
}

/// What a command reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Nothing,
    /// A file; what is compressed by gzip or Zstandard is read as what it was. With the SHA-256 of the file, in hex, its
    /// end is withheld when it is another.
    File {
        path: PathBuf,
        sha256: Option<String>,
    },
    /// As a file, of no known length.
    Stdin,
    /// The output of another container's command.
    Command {
        container: String,
        command: Vec<String>,
    },
}

/// Where the output of a command goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// It is kept, the end of it where there is much.
    Heard,
    /// A new file that only its owner may read, compressed by Zstandard unless it is to be plain; on the disk when the
    /// step is done.
    File {
        path: PathBuf,
        plain: bool,
    },
    Stdout,
}

/// Data that a service is to get a new container on.
#[derive(Debug, Clone, PartialEq)]
pub struct DataCheck {
    pub service: String,
    /// A container that looks at the data and changes nothing: of the service's new image.
    pub look: ServiceSpec,
    /// The id of the image that the data was in use with last, where its container is still there: a database's own
    /// mark can be older than that.
    pub last: Option<String>,
}

/// A container to wait for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    pub container: String,
    /// The service as people know it: `green/api`.
    pub service: String,
    pub until: Until,
    pub limit: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Until {
    /// Its health check passes, or where it has none, it runs.
    Healthy,
    /// The proxy can connect to the port under this host name, and the health check passes where there is one.
    Accepting { host: String, ports: Vec<u16> },
    /// It ended with exit code 0.
    Completed,
}

impl Plan {
    /// Adds a step and returns its number.
    pub fn push(
        &mut self,
        after: impl IntoIterator<Item = Id>,
        action: Action,
        title: impl Into<String>,
        reason: impl Into<String>,
    ) -> Id {
        let id = Id(self.steps.len() + 1);
        let mut after: Vec<Id> = after.into_iter().collect();
        after.sort_unstable();
        after.dedup();
        debug_assert!(
            after.iter().all(|before| *before < id),
            "a step waits for earlier ones only"
        );
        self.steps.push(Step { id, after, action, title: title.into(), reason: reason.into() });
        id
    }

    /// Notes what a container is made of that is there and is only started.
    pub(super) fn know(&mut self, spec: ServiceSpec) {
        self.known.insert(spec.name.clone(), spec);
    }

    /// What a container that is only started is made of, where that is known.
    pub fn known(&self, container: &str) -> Option<&ServiceSpec> {
        self.known.get(container)
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub fn step(&self, id: Id) -> &Step {
        &self.steps[id.0 - 1]
    }

    /// The plan without its waits is empty: nothing would be changed.
    pub fn only_waits(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.action, Action::Await(_) | Action::Follow(_)))
    }

    /// One line a step, as `plan` prints it and the history keeps it.
    pub fn lines(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

impl fmt::Display for Plan {
    /// Number, edges, title and reason in columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edges = |step: &Step| {
            let ids: Vec<String> = step.after.iter().map(|id| id.0.to_string()).collect();
            if ids.is_empty() { String::new() } else { format!("←{}", ids.join(",")) }
        };
        let number = |step: &Step| format!("[{}]", step.id.0);
        let width = |text: &dyn Fn(&Step) -> String| {
            self.steps.iter().map(|step| text(step).chars().count()).max().unwrap_or(0)
        };
        let (numbers, arrows, titles) =
            (width(&number), width(&edges), width(&|step| step.title.clone()).min(72));
        for step in &self.steps {
            writeln!(
                f,
                "{:<numbers$} {:<arrows$}  {:<titles$}  {}",
                number(step),
                edges(step),
                step.title,
                step.reason,
            )?;
        }
        Ok(())
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            step: Id,
            after: &'a [Id],
            action: &'a str,
            title: &'a str,
            reason: &'a str,
        }
        serializer.collect_seq(self.steps.iter().map(|step| Row {
            step: step.id,
            after: &step.after,
            action: step.action.name(),
            title: &step.title,
            reason: &step.reason,
        }))
    }
}

impl Action {
    /// The kind of step, for `--json` and events.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::GetImage(_) => "get-image",
            Self::RemoveImage(_) => "remove-image",
            Self::CreateNetwork(_) => "create-network",
            Self::RemoveNetwork(_) => "remove-network",
            Self::CreateVolume(_) => "create-volume",
            Self::RemoveVolume(_) => "remove-volume",
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::Connect(..) => "connect",
            Self::Stop(_) | Self::StopCleanly(_) => "stop",
            Self::Remove(_) | Self::RemoveDurable(_) => "remove",
            Self::CheckData(_) => "check-data",
            Self::Snapshot(_) => "snapshot",
            Self::Await(_) | Self::Follow(_) => "wait",
            Self::Pipe(_) => "run",
            Self::Tell(_) => "tell-proxy",
            Self::Certify(_) => "certify",
            Self::Sign(_) => "sign",
            Self::Bake(..) => "watch",
            Self::DeployAws(_) => "deploy-aws",
        }
    }
}
