//! Logins at registries, as `docker login` keeps them.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bollard::auth::DockerCredentials;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// The key under which Docker's own registry is kept.
const DOCKER_IO: &str = "https://index.docker.io/v1/";
/// Time that a credential helper may take.
const HELPER: Duration = Duration::from_secs(20);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

impl Config {
    /// The helper that keeps all logins which no other one keeps.
    fn store(&self) -> Option<&str> {
        self.creds_store.as_deref().filter(|store| !store.is_empty())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    #[serde(rename = "auth")]
    both: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// Where logins are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logins {
    /// The folder of `config.json`.
    pub folder: PathBuf,
    /// Where credential helpers are looked for, if not where this process's own programs are (`PATH`).
    pub path: Option<String>,
}

/// What a credential helper answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    username: String,
    secret: String,
}

/// The login at one registry, if there is one. The reason, where the file or the helper fails.
pub(super) async fn of(
    logins: &Logins,
    registry: &str,
) -> Result<Option<DockerCredentials>, String> {
    find(&read(&logins.folder)?, registry, logins.path.as_deref()).await
}

/// All logins, by registry, for a build that may pull from any; and why those are missing whose helper failed: the build
/// may not need them.
pub(super) async fn all(
    logins: &Logins,
) -> Result<(HashMap<String, DockerCredentials>, Vec<String>), String> {
    let config = read(&logins.folder)?;
    let path = logins.path.as_deref();
    let (mut logins, mut failures) = (HashMap::new(), vec![]);
    for key in config.auths.keys().chain(config.cred_helpers.keys()) {
        match find(&config, host(key), path).await {
            Ok(Some(login)) => {
                let key = if host(key) == "docker.io" { DOCKER_IO } else { key };
                logins.insert(key.to_owned(), login);
            }
            Ok(None) => {}
            Err(reason) => failures.push(reason),
        }
    }
    let Some(store) = config.store() else { return Ok((logins, failures)) };
    let listed = listed(store, path).await.unwrap_or_else(|reason| {
        failures.push(reason);
        vec![]
    });
    let known: Vec<&str> =
        config.auths.keys().chain(config.cred_helpers.keys()).map(|key| host(key)).collect();
    for name in listed.iter().filter(|name| !known.contains(&host(name))) {
        let key = if host(name) == "docker.io" { DOCKER_IO } else { name };
        if logins.contains_key(key) {
            continue;
        }
        match from_helper(store, name, path).await {
            Ok(login) => logins.extend(login.map(|login| (key.to_owned(), login))),
            Err(reason) => failures.push(reason),
        }
    }
    Ok((logins, failures))
}

fn read(folder: &Path) -> Result<Config, String> {
    let path = folder.join("config.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => return Err(format!("`{}`: {error}", path.display())),
    };
    serde_json::from_slice(&text).map_err(|error| format!("`{}`: {error}", path.display()))
}

async fn find(
    config: &Config,
    registry: &str,
    path: Option<&str>,
) -> Result<Option<DockerCredentials>, String> {
    let key = if registry == "docker.io" { DOCKER_IO } else { registry };
    let helper = config
        .cred_helpers
        .iter()
        .find(|(name, _)| host(name) == registry)
        .map(|(_, helper)| helper.as_str())
        .or(config.store());
    if let Some(helper) = helper {
        // A store keeps a login under the name that `docker login` was given.
        let kept = config.auths.keys().find(|name| host(name) == registry);
        if let Some(login) = from_helper(helper, kept.map_or(key, String::as_str), path).await? {
            return Ok(Some(login));
        }
    }
    let auth = config.auths.iter().find(|(name, _)| host(name) == registry).map(|(_, auth)| auth);
    auth.map_or(Ok(None), |auth| from_file(auth, key))
}

/// `https://index.docker.io/v1/` is `docker.io`; `https://ghcr.io` is `ghcr.io`.
pub(super) fn host(key: &str) -> &str {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    match key.split('/').next().unwrap_or(key) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

fn from_file(auth: &Auth, key: &str) -> Result<Option<DockerCredentials>, String> {
    let (mut username, mut password) = (auth.username.clone(), auth.password.clone());
    if let Some(both) = auth.both.as_deref().filter(|both| !both.is_empty()) {
        let text = BASE64_STANDARD
            .decode(both)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| format!("the login of `{key}` is no base64"))?;
        let (name, secret) = text
            .split_once(':')
            .ok_or_else(|| format!("the login of `{key}` is not `name:password`"))?;
        username = Some(name.to_owned());
        password = Some(secret.trim_end_matches('\0').to_owned());
    }
    let token = auth.identitytoken.clone().filter(|token| !token.is_empty());
    if username.is_none() && token.is_none() {
        return Ok(None);
    }
    Ok(Some(DockerCredentials {
        username,
        password,
        identitytoken: token,
        serveraddress: Some(key.to_owned()),
        ..DockerCredentials::default()
    }))
}

