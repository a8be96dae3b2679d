//! Putting a copy of a database's data in the place of its data. The copy is made beside it and looked at by a server of
//! its own first; then two folders change places at one instant, and the old data stays on a volume of its own.

use std::{path::PathBuf, time::Duration};

use super::{
    Action, Id, ImageJob, Pipe, Plan, Sink, Source, Until, Wait,
    desired::{Service, layer_labels, mounts_on_copy},
};
use crate::{
    database::{Kind, Position},
    model::{
        Container, Healthcheck, Mount, Names, Observed, Restart, ServiceSpec, VolumeSpec, labels,
    },
};

/// The server's folder on the host with all volumes, as it is mounted where two of them change places.
const VOLUMES: &str = "/volumes";

/// What a server may take to go through days of changes; one that cannot ends by itself.
const REPLAY: Duration = Duration::from_secs(3600);

/// Where a copy comes from.
#[derive(Debug, Clone)]
pub enum Copied {
    /// A snapshot's file.
    File { path: PathBuf, sha256: String, logical: bool },
    /// A running server, whose data is copied as it is now.
    Server { container: String, by: By },
}

/// How a running server is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Files,
    /// The application's databases as statements.
    Statements,
    /// Statements that make its users too.
    AllStatements,
}

impl Copied {
    /// Whether it is made of statements; else of the server's own files.
    const fn is_logical(&self) -> bool {
        match self {
            Self::File { logical, .. } => *logical,
            Self::Server { by, .. } => !matches!(by, By::Files),
        }
    }

    /// What of it is read, and how that is told.
    pub(super) fn source(&self, kind: Kind) -> (Source, String) {
        match self {
            Self::File { path, sha256, .. } => {
                let from = Source::File { path: path.clone(), sha256: Some(sha256.clone()) };
                (from, path.display().to_string())
            }
            Self::Server { container, by } => {
                let function = match by {
                    By::Files => "backup",
                    By::Statements => "dump",
                    By::AllStatements => "dump_all",
                };
                let command = kind.call(function, &[]);
                let from = Source::Command { container: container.clone(), command };
                (from, format!("of {container}, as it is now"))
            }
        }
    }
}

/// The changes to be made to a copy: those of a server's logs from a place on, up to a time.
#[derive(Debug, Clone)]
pub struct Changes {
    pub container: String,
    pub from: Position,
    /// UTC, `2026-11-20 14:03:00`: what was begun at this second is not made any more.
    pub until: String,
}

/// A database and the copy that is made for it.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    pub names: &'a Names,
    /// As its file has it.
    pub service: &'a Service,
    /// As it stands.
    pub found: &'a Container,
    pub kind: Kind,
    /// The volume with its data.
    pub volume: &'a str,
    /// The volume of the copy, and later of the old data.
    pub copy: &'a str,
    /// What this restore is called.
    pub id: &'a str,
    pub copied: &'a Copied,
    pub changes: Option<&'a Changes>,
    /// The folder on the host with all volumes.
    pub volumes: PathBuf,
    /// The image of envctl itself, and whether it is on the engine.
    pub own_image: (&'a ImageJob, bool),
}

/// The words by which a container waits until it is removed.
fn idle() -> Vec<String> {
    ["-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"].map(str::to_owned).into()
}

/// A container of the database's image with the copy's volume in place of the data's; `empty`, the volume is not given
/// what the image has in its folder.
fn scratch(
    names: &Names,
    service: &Service,
    image: &str,
    (volume, copy): (&str, &str),
    empty: bool,
) -> ServiceSpec {
    let spec = &service.replicas[0];
    let mounts = mounts_on_copy(spec, volume, copy, empty);
    let mut own = layer_labels(names, "scratch");
    own.insert(labels::SERVICE.to_owned(), service.key.clone());
    ServiceSpec {
        name: names.scratch(&service.key),
        image: image.to_owned(),
        labels: own,
        networks: vec![],
        network_mode: Some("none".to_owned()),
        mounts,
        volumes_from: vec![],
        ports: vec![],
        restart: Restart::No,
        ..spec.clone()
    }
}

/// Plans a restore: the copy, the looks at it, and the change of places at last.
pub fn restore(input: &Restore<'_>) -> Plan {
    let mut plan = Plan::default();
    let copied = copy(&mut plan, input);
    let placed = replace(&mut plan, input, copied);
    start(&mut plan, input, [placed], "it serves the copy");
    plan
}

