//! The messages of `BuildKit`'s session and of its progress that a build needs, as their `.proto` files number them.

use prost::{Message, bytes::Bytes};

/// `grpc.health.v1.HealthCheckResponse`; 1 is serving.
#[derive(Clone, PartialEq, Message)]
pub struct Health {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// An answer or question without fields.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// `moby.filesync.v1.CredentialsRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct CredentialsRequest {
    #[prost(string, tag = "1")]
    pub host: String,
}

/// `moby.filesync.v1.CredentialsResponse`; a secret without a name is an identity token.
#[derive(Clone, PartialEq, Message)]
pub struct Credentials {
    #[prost(string, tag = "1")]
    pub username: String,
    #[prost(string, tag = "2")]
    pub secret: String,
}

/// A request of one id: `GetSecretRequest`, `CheckAgentRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct Named {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// One field of bytes: `GetSecretResponse`, and the agent's `BytesMessage`.
#[derive(Clone, PartialEq, Message)]
pub struct Data {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

/// `fsutil.types.Packet`.
#[derive(Clone, PartialEq, Message)]
pub struct Packet {
    #[prost(enumeration = "Kind", tag = "1")]
    pub kind: i32,
    #[prost(message, optional, tag = "2")]
    pub stat: Option<Stat>,
    #[prost(uint32, tag = "3")]
    pub id: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    Stat = 0,
    Request = 1,
    Data = 2,
    End = 3,
    Error = 4,
}

/// `fsutil.types.Stat`; the mode is Go's.
#[derive(Clone, PartialEq, Message)]
pub struct Stat {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(uint32, tag = "2")]
    pub mode: u32,
    #[prost(int64, tag = "5")]
    pub size: i64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub modified: i64,
    #[prost(string, tag = "7")]
    pub link: String,
}

/// `moby.buildkit.v1.StatusResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(message, repeated, tag = "1")]
    pub vertices: Vec<Vertex>,
    #[prost(message, repeated, tag = "2")]
    pub transfers: Vec<Transfer>,
    #[prost(message, repeated, tag = "3")]
    pub logs: Vec<Log>,
}

/// `moby.buildkit.v1.Vertex`: an instruction, or something that the builder does by itself.
#[derive(Clone, PartialEq, Message)]
pub struct Vertex {
    #[prost(string, tag = "1")]
    pub digest: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(bool, tag = "4")]
    pub cached: bool,
    #[prost(message, optional, tag = "5")]
    pub started: Option<Nothing>,
    #[prost(string, tag = "7")]
    pub error: String,
}

/// `moby.buildkit.v1.VertexStatus`: bytes that move.
#[derive(Clone, PartialEq, Message)]
pub struct Transfer {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub vertex: String,
    #[prost(int64, tag = "4")]
    pub current: i64,
    #[prost(int64, tag = "5")]
    pub total: i64,
}

/// `moby.buildkit.v1.VertexLog`.
#[derive(Clone, PartialEq, Message)]
pub struct Log {
    #[prost(string, tag = "1")]
    pub vertex: String,
    #[prost(bytes = "bytes", tag = "4")]
    pub text: Bytes,
}
