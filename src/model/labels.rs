//! Every label that envctl puts on what it makes, and Compose's own that make others' tools show it.

pub const PROJECT: &str = "dev.envctl.project";
pub const ENVIRONMENT: &str = "dev.envctl.env";
/// `durable`, `app`, `proxy`, `lock`, or `check` of what looks at data and ends.
pub const LAYER: &str = "dev.envctl.layer";
pub const COLOR: &str = "dev.envctl.color";
pub const SERVICE: &str = "dev.envctl.service";
pub const RELEASE: &str = "dev.envctl.release";
/// What a container's service is for, or what a volume or network is: absent for one that runs, `worker`, `job`, `hook`, `test` or `clone`.
pub const ROLE: &str = "dev.envctl.role";
/// When a hook runs, and how long it may: JSON of [`super::Hook`].
pub const HOOK: &str = "dev.envctl.hook";
/// Hash of the specification that the thing was made from: equal means nothing to change.
pub const SPEC_HASH: &str = "dev.envctl.spec-hash";
/// What a durable container was made from, field by field and without secrets, as JSON: for people who ask what changed.
pub const DEFINITION: &str = "dev.envctl.definition";
/// Hash of the AWS stack's outputs that its variables have.
pub const AWS_OUTPUTS: &str = "dev.envctl.aws-outputs";
/// The reference of the image that a container was made from: the engine tells only an id once the tag leads elsewhere.
pub const IMAGE: &str = "dev.envctl.image";
/// The version of envctl that made it.
pub const VERSION: &str = "dev.envctl.version";
/// Who holds the lock: JSON of [`super::Holder`].
pub const HOLDER: &str = "dev.envctl.holder";
/// The restore that a volume was made for.
pub const RESTORE: &str = "dev.envctl.restore";
/// Hash of the context and Dockerfile that an image was built from.
pub const CONTEXT_HASH: &str = "dev.envctl.context-hash";

/// Compose's labels. `config-hash` goes on containers only: on a volume or network, a foreign one makes
/// `docker compose up` offer to recreate it.
pub mod compose {
    pub const PROJECT: &str = "com.docker.compose.project";
    pub const SERVICE: &str = "com.docker.compose.service";
    pub const ONEOFF: &str = "com.docker.compose.oneoff";
    pub const NUMBER: &str = "com.docker.compose.container-number";
    pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
    pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
    pub const NETWORK: &str = "com.docker.compose.network";
    pub const VOLUME: &str = "com.docker.compose.volume";
}