/// Plans a copy in the place of the data that only another container can serve: the one there is removed.
pub fn rekey(input: &Restore<'_>) -> Plan {
    let mut plan = Plan::default();
    let copied = copy(&mut plan, input);
    // What was written since a new start would be in the old data only.
    let title = format!("see that {} kept writers out", input.service.key);
    let frozen = call_in(&mut plan, [copied], &input.found.name, input.kind, "frozen", &title);
    let placed = replace(&mut plan, input, frozen);
    plan.push(
        [placed],
        Action::RemoveDurable(input.found.name.clone()),
        format!("remove the container of {} (its volumes stay)", input.service.key),
        "it has the old key",
    );
    plan
}

/// Plans the end of a container whose key is no longer that of its data.
pub fn remove_keyed(found: &Container) -> Plan {
    let mut plan = Plan::default();
    let name = found.name.clone();
    let stop = found.is_running().then(|| {
        let title = format!("stop {name}");
        plan.push([], Action::Stop(name.clone()), title, "it has the old key")
    });
    let title = format!("remove the container {name} (its volumes stay)");
    plan.push(stop, Action::RemoveDurable(name), title, "it has the old key");
    plan
}

/// Plans the call of a function in a running database.
pub fn call(container: &str, kind: Kind, function: &str, title: &str) -> Plan {
    let mut plan = Plan::default();
    call_in(&mut plan, [], container, kind, function, title);
    plan
}

/// Adds the call of a function in a running database.
pub(super) fn call_in(
    plan: &mut Plan,
    after: impl IntoIterator<Item = Id>,
    container: &str,
    kind: Kind,
    function: &str,
    title: &str,
) -> Id {
    let pipe = Pipe {
        container: container.to_owned(),
        command: kind.call(function, &[]),
        from: Source::Nothing,
        to: Sink::Heard,
    };
    plan.push(after, Action::Pipe(Box::new(pipe)), title, "")
}

/// Stops the database, and has its data and the copy change places.
fn replace(plan: &mut Plan, input: &Restore<'_>, after: Id) -> Id {
    let image = (!input.own_image.1).then(|| get_image(plan, input.own_image.0));
    let name = &input.service.key;
    let stop = Action::Stop(input.found.name.clone());
    let stopped = plan.push(
        [after].into_iter().chain(image),
        stop,
        format!("stop {name}"),
        "its data changes places with the copy",
    );
    let title = format!("put the copy in the place of {}", input.volume);
    change_places(plan, input, [stopped], &title, false)
}

/// Plans the way back from a restore that failed after the change of places.
pub fn put_back(input: &Restore<'_>, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let image = (!input.own_image.1).then(|| get_image(&mut plan, input.own_image.0));
    let mut last = image;
    if observed.container(&input.found.name).is_some_and(Container::is_running) {
        let stop = Action::Stop(input.found.name.clone());
        let title = format!("stop {}", input.service.key);
        last = Some(plan.push(last, stop, title, "the restore failed"));
    }
    let title = format!("put the data of {} back", input.volume);
    let placed = change_places(&mut plan, input, last, &title, true);
    start(&mut plan, input, [placed], "its data is in its place again");
    plan
}

/// Plans a copy that is only looked at, each table whole.
pub fn verify(input: &Restore<'_>) -> (Plan, Id) {
    let mut plan = Plan::default();
    let serving = serve(&mut plan, input);
    let checked = heard(
        &mut plan,
        input,
        serving,
        ("check", &[]),
        "check every table of the copy",
        "the snapshot is to be good",
    );
    (plan, checked)
}

/// Plans the start of a database that was stopped for a restore that came to nothing.
pub fn start_again(input: &Restore<'_>) -> Plan {
    let mut plan = Plan::default();
    start(&mut plan, input, None, "the restore failed before its data was touched");
    plan
}

/// Plans the end of data that gave its place to a copy; the environment's name was typed.
pub fn purge(volumes: &[&str]) -> Plan {
    let mut plan = Plan::default();
    for name in volumes {
        let title = format!("remove volume {name}");
        plan.push([], Action::RemoveVolume((*name).to_owned()), title, "asked for by name");
    }
    plan
}

/// What of copies is left over: their containers first.
pub fn sweep(containers: &[&str], volumes: &[&str]) -> Plan {
    let mut plan = Plan::default();
    let removed: Vec<Id> = containers
        .iter()
        .map(|name| {
            let title = format!("remove container {name}");
            plan.push([], Action::Remove((*name).to_owned()), title, "it worked on a copy")
        })
        .collect();
    for name in volumes {
        plan.push(
            removed.clone(),
            Action::RemoveVolume((*name).to_owned()),
            format!("remove volume {name}"),
            "a copy that never took the place of the data",
        );
    }
    plan
}

