//! The certificate of a database: signed where the authority's key is, and renewed in the same place.

use std::{
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, fchown},
    path::Path,
};

use jiff::{Timestamp, tz::TimeZone};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    ca::{self, Authority},
    error::ProxyError,
};
use crate::{
    base::files::{self, AtPath as _},
    model::database_tls::{AUTHORITY, DAYS, SERVER, UNTIL, UNTIL_FORMAT, is_near},
};

/// Where a database's certificate is made, and for whom.
#[derive(Debug)]
pub struct Folders<'a> {
    /// The authority's.
    pub ca: &'a Path,
    /// The database's own.
    pub own: &'a Path,
    /// What its clients see.
    pub public: &'a Path,
}

/// Sees to it that a database's folder has a certificate for these names, its key for `owner` alone. One that is good for
/// them and not near its end stays. Says whether it made one.
pub fn sign_for_database(
    folders: &Folders<'_>,
    names: &[String],
    owner: (u32, u32),
) -> Result<bool, ProxyError> {
    let authority = Authority::open(folders.ca)?;
    let root = authority.certificate().as_bytes();
    let (server, own_root) = (folders.own.join(SERVER), folders.own.join(AUTHORITY));
    let of_it = files::read(&own_root).is_ok_and(|known| known == root);
    files::write_atomic(&folders.public.join(AUTHORITY), root, 0o644)?;
    files::write_atomic(&own_root, root, 0o644)?;
    let now = Timestamp::now();
    if of_it && files::read(&server).is_ok_and(|pem| is_good(&pem, names, now)) {
        std::os::unix::fs::chown(&server, Some(owner.0), Some(owner.1)).at(&server)?;
        return Ok(false);
    }
    let wrong = |reason: String| ProxyError::Ca { folder: folders.ca.to_owned(), reason };
    let (certificate, key) =
        authority.sign(DAYS, names).map_err(|error| wrong(error.to_string()))?;
    let (_, until) = ca::facts(certificate.der()).map_err(wrong)?;
    let until = until.to_zoned(TimeZone::UTC).strftime(UNTIL_FORMAT).to_string();
    // Key and certificate in one file: at no instant is there one without the other.
    let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
    write_for(&server, pem.as_bytes(), owner)?;
    files::write_atomic(&folders.own.join(UNTIL), until.as_bytes(), 0o644)?;
    Ok(true)
}

fn is_good(pem: &[u8], names: &[String], now: Timestamp) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem) else { return false };
    let Ok((known, until)) = ca::facts(&der) else { return false };
    names.iter().all(|name| known.contains(name)) && !is_near(until, now)
}

fn write_for(path: &Path, bytes: &[u8], (user, group): (u32, u32)) -> Result<(), ProxyError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".envctl-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .at(folder)?;
    fchown(file.as_file(), Some(user), Some(group)).at(path)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).at(path)?;
    file.persist(path).map_err(|error| error.error).at(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn a_database_keeps_its_certificate_while_it_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let [ca, own, public] = ["ca", "own", "public"].map(|name| folder.path().join(name));
        for path in [&ca, &own, &public] {
            std::fs::create_dir(path).unwrap();
        }
        let folders = Folders { ca: &ca, own: &own, public: &public };
        let facts = std::fs::metadata(&own).unwrap();
        let sign = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            sign_for_database(&folders, &names, (facts.uid(), facts.gid())).unwrap()
        };
        assert!(sign(&["db", "127.0.0.1"]));
        assert!(!sign(&["db"]), "it is good for more");
        assert!(sign(&["db", "other"]), "it lacked a name");
        let pem = files::read(&own.join(SERVER)).unwrap();
        let mode = std::fs::metadata(own.join(SERVER)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!files::read_text(&public.join(AUTHORITY)).unwrap().contains("KEY"));
        let names = ["db".to_owned()];
        let days = |days: i64| Timestamp::now() + (days * 24).hours();
        assert!(is_good(&pem, &names, days(480)));
        assert!(!is_good(&pem, &names, days(495)), "a third of its time is left");
        assert!(!is_good(b"nonsense", &names, days(0)));
        // Of another authority.
        std::fs::remove_dir_all(&ca).unwrap();
        std::fs::create_dir(&ca).unwrap();
        assert!(sign(&["db", "other"]));
        assert!(!sign(&["db", "other"]));
    }
}