/// Asks `docker-credential-{helper} get`. None where it knows no login of this registry.
async fn from_helper(
    helper: &str,
    key: &str,
    path: Option<&str>,
) -> Result<Option<DockerCredentials>, String> {
    let Some(secret) = ask::<Secret>(helper, "get", key, path).await? else { return Ok(None) };
    let server = Some(key.to_owned());
    Ok(Some(if secret.username == "<token>" {
        DockerCredentials {
            identitytoken: Some(secret.secret),
            serveraddress: server,
            ..DockerCredentials::default()
        }
    } else {
        DockerCredentials {
            username: Some(secret.username),
            password: Some(secret.secret),
            serveraddress: server,
            ..DockerCredentials::default()
        }
    }))
}

/// The names under which a helper keeps logins.
async fn listed(helper: &str, path: Option<&str>) -> Result<Vec<String>, String> {
    let names = ask::<BTreeMap<String, String>>(helper, "list", "", path).await?;
    Ok(names.unwrap_or_default().into_keys().collect())
}

/// Runs a credential helper. None where it does not know what it is asked.
async fn ask<T: DeserializeOwned>(
    helper: &str,
    verb: &str,
    question: &str,
    path: Option<&str>,
) -> Result<Option<T>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |error: &dyn std::fmt::Display| format!("`{program} {verb}`: {error}");
    let mut child = Command::new(&program)
        .arg(verb)
        .envs(path.map(|path| ("PATH", path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| failed(&e))?;
    let run = async {
        if let Some(mut input) = child.stdin.take() {
            // One that ends without reading says more by its end than by the pipe that breaks.
            let _ = input.write_all(question.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(HELPER, run)
        .await
        .map_err(|_| failed(&format!("no answer within {} s", HELPER.as_secs())))?
        .map_err(|e| failed(&e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // The helpers' common word for an unknown registry.
        return if said.contains("credentials not found") {
            Ok(None)
        } else {
            Err(failed(&said.trim()))
        };
    }
    serde_json::from_slice(&output.stdout).map(Some).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), json).unwrap();
        folder
    }

    fn logins(folder: &tempfile::TempDir) -> Logins {
        Logins { folder: folder.path().to_owned(), path: None }
    }

    async fn name(folder: &tempfile::TempDir, registry: &str) -> Option<(String, String)> {
        let login = of(&logins(folder), registry).await.unwrap()?;
        Some((login.username.unwrap(), login.password.unwrap()))
    }

    /// A helper of this name, and a `PATH` that begins with it.
    fn helper(folder: &tempfile::TempDir, name: &str, script: &str) -> Logins {
        use std::os::unix::fs::PermissionsExt as _;
        let program = folder.path().join(format!("docker-credential-{name}"));
        std::fs::write(&program, format!("#!/bin/sh\nread -r key\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        Logins { path: Some(path), ..logins(folder) }
    }

    #[tokio::test]
    async fn helpers_are_asked_for_their_registries_and_the_store_for_all_others() {
        let folder = config(
            r#"{"auths":{"https://a.io":{},"file.io":{"auth":"eW91OnB3"}},"credsStore":"all","credHelpers":{"b.io":"one"}}"#,
        );
        helper(
            &folder,
            "one",
            r#"[ "$1 $key" = "get b.io" ] && echo '{"Username":"<token>","Secret":"t"}'"#,
        );
        let logins = helper(
            &folder,
            "all",
            r#"[ "$1" = list ] && echo '{"https://a.io":"me"}' && exit
            case $key in
                https://a.io|https://index.docker.io/v1/) echo "{\"Username\":\"me\",\"Secret\":\"$key\"}" ;;
                *) echo "credentials not found in native keychain"; exit 1 ;;
            esac"#,
        );
        let login = async |registry| of(&logins, registry).await.unwrap();
        assert_eq!(login("a.io").await.unwrap().password.unwrap(), "https://a.io");
        assert_eq!(login("docker.io").await.unwrap().password.unwrap(), DOCKER_IO);
        let token = login("b.io").await.unwrap();
        assert_eq!((token.identitytoken.as_deref(), token.username), (Some("t"), None));
        // What the store does not know is looked for in the file.
        assert_eq!(login("file.io").await.unwrap().username.unwrap(), "you");
        assert!(login("c.io").await.is_none());
        let (all, failures) = all(&logins).await.unwrap();
        assert_eq!((all.len(), failures.len()), (3, 0));
    }

    #[tokio::test]
    async fn a_build_gets_the_logins_of_the_file_and_of_the_helpers_and_all_that_the_store_lists() {
        let folder = config(
            r#"{"auths":{"file.io":{"auth":"eW91OnB3"}},"credsStore":"all","credHelpers":{"b.io":"one"}}"#,
        );
        helper(&folder, "one", r#"[ "$1" = get ] && echo '{"Username":"one","Secret":"s"}'"#);
        let logins = helper(
            &folder,
            "all",
            r#"if [ "$1" = list ]; then
                echo '{"https://index.docker.io/v1/":"me","https://c.io":"me","b.io":"old","sad.io":"me"}'
                exit
            fi
            case $key in
                file.io) echo "credentials not found in native keychain"; exit 1 ;;
                sad.io) echo "the vault is sealed"; exit 1 ;;
                *) echo "{\"Username\":\"me\",\"Secret\":\"$key\"}" ;;
            esac"#,
        );
        let (all, failures) = all(&logins).await.unwrap();
        let of = |key: &str| {
            let login = all.get(key).unwrap_or_else(|| panic!("{key}: {all:?}"));
            (login.username.clone().unwrap(), login.password.clone().unwrap())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of("file.io"), pair("you", "pw"));
        assert_eq!(of("b.io"), pair("one", "s"));
        assert_eq!(of("https://c.io"), pair("me", "https://c.io"));
        assert_eq!(of(DOCKER_IO), pair("me", DOCKER_IO));
        assert_eq!(all.len(), 4);
        assert_eq!(failures, ["`docker-credential-all get`: the vault is sealed"]);
    }

    #[tokio::test]
    async fn a_helper_that_fails_is_named_with_what_it_said() {
        let folder = config(r#"{"auths":{"a.io":{}},"credsStore":"sad"}"#);
        let logins = helper(&folder, "sad", "echo 'the vault is sealed' >&2; exit 3");
        let error = of(&logins, "a.io").await.unwrap_err();
        assert_eq!(error, "`docker-credential-sad get`: the vault is sealed");
        let listing = error.replace("get", "list");
        assert_eq!(all(&logins).await.unwrap().1, [error, listing]);
        helper(&folder, "sad", "echo nonsense");
        let error = of(&logins, "a.io").await.unwrap_err();
        assert!(error.starts_with("`docker-credential-sad get`: "), "{error}");
    }

    #[tokio::test]
    async fn logins_are_found_by_registry_however_they_are_spelled() {
        // me:p:w, you:pw
        let folder = config(
            r#"{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6cDp3"},"ghcr.io":{"auth":"eW91OnB3"},"empty.io":{}}}"#,
        );
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(name(&folder, "docker.io").await, pair("me", "p:w"));
        assert_eq!(name(&folder, "ghcr.io").await, pair("you", "pw"));
        assert_eq!(name(&folder, "empty.io").await, None);
        assert_eq!(name(&folder, "quay.io").await, None);
        let (all, _) = all(&logins(&folder)).await.unwrap();
        assert_eq!(all.len(), 2);
        assert!(all.contains_key(DOCKER_IO));
    }

    #[tokio::test]
    async fn no_file_is_no_login_and_a_broken_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(of(&logins(&folder), "docker.io").await.unwrap().is_none());
        let folder = config("{");
        assert!(of(&logins(&folder), "docker.io").await.unwrap_err().contains("config.json"));
        let folder = config(r#"{"auths":{"a.io":{"auth":"!"}}}"#);
        assert!(of(&logins(&folder), "a.io").await.unwrap_err().contains("a.io"));
    }

    #[tokio::test]
    async fn a_missing_helper_is_an_error_that_names_it() {
        let folder = config(r#"{"credHelpers":{"a.io":"no-such-helper"}}"#);
        let error = of(&logins(&folder), "a.io").await.unwrap_err();
        assert!(error.contains("docker-credential-no-such-helper"), "{error}");
        assert!(of(&logins(&folder), "b.io").await.unwrap().is_none());
    }
}
