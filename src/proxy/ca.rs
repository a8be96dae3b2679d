//! The local certificate authority: made once in its folder, and trusted by whoever chooses to.

use std::{
    io::{self, Write as _},
    net::IpAddr,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::Path,
};

use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;

use super::error::ProxyError;
use crate::base::files::{self, AtPath as _};

/// Days for which a server certificate is made.
pub(super) const LEAF_DAYS: u32 = 90;
const CA_DAYS: u32 = 3650;

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A server certificate and its key.
pub(super) struct Leaf {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Reads the authority from its folder, or makes it there. Two proxies that start at once agree on one.
    pub fn open(folder: &Path) -> Result<Self, ProxyError> {
        let wrong = |reason: rcgen::Error| ProxyError::Ca {
            folder: folder.to_owned(),
            reason: reason.to_string(),
        };
        let key_file = folder.join("ca.key");
        let key = first(&key_file, 0o600, || KeyPair::generate().map(|key| key.serialize_pem()))
            .and_then(|pem| pem.map_err(wrong))?;
        let key = KeyPair::from_pem(&key).map_err(wrong)?;
        let crt_file = folder.join("ca.crt");
        let crt =
            first(&crt_file, 0o644, || Ok(params(CA_DAYS, vec![], true)?.self_signed(&key)?.pem()))
                .and_then(|pem| pem.map_err(wrong))?;
        let issuer = Issuer::from_ca_cert_pem(&crt, key).map_err(wrong)?;
        Ok(Self { issuer, certificate: crt })
    }

    /// PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A server certificate for these names and addresses, with a key of its own.
    pub fn leaf(&self, names: &[String]) -> Result<Leaf, rcgen::Error> {
        let (certificate, key) = self.sign(LEAF_DAYS, names)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok(Leaf { chain: vec![certificate.der().clone()], key })
    }

    pub fn sign(
        &self,
        days: u32,
        names: &[String],
    ) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = params(days, names.to_vec(), false)?.signed_by(&key, &self.issuer)?;
        Ok((certificate, key))
    }
}

/// The names that a certificate is made out to, and its end.
pub(super) fn facts(der: &CertificateDer<'_>) -> Result<(Vec<String>, Timestamp), String> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(der).map_err(|error| error.to_string())?;
    let alternative = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = alternative.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d]).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    };
    let names = names.iter().filter_map(name).collect();
    let expires = Timestamp::from_second(certificate.validity().not_after.timestamp());
    Ok((names, expires.map_err(|error| error.to_string())?))
}

fn params(
    days: u32,
    names: Vec<String>,
    authority: bool,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC);
    let date = |day: Zoned| {
        let number = |n: i8| u8::try_from(n).unwrap_or(1);
        rcgen::date_time_ymd(day.year().into(), number(day.month()), number(day.day()))
    };
    params.not_before = date(today.saturating_sub(1.day()));
    params.not_after = date(today.saturating_add(i64::from(days).days()));
    let mut name = DistinguishedName::new();
    if authority {
        name.push(DnType::CommonName, "envctl local CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        name.push(DnType::CommonName, "envctl");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    }
    params.distinguished_name = name;
    Ok(params)
}

/// The file's text; when there is no file, the text that is made and written. Whoever writes first has written for all.
fn first<E>(
    path: &Path,
    mode: u32,
    make: impl FnOnce() -> Result<String, E>,
) -> Result<Result<String, E>, ProxyError> {
    match files::read_text(path) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
        read => return Ok(Ok(read?)),
    }
    let text = match make() {
        Ok(text) => text,
        Err(error) => return Ok(Err(error)),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".envctl-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .at(folder)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).at(path)?;
    // Whoever makes it, it is the proxy's, whose folder it is.
    let owner = std::fs::metadata(folder).at(folder)?.uid();
    if file.as_file().metadata().at(path)?.uid() != owner {
        fchown(file.as_file(), Some(owner), None).at(path)?;
    }
    match file.persist_noclobber(path) {
        Ok(_) => Ok(Ok(text)),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(Ok(files::read_text(path)?))
        }
        Err(error) => Ok(Err(error.error).at(path)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let made = Authority::open(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let (crt, key) = (read("ca.crt"), read("ca.key"));
        Authority::open(folder.path()).unwrap();
        assert_eq!((read("ca.crt"), read("ca.key")), (crt, key));
        let file = std::fs::metadata(folder.path().join("ca.key")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(made.leaf(&["localhost".into(), "::1".into()]).unwrap().chain.len(), 1);
    }

    #[test]
    fn a_lost_certificate_is_made_again_of_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        Authority::open(folder.path()).unwrap();
        let key = std::fs::read(folder.path().join("ca.key")).unwrap();
        std::fs::remove_file(folder.path().join("ca.crt")).unwrap();
        Authority::open(folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("ca.key")).unwrap(), key);
        std::fs::write(folder.path().join("ca.key"), "nonsense").unwrap();
        let error = Authority::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
