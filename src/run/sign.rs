//! The certificate of a database, made by a container of envctl itself: the authority's key never leaves its volume.

use super::{
    RunError,
    data::{LIMIT, to_its_end},
};
use crate::{engine::Engine, plan::SignJob};

/// Makes it, where a good one is not there.
pub(super) async fn sign(engine: &dyn Engine, job: &SignJob) -> Result<(), RunError> {
    let owner = owner(engine, job).await?;
    let mut spec = job.spec.clone();
    let command = spec.command.get_or_insert_default();
    command.splice(1..1, ["--owner".to_owned(), owner]);
    match to_its_end(engine, &spec, LIMIT).await? {
        (0, _) => Ok(()),
        (code, text) => {
            let what = format!("the certificate of {} was not signed", job.service);
            Err(RunError::Command { what, code, said: text.lines().map(str::to_owned).collect() })
        }
    }
}

/// The numbers of who gets the key, as the database's container knows its users.
async fn owner(engine: &dyn Engine, job: &SignJob) -> Result<String, RunError> {
    let known = engine.read_file(&job.container, "/etc/passwd").await?.unwrap_or_default();
    numbers(&job.user, &String::from_utf8_lossy(&known))
        .ok_or_else(|| RunError::NoUser { service: job.service.clone(), user: job.user.clone() })
}

/// `uid:gid` of `user[:group]`; the group counts only as a number, else it is the user's own.
fn numbers(user: &str, passwd: &str) -> Option<String> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = lines.find(|fields| {
        fields.len() > 3 && (fields[0] == user || (is_number(user) && fields[2] == user))
    });
    let (uid, own) = match &found {
        Some(fields) => (fields[2], fields[3]),
        None if is_number(user) => (user, "0"),
        None => return None,
    };
    let gid = if is_number(group) { group } else { own };
    Some(format!("{uid}:{gid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_who_the_image_knows() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nmysql:x:999:998::/nonexistent:/bin/false\n";
        for (user, known) in [
            ("mysql", Some("999:998")),
            ("999", Some("999:998")),
            ("1000", Some("1000:0")),
            ("mysql:5", Some("999:5")),
            ("1000:1000", Some("1000:1000")),
            ("postgres", None),
        ] {
            assert_eq!(numbers(user, passwd).as_deref(), known, "{user}");
        }
    }
}
