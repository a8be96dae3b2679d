//! Passes what a build says to the user's SSH agent, and back.

use std::path::PathBuf;

use prost::bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{
    grpc::{Messages, Sender, Status},
    proto::Data,
};

pub async fn forward(socket: PathBuf, mut asked: Messages, out: Sender) -> Result<(), Status> {
    let failed = |error: std::io::Error| {
        Status::unknown(format!("the SSH agent at `{}`: {error}", socket.display()))
    };
    let (mut from, mut to) = UnixStream::connect(&socket).await.map_err(failed)?.into_split();
    let there = async {
        while let Some(Data { data }) = asked.next().await? {
            to.write_all(&data).await.map_err(failed)?;
        }
        Ok::<_, Status>(())
    };
    let back = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = from.read(&mut buffer).await.map_err(failed)?;
            if length == 0 {
                return Ok::<_, Status>(());
            }
            out.send(&Data { data: Bytes::copy_from_slice(&buffer[..length]) }).await?;
        }
    };
    // Either side may hang up.
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}
