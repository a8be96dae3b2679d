//! The steps by which databases get certificates: a container of envctl itself makes one where the authority's key is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, Id, ImageJob, Plan, call_in,
    desired::{CA_VOLUME, Certified, ca_volume, layer_labels},
};
use crate::model::{Mount, Names, Observed, ServiceSpec};

/// The folders of a container that signs: the authority's, the database's, its clients'.
pub const SIGNING: [&str; 3] = ["/ca", "/tls", "/public"];

/// A certificate to be made, where a good one is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct SignJob {
    pub service: String,
    /// The database's container, made and not necessarily started: it knows its users.
    pub container: String,
    /// Who gets the key: a name or numbers, `user[:group]`.
    pub user: String,
    /// What makes it, less the owner.
    pub spec: ServiceSpec,
}

/// What certificates are made with, and which are near their end.
#[derive(Debug, Clone, Default)]
pub struct Signing {
    /// The image of envctl itself, and whether it is on the engine; none where nothing is to be signed.
    pub image: Option<(ImageJob, bool)>,
    /// Running databases whose certificate is to be renewed, by service.
    pub due: BTreeSet<String>,
}

/// What a certificate waits for, and the job.
pub(super) type Signed = (Vec<Id>, SignJob);

/// What all certificates wait for: the authority's volume and the image. Returns the jobs by the database's container.
pub(super) fn prepare(
    plan: &mut Plan,
    names: &Names,
    wanted: &[&Certified],
    signing: &Signing,
    observed: &Observed,
    volumes: &BTreeMap<String, Id>,
) -> BTreeMap<String, Signed> {
    let Some((image, there)) = signing.image.as_ref().filter(|_| !wanted.is_empty()) else {
        return BTreeMap::new();
    };
    let mut before = vec![];
    if !there {
        let title = format!("make image {}", image.tag);
        let job = Action::GetImage(Box::new(image.clone()));
        before.push(plan.push([], job, title, "certificates are signed by it"));
    }
    if observed.volume(CA_VOLUME).is_none() {
        let title = format!("create volume {CA_VOLUME}");
        let volume = Action::CreateVolume(Box::new(ca_volume()));
        before.push(plan.push([], volume, title, "for the local certificate authority"));
    }
    let job = |certified: &Certified| {
        let own = [&certified.own, &certified.public];
        let made = own.into_iter().filter_map(|volume| volumes.get(volume).copied());
        let after = before.iter().copied().chain(made).collect();
        (certified.container.clone(), (after, job(names, certified, &image.tag)))
    };
    wanted.iter().map(|certified| job(certified)).collect()
}

fn job(names: &Names, certified: &Certified, image: &str) -> SignJob {
    let volumes = [CA_VOLUME, &certified.own, &certified.public];
    let mount = |(volume, target): (&str, &str)| Mount::Volume {
        source: Some(volume.to_owned()),
        target: target.to_owned(),
        read_only: false,
        nocopy: false,
        subpath: None,
    };
    let command = ["sign".to_owned()].into_iter().chain(certified.names.clone()).collect();
    let spec = ServiceSpec {
        name: names.signing(&certified.service),
        image: image.to_owned(),
        command: Some(command),
        labels: layer_labels(names, "scratch"),
        network_mode: Some("none".to_owned()),
        // The keys are of the proxy's user and of the database's.
        user: Some("0".to_owned()),
        read_only: true,
        mounts: volumes.into_iter().zip(SIGNING).map(mount).collect(),
        security_opt: vec!["no-new-privileges:true".to_owned()],
        ..ServiceSpec::default()
    };
    SignJob {
        service: certified.service.clone(),
        container: certified.container.clone(),
        user: certified.user.clone(),
        spec,
    }
}

/// Adds the step that makes a certificate.
pub(super) fn sign(
    plan: &mut Plan,
    after: impl IntoIterator<Item = Id>,
    (before, job): &Signed,
    reason: &str,
) -> Id {
    let after: Vec<Id> = after.into_iter().chain(before.iter().copied()).collect();
    let title = format!("see to the certificate of {}", job.service);
    plan.push(after, Action::Sign(Box::new(job.clone())), title, reason)
}

/// Adds the steps that renew the certificate of a running database.
pub(super) fn renew(plan: &mut Plan, certified: &Certified, signed: &Signed) {
    let made = sign(plan, [], signed, "it is near its end");
    let title = format!("have {} show its certificate", certified.service);
    call_in(plan, [made], &certified.container, certified.kind, "reload_certificate", &title);
}
