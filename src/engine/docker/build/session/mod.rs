//! `BuildKit`'s session: over one upgraded connection the engine asks, by gRPC, for files, secrets, logins and the user's
//! SSH agent, while it builds. What is asked for is handed out and kept nowhere.

mod files;
mod grpc;
pub(super) mod proto;
mod ssh;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use http::{Method, Request, header};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sha2::{Digest as _, Sha256};
use tokio_util::task::AbortOnDropHandle;

use self::{
    grpc::{Answer, Messages, Status, streamed, unary},
    proto::{Credentials, CredentialsRequest, Data, Health, Named, Nothing},
};
use super::super::{
    Docker,
    call::{QUICK, request},
    fault::Asked,
    login, transport,
};
use crate::{
    engine::{Result, context::Context},
    model::BuildSecret,
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const FILES: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const LOGIN: &str = "/moby.filesync.v1.Auth/Credentials";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
const TALK: &str = "/moby.sshforward.v1.SSH/ForwardAgent";

const IGNORE_FILE: &str = ".dockerignore";

/// What a build may ask for.
pub struct Offer {
    pub context: Context,
    /// Those of the builds that share the session.
    pub dockerfiles: Mutex<Vec<Vec<u8>>>,
    pub secrets: BTreeMap<String, BuildSecret>,
    pub logins: Option<login::Logins>,
    /// Sockets of SSH agents by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// What could not be handed out, in words for the user.
    pub trouble: Mutex<Vec<String>>,
}

/// The sessions of the builds that are under way.
pub type Sessions = Arc<tokio::sync::Mutex<Vec<Weak<Session>>>>;

/// A session that is open; it ends when it is dropped.
pub struct Session {
    pub id: String,
    pub offer: Arc<Offer>,
    served: AbortOnDropHandle<()>,
}

impl Session {
    /// A build's session, and the name that its Dockerfile has there. Builds that are offered the same at one time share one:
    /// what both ask of the context is sent once then.
    pub async fn of(
        docker: &Docker,
        offer: Offer,
        dockerfile: Vec<u8>,
    ) -> Result<(Arc<Self>, String)> {
        let mut open = docker.sessions.lock().await;
        let session = if let Some(session) = Self::shared(&mut open, &offer) {
            session
        } else {
            let session = Arc::new(Self::open(docker, Arc::new(offer)).await?);
            open.push(Arc::downgrade(&session));
            session
        };
        let name = session.offer.add(dockerfile);
        Ok((session, name))
    }

    /// One that is offered the same. Those that have ended are let go: of one whose connection broke a build may be left.
    fn shared(open: &mut Vec<Weak<Self>>, offer: &Offer) -> Option<Arc<Self>> {
        open.retain(|it| it.upgrade().is_some_and(|it| !it.served.is_finished()));
        open.iter().filter_map(Weak::upgrade).find(|it| it.offer.is_like(offer))
    }

    async fn open(docker: &Docker, offer: Arc<Offer>) -> Result<Self> {
        let asked = Asked::Engine("open a build session");
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system has randomness");
        let id = hex::encode(id);
        let mut builder = request(Method::POST, "/session")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "h2c")
            .header("x-docker-expose-session-uuid", &id)
            .header("x-docker-expose-session-name", "envctl")
            .header("x-docker-expose-session-sharedkey", shared_key(&offer.context));
        for method in [HEALTH, FILES, LOGIN, SECRET, AGENT, TALK] {
            builder = builder.header("x-docker-expose-session-grpc-method", method);
        }
        let request = builder.body(transport::full(Bytes::new())).expect("ids are hexadecimal");
        let opened = async {
            let answer = docker.send(request, QUICK).await?;
            Ok(hyper::upgrade::on(answer).await?)
        };
        let connection = opened.await.map_err(|error| docker.explain(&error, asked))?;
        let offered = offer.clone();
        let service = service_fn(move |request| {
            let offer = offered.clone();
            async move { Ok::<_, Infallible>(answer(request, offer).await) }
        });
        let served = tokio::spawn(async move {
            let mut server = http2::Builder::new(TokioExecutor::new());
            // A build that ends closes the connection: no error worth a word.
            let _ = server.timer(TokioTimer::new()).serve_connection(connection, service).await;
        });
        Ok(Self { id, offer, served: AbortOnDropHandle::new(served) })
    }
}