/// Makes the copy, and reads it through a server that is gone again at the end.
fn copy(plan: &mut Plan, input: &Restore<'_>) -> Id {
    let mut last = serve(plan, input);
    if let Some(changes) = input.changes
        && !input.kind.replays()
    {
        last = take_changes(plan, input, changes, last);
    }
    let read = heard(
        plan,
        input,
        last,
        ("accept", &[input.id]),
        "read every table of the copy",
        "before the data is touched",
    );
    let name = input.names.scratch(&input.service.key);
    let stop = Action::Stop(name.clone());
    let stopped = plan.push([read], stop, "stop the server on the copy", "it is good");
    plan.push([stopped], Action::Remove(name), "remove the server on the copy", "it is good")
}

/// The changes from the server that logged them: made by the one on the copy, or laid beside the copy for its start.
fn take_changes(plan: &mut Plan, input: &Restore<'_>, changes: &Changes, after: Id) -> Id {
    let Position { file, at, .. } = &changes.from;
    let until = &changes.until;
    let command = input.kind.call("changes", &[file, &at.to_string(), until]);
    let (to, title) = if input.kind.replays() {
        let title = format!("copy the log of changes, to be gone through until {until} UTC");
        (input.kind.call("replay", &[until]), title)
    } else {
        (input.kind.call("apply", &[]), format!("make the changes until {until} UTC"))
    };
    let pipe = Pipe {
        container: input.names.scratch(&input.service.key),
        command: to,
        from: Source::Command { container: changes.container.clone(), command },
        to: Sink::Heard,
    };
    let reason = format!("from {file}, position {at}");
    plan.push([after], Action::Pipe(Box::new(pipe)), title, reason)
}

/// The volume with the copy, and a server that serves it to nobody.
fn serve(plan: &mut Plan, input: &Restore<'_>) -> Id {
    let Restore { names, service, kind, copy, .. } = input;
    let image = &input.found.image_id;
    let mut labels = layer_labels(names, "durable");
    labels.insert(labels::RESTORE.to_owned(), input.id.to_owned());
    labels.insert(labels::SERVICE.to_owned(), service.key.clone());
    let volume = VolumeSpec { name: (*copy).to_owned(), labels, ..VolumeSpec::default() };
    let made = plan.push(
        [],
        Action::CreateVolume(Box::new(volume)),
        format!("create volume {copy}"),
        "for the copy",
    );
    let logical = input.copied.is_logical();
    let base = scratch(names, service, image, (input.volume, copy), !logical);
    let name = base.name.clone();
    let (from, told) = input.copied.source(*kind);
    let mut before = made;
    if !logical {
        let mut ready = fill(plan, [before], &base, *kind, &service.key, (from.clone(), &told));
        if let Some(changes) = input.changes
            && kind.replays()
        {
            ready = take_changes(plan, input, changes, ready);
        }
        before = plan.push(
            [ready],
            Action::Remove(name.clone()),
            format!("remove {name}"),
            "it is full",
        );
    }
    let spec = &service.replicas[0];
    let own = || vec![kind.server().to_owned()];
    let server = if logical || spec.entrypoint.is_some() {
        base
    } else {
        let command = spec.command.clone().unwrap_or_else(own);
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut words = kind.call("serve", &words);
        ServiceSpec {
            entrypoint: Some(vec![words.remove(0)]),
            command: Some(words),
            user: spec.user.clone(),
            ..base
        }
    };
    let created = plan.push(
        [before],
        Action::Create(Box::new(server)),
        "create a server on the copy",
        "it serves nobody",
    );
    let started =
        plan.push([created], Action::Start(name.clone()), "start the server on the copy", "");
    let replaying = input.changes.is_some() && kind.replays();
    let wait = Wait {
        container: name.clone(),
        service: format!("{} on the copy", service.key),
        until: Until::Healthy,
        limit: if replaying { service.limit.max(REPLAY) } else { service.limit },
    };
    let serving = plan.push(
        [started],
        Action::Await(Box::new(wait)),
        "wait until the server on the copy answers",
        "the application's credentials open it",
    );
    if !logical {
        return serving;
    }
    let command = kind.call("load", &[]);
    let pipe = Pipe { container: name, command, from, to: Sink::Heard };
    let title = format!("run the statements for {}", service.key);
    plan.push([serving], Action::Pipe(Box::new(pipe)), title, told)
}

