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
    sync::{Arc, Mutex, PoisonError},
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

/// What a build may ask for.
pub struct Offer {
    pub context: Context,
    pub secrets: BTreeMap<String, BuildSecret>,
    pub logins: Option<login::Logins>,
    /// Sockets of SSH agents by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// What could not be handed out, in words for the user.
    pub trouble: Mutex<Vec<String>>,
}

/// A session that is open; it ends when it is dropped.
pub struct Session {
    pub id: String,
    _served: AbortOnDropHandle<()>,
}

impl Session {
    pub async fn open(docker: &Docker, offer: Arc<Offer>) -> Result<Self> {
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
        let service = service_fn(move |request| {
            let offer = offer.clone();
            async move { Ok::<_, Infallible>(answer(request, offer).await) }
        });
        let served = tokio::spawn(async move {
            let mut server = http2::Builder::new(TokioExecutor::new());
            // A build that ends closes the connection: no error worth a word.
            let _ = server.timer(TokioTimer::new()).serve_connection(connection, service).await;
        });
        Ok(Self { id, _served: AbortOnDropHandle::new(served) })
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
        FILES => match offer.folder(&header("dir-name"), &header("include-patterns")) {
            Ok(listing) => streamed(|out| async move {
                let sent = files::send(listing, asked, out).await;
                sent.map_err(|status| offer.troubled(status))
            }),
            Err(status) => unary(Err::<Nothing, _>(status)),
        },
        _ => unary(Err::<Nothing, _>(Status::unimplemented())),
    }
}

impl Offer {
    fn troubled(&self, status: Status) -> Status {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.push(status.to_string());
        status
    }

    /// The context, less what the builder looks for to ignore: what is ignored is not in it. And the Dockerfile in a folder
    /// of its own.
    fn folder(
        &self,
        name: &[String],
        included: &[String],
    ) -> std::result::Result<files::Listing, Status> {
        match name.first().map(String::as_str) {
            Some("dockerfile") => Ok(files::one(super::kit::DOCKERFILE, &self.context.text)),
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