/// Contexts of one key are sent as the difference to what the engine has of it: one for each folder of each machine.
fn shared_key(context: &Context) -> String {
    let mut hash = Sha256::new();
    for own in ["/etc/machine-id", "/proc/sys/kernel/hostname"] {
        hash.update(std::fs::read(own).unwrap_or_default());
    }
    hash.update(context.root.as_os_str().as_encoded_bytes());
    hex::encode(&hash.finalize()[..16])
}

async fn answer(request: Request<Incoming>, offer: Arc<Offer>) -> Answer {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        let values = head.headers.get_all(name).into_iter();
        values.filter_map(|v| v.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut asked = Messages::new(body);
    match head.uri.path() {
        HEALTH => unary(Ok(Health { status: 1 })),
        LOGIN => unary(offer.login(&mut asked).await),
        SECRET => unary(offer.secret(&mut asked).await),
        AGENT => unary(offer.check_agent(&mut asked).await),
        TALK => {
            let id = header("buildkit.ssh.id").pop().unwrap_or_default();
            match offer.agent(&id) {
                Ok(socket) => {
                    let socket = socket.to_owned();
                    streamed(|out| ssh::forward(socket, asked, out))
                }
                Err(status) => unary(Err::<Nothing, _>(status)),
            }
        }
        FILES => match offer.folder(
            &header("dir-name"),
            &header("include-patterns"),
            &header("followpaths"),
        ) {
            Ok(listing) => streamed(|out| async move {
                let sent = files::send(listing, asked, out).await;
                sent.map_err(|status| offer.troubled(status))
            }),
            Err(status) => unary(Err::<Nothing, _>(status)),
        },
        _ => unary(Err::<Nothing, _>(Status::unimplemented())),
    }
}

/// The name of a session's Dockerfile.
fn dockerfile(at: usize) -> String {
    if at == 0 { "Dockerfile".to_owned() } else { format!("Dockerfile.{at}") }
}

impl Offer {
    /// Whether a build may ask here what it may ask there, but for its Dockerfile.
    fn is_like(&self, other: &Self) -> bool {
        self.context.root == other.context.root
            && self.context.entries == other.context.entries
            && self.secrets == other.secrets
            && self.logins == other.logins
            && self.agents == other.agents
    }

    fn add(&self, text: Vec<u8>) -> String {
        let mut all = self.dockerfiles.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|it| *it == text).unwrap_or_else(|| {
            all.push(text);
            all.len() - 1
        });
        dockerfile(at)
    }

    fn troubled(&self, status: Status) -> Status {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.push(status.to_string());
        status
    }

    /// The context, less what the builder looks for to ignore: what is ignored is not in it. And the Dockerfiles in a folder
    /// of their own.
    fn folder(
        &self,
        name: &[String],
        included: &[String],
        followed: &[String],
    ) -> std::result::Result<files::Listing, Status> {
        match name.first().map(String::as_str) {
            Some("dockerfile") => {
                let all = self.dockerfiles.lock().unwrap_or_else(PoisonError::into_inner);
                let named = all.iter().enumerate().map(|(at, text)| (dockerfile(at), text));
                let sorted: BTreeMap<String, &Vec<u8>> = named.collect();
                Ok(sorted.iter().flat_map(|(name, text)| files::one(name, text)).collect())
            }
            // Beside what instructions copy the builder looks for this one file, which is not worth the whole context.
            Some("context") if followed == [IGNORE_FILE] => {
                let mut listing = files::of_context(&self.context);
                listing.retain(|(stat, _)| stat.path == IGNORE_FILE);
                Ok(listing)
            }
            Some("context") if included.is_empty() => Ok(files::of_context(&self.context)),
            Some("context") => Ok(vec![]),
            other => Err(Status::not_found(format!("no folder `{}`", other.unwrap_or_default()))),
        }
    }

    async fn login(&self, asked: &mut Messages) -> std::result::Result<Credentials, Status> {
        let registry = asked.only::<CredentialsRequest>().await?.host;
        let Some(logins) = &self.logins else { return Ok(Credentials::default()) };
        let found = login::of(logins, login::host(&registry)).await;
        let login = found.map_err(|reason| self.troubled(Status::unknown(reason)))?;
        Ok(login.map_or_else(Credentials::default, |login| match login.identitytoken {
            Some(token) => Credentials { username: String::new(), secret: token },
            None => Credentials {
                username: login.username.unwrap_or_default(),
                secret: login.password.unwrap_or_default(),
            },
        }))
    }

    async fn secret(&self, asked: &mut Messages) -> std::result::Result<Data, Status> {
        let id = asked.only::<Named>().await?.id;
        let data = match self.secrets.get(&id) {
            None => return Err(Status::not_found(format!("the build has no secret `{id}`"))),
            Some(BuildSecret::Value(value)) => Bytes::copy_from_slice(value),
            Some(BuildSecret::File(path)) => {
                let read = tokio::fs::read(path).await.map_err(|error| {
                    let text =
                        format!("secret `{id}` cannot be read: `{}`: {error}", path.display());
                    self.troubled(Status::unknown(text))
                });
                read?.into()
            }
        };
        Ok(Data { data })
    }

    async fn check_agent(&self, asked: &mut Messages) -> std::result::Result<Nothing, Status> {
        let id = asked.only::<Named>().await?.id;
        self.agent(&id).map(|_| Nothing {})
    }

    fn agent(&self, id: &str) -> std::result::Result<&PathBuf, Status> {
        let id = if id.is_empty() { "default" } else { id };
        let none = || Status::not_found(format!("the build has no SSH agent `{id}`"));
        self.agents.get(id).ok_or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::context::{Entry, Kind};

    fn offer(files: &[&str]) -> Offer {
        let entry = |path: &&str| Entry {
            path: path.into(),
            kind: Kind::File { size: 3 },
            mode: 0o644,
            modified: Duration::from_secs(7),
            hidden: false,
        };
        let context = Context {
            root: "/somewhere".into(),
            entries: files.iter().map(entry).collect(),
            dockerfile: "Dockerfile".to_owned(),
            text: vec![],
            added: vec![],
        };
        Offer {
            context,
            dockerfiles: Mutex::default(),
            secrets: BTreeMap::new(),
            logins: None,
            agents: BTreeMap::new(),
            trouble: Mutex::default(),
        }
    }

    fn paths(offer: &Offer, name: &str, followed: &[&str]) -> Vec<String> {
        let followed: Vec<String> = followed.iter().map(|path| (*path).to_owned()).collect();
        let listing = offer.folder(&[name.to_owned()], &[], &followed).expect("it is there");
        listing.into_iter().map(|(stat, _)| stat.path).collect()
    }

    #[test]
    fn the_context_is_sent_for_what_is_copied_and_not_for_its_ignore_file() {
        let offer = offer(&[".dockerignore", "a", "b"]);
        assert_eq!(paths(&offer, "context", &[]), [".dockerignore", "a", "b"]);
        assert_eq!(paths(&offer, "context", &["a"]), [".dockerignore", "a", "b"]);
        assert_eq!(paths(&offer, "context", &[".dockerignore"]), [".dockerignore"]);
    }

    #[test]
    fn builds_of_the_same_files_and_secrets_share_a_session_with_a_dockerfile_each() {
        let one = offer(&["a"]);
        assert!(one.is_like(&offer(&["a"])));
        assert!(!one.is_like(&offer(&["a", "b"])));
        let mut secret = offer(&["a"]);
        secret.secrets.insert("token".to_owned(), BuildSecret::Value(vec![1]));
        assert!(!one.is_like(&secret));

        let names = ["x", "y", "x"].map(|text| one.add(text.into()));
        assert_eq!(names, ["Dockerfile", "Dockerfile.1", "Dockerfile"]);
        assert_eq!(paths(&one, "dockerfile", &[]), ["Dockerfile", "Dockerfile.1"]);
    }

    #[tokio::test]
    async fn a_session_whose_connection_broke_is_not_shared() {
        let (broken, connection) = tokio::sync::oneshot::channel::<()>();
        let served = tokio::spawn(async move { drop(connection.await) });
        let session = Arc::new(Session {
            id: "1".to_owned(),
            offer: Arc::new(offer(&["a"])),
            served: AbortOnDropHandle::new(served),
        });
        let mut open = vec![Arc::downgrade(&session)];
        assert!(Session::shared(&mut open, &offer(&["a"])).is_some());
        drop(broken);
        while !session.served.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(Session::shared(&mut open, &offer(&["a"])).is_none() && open.is_empty());
    }
}