/// Has a container that serves nobody fill its volume with a server's files; its removal is left to be done.
pub(super) fn fill(
    plan: &mut Plan,
    after: impl IntoIterator<Item = Id>,
    base: &ServiceSpec,
    kind: Kind,
    service: &str,
    (from, told): (Source, &str),
) -> Id {
    let name = &base.name;
    let idle = ServiceSpec {
        entrypoint: Some(vec!["sh".to_owned()]),
        command: Some(idle()),
        healthcheck: Some(Healthcheck::none()),
        user: Some("0".to_owned()),
        networks: vec![],
        network_mode: Some("none".to_owned()),
        restart: Restart::No,
        ..base.clone()
    };
    let run = |function: &str, from| Pipe {
        container: name.clone(),
        command: kind.call(function, &[]),
        from,
        to: Sink::Heard,
    };
    let create = Action::Create(Box::new(idle));
    let created = plan.push(after, create, format!("create {name}"), "to fill the copy");
    let started = plan.push([created], Action::Start(name.clone()), format!("start {name}"), "");
    let extract = Action::Pipe(Box::new(run("extract", from)));
    let filled = plan.push([started], extract, format!("copy the data of {service}"), told);
    plan.push(
        [filled],
        Action::Pipe(Box::new(run("prepare", Source::Nothing))),
        "make the copy consistent",
        "changes that came while it was copied",
    )
}

fn heard(
    plan: &mut Plan,
    input: &Restore<'_>,
    after: Id,
    (function, arguments): (&str, &[&str]),
    title: &str,
    reason: &str,
) -> Id {
    let pipe = Pipe {
        container: input.names.scratch(&input.service.key),
        command: input.kind.call(function, arguments),
        from: Source::Nothing,
        to: Sink::Heard,
    };
    plan.push([after], Action::Pipe(Box::new(pipe)), title, reason)
}

fn get_image(plan: &mut Plan, job: &ImageJob) -> Id {
    let title = format!("get image {}", job.tag);
    plan.push([], Action::GetImage(Box::new(job.clone())), title, "not on the engine")
}

/// A container of envctl itself, with the host's folder of volumes: within one mount folders can change places, which is
/// one call of the kernel, and needs no copy.
fn change_places(
    plan: &mut Plan,
    input: &Restore<'_>,
    after: impl IntoIterator<Item = Id>,
    title: &str,
    back: bool,
) -> Id {
    let name = input.names.exchange(&input.service.key);
    let folder = |volume: &str| format!("{VOLUMES}/{volume}/_data");
    let mut command = vec!["exchange".to_owned()];
    if back {
        command.push("--back".to_owned());
    }
    command.extend([folder(input.volume), folder(input.copy), input.id.to_owned()]);
    let spec = ServiceSpec {
        name: name.clone(),
        image: input.own_image.0.tag.clone(),
        command: Some(command),
        labels: layer_labels(input.names, "scratch"),
        network_mode: Some("none".to_owned()),
        user: Some("0".to_owned()),
        read_only: true,
        mounts: vec![Mount::Bind {
            source: input.volumes.clone(),
            target: VOLUMES.to_owned(),
            read_only: false,
            propagation: None,
            create: false,
            selinux: None,
            recursive: None,
        }],
        security_opt: vec!["no-new-privileges:true".to_owned()],
        ..ServiceSpec::default()
    };
    let wait = Wait {
        container: name.clone(),
        service: title.to_owned(),
        until: Until::Completed,
        limit: Duration::from_secs(60),
    };
    let created = plan.push(after, Action::Create(Box::new(spec)), format!("create {name}"), "");
    let started = plan.push([created], Action::Start(name.clone()), format!("start {name}"), "");
    let reason = format!("what was there stays in {}", input.copy);
    let done = plan.push(
        [started],
        Action::Follow(Box::new(wait)),
        title,
        if back { "the restore failed".to_owned() } else { reason },
    );
    plan.push([done], Action::Remove(name.clone()), format!("remove {name}"), "it is done")
}

fn start(plan: &mut Plan, input: &Restore<'_>, after: impl IntoIterator<Item = Id>, reason: &str) {
    let service = &input.service.key;
    let start = Action::Start(input.found.name.clone());
    let started = plan.push(after, start, format!("start {service}"), reason);
    let wait = Wait {
        container: input.found.name.clone(),
        service: service.clone(),
        until: Until::Healthy,
        limit: input.service.limit,
    };
    plan.push(
        [started],
        Action::Await(Box::new(wait)),
        format!("wait until {service} is healthy"),
        "it is done when it answers",
    );
}
