//! Kubeconfig files: read, merged and resolved as kubectl does.
//!
//! Source: the `Config` type of `k8s.io/client-go/tools/clientcmd/api/v1` and the rules for `KUBECONFIG` in the Kubernetes
//! documentation: the first file that sets a value or names an entry wins, relative paths start at the file's directory.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

use super::error::{KubernetesError, KubernetesErrorKind};
use super::exec::ExecPlugin;
use crate::plugin::logging::register_secret;

/// The extension of a cluster that is handed to credential plugins.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// What one context says.
#[derive(Debug)]
pub(crate) struct Context {
    /// URL of the API server.
    pub(crate) server: String,
    /// PEM certificates of its CA.
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) insecure: bool,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) proxy_url: Option<String>,
    pub(crate) user: User,
}

/// Who a context's user is.
#[derive(Default)]
pub(crate) struct User {
    pub(crate) token: Option<String>,
    pub(crate) token_file: Option<PathBuf>,
    /// Name and password.
    pub(crate) basic: Option<(String, String)>,
    /// PEM certificate and key.
    pub(crate) certificate: Option<(String, String)>,
    pub(crate) exec: Option<ExecPlugin>,
    /// Headers that say who to act as.
    pub(crate) impersonation: Vec<(String, String)>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    #[serde(deserialize_with = "filled")]
    current_context: Option<String>,
    clusters: Option<Vec<NamedCluster>>,
    users: Option<Vec<NamedUser>>,
    contexts: Option<Vec<NamedContext>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Option<FileCluster>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<FileUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Option<FileContext>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct FileContext {
    cluster: String,
    user: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct FileCluster {
    #[serde(deserialize_with = "filled")]
    server: Option<String>,
    #[serde(deserialize_with = "filled")]
    certificate_authority: Option<PathBuf>,
    #[serde(deserialize_with = "filled")]
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    #[serde(deserialize_with = "filled")]
    tls_server_name: Option<String>,
    #[serde(deserialize_with = "filled")]
    proxy_url: Option<String>,
    extensions: Option<Vec<Extension>>,
}

#[derive(Clone, Deserialize)]
struct Extension {
    name: String,
    extension: Json,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct FileUser {
    #[serde(deserialize_with = "filled")]
    token: Option<String>,
    #[serde(rename = "tokenFile", deserialize_with = "filled")]
    token_file: Option<PathBuf>,
    #[serde(deserialize_with = "filled")]
    username: Option<String>,
    #[serde(deserialize_with = "filled")]
    password: Option<String>,
    #[serde(deserialize_with = "filled")]
    client_certificate: Option<PathBuf>,
    #[serde(deserialize_with = "filled")]
    client_certificate_data: Option<String>,
    #[serde(deserialize_with = "filled")]
    client_key: Option<PathBuf>,
    #[serde(deserialize_with = "filled")]
    client_key_data: Option<String>,
    #[serde(rename = "as", deserialize_with = "filled")]
    act_as: Option<String>,
    #[serde(deserialize_with = "filled")]
    as_uid: Option<String>,
    as_groups: Option<Vec<String>>,
    as_user_extra: Option<BTreeMap<String, Vec<String>>>,
    auth_provider: Option<AuthProvider>,
    exec: Option<FileExec>,
}

#[derive(Clone, Deserialize)]
struct AuthProvider {
    name: String,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileExec {
    #[serde(default)]
    api_version: String,
    command: String,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    #[serde(default, deserialize_with = "filled")]
    install_hint: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    interactive_mode: Option<String>,
    #[serde(default)]
    provide_cluster_info: bool,
}

#[derive(Clone, Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// The context `wanted`, or the current one, of `files` merged.
///
/// # Errors
/// `Configuration`: a file that cannot be read, a context, cluster or user that does not exist, a way to authenticate
/// that is not supported.
pub(crate) fn load(files: &[PathBuf], wanted: Option<&str>) -> Result<Context, KubernetesError> {
    let mut current = None;
    let mut contexts: Vec<(String, FileContext)> = Vec::new();
    let mut clusters: Vec<(String, FileCluster, &Path)> = Vec::new();
    let mut users: Vec<(String, FileUser, &Path)> = Vec::new();
    for path in files {
        let file = read(path)?;
        current = current.or(file.current_context);
        for NamedContext { name, context } in file.contexts.into_iter().flatten() {
            if !contexts.iter().any(|(known, _)| *known == name) {
                contexts.push((name, context.unwrap_or_default()));
            }
        }
        for NamedCluster { name, cluster } in file.clusters.into_iter().flatten() {
            if !clusters.iter().any(|(known, ..)| *known == name) {
                clusters.push((name, cluster.unwrap_or_default(), path));
            }
        }
        for NamedUser { name, user } in file.users.into_iter().flatten() {
            if !users.iter().any(|(known, ..)| *known == name) {
                users.push((name, user.unwrap_or_default(), path));
            }
        }
    }
    let names: Vec<&str> = contexts.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = wanted.map(ToOwned::to_owned).or(current).ok_or_else(|| {
        configuration(format!(
            "{} names no current context: set config_context to one of {}",
            list(files),
            names.join(", ")
        ))
    })?;
    let (_, context) = contexts
        .iter()
        .find(|(name, _)| *name == wanted)
        .ok_or_else(|| {
            configuration(format!(
                "there is no context {wanted:?} in {}; contexts there: {}",
                list(files),
                names.join(", ")
            ))
        })?;
    let (_, cluster, from) = clusters
        .iter()
        .find(|(name, ..)| *name == context.cluster)
        .ok_or_else(|| {
            configuration(format!(
                "the context {wanted:?} names the cluster {:?}, which is not in {}",
                context.cluster,
                list(files)
            ))
        })?;
    let server = cluster.server.clone().ok_or_else(|| {
        configuration(format!(
            "the cluster {:?} has no server in {}",
            context.cluster,
            from.display()
        ))
    })?;
    let ca = data_or_file(
        "certificate-authority",
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
        from,
    )?;
    let insecure = cluster.insecure_skip_tls_verify.unwrap_or(false);
    let user = match users.iter().find(|(name, ..)| *name == context.user) {
        Some((name, user, from)) => user.resolve(name, from, cluster, ca.as_deref())?,
        None if context.user.is_empty() => User::default(),
        None => {
            return Err(configuration(format!(
                "the context {wanted:?} names the user {:?}, which is not in {}",
                context.user,
                list(files)
            )));
        }
    };
    Ok(Context {
        server,
        ca,
        insecure,
        tls_server_name: cluster.tls_server_name.clone(),
        proxy_url: cluster.proxy_url.clone(),
        user,
    })
}

impl FileUser {
    fn resolve(
        &self,
        name: &str,
        from: &Path,
        cluster: &FileCluster,
        ca: Option<&[u8]>,
    ) -> Result<User, KubernetesError> {
        if let Some(provider) = &self.auth_provider {
            return Err(configuration(format!(
                "the user {name:?} in {} authenticates with the auth-provider {:?}, which Kubernetes has removed: use exec",
                from.display(),
                provider.name
            )));
        }
        let certificate = data_or_file(
            "client-certificate",
            self.client_certificate_data.as_deref(),
            self.client_certificate.as_deref(),
            from,
        )?;
        let key = data_or_file(
            "client-key",
            self.client_key_data.as_deref(),
            self.client_key.as_deref(),
            from,
        )?;
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((
                text("client-certificate", certificate)?,
                text("client-key", key)?,
            )),
            (None, None) => None,
            _ => {
                return Err(configuration(format!(
                    "the user {name:?} in {} has one of client-certificate and client-key without the other",
                    from.display()
                )));
            }
        };
        for secret in [&self.token, &self.password].into_iter().flatten() {
            register_secret(secret);
        }
        let exec = match &self.exec {
            Some(exec) => Some(exec.plugin(from, cluster, ca)?),
            None => None,
        };
        Ok(User {
            token: self.token.clone(),
            token_file: self.token_file.as_deref().map(|file| beside(from, file)),
            basic: self
                .username
                .clone()
                .map(|name| (name, self.password.clone().unwrap_or_default())),
            certificate,
            exec,
            impersonation: self.impersonation(),
        })
    }

    /// Acting as somebody else must not be dropped silently: we would act as somebody with more rights.
    fn impersonation(&self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        let mut push = |name: String, value: &String| headers.push((name, value.clone()));
        if let Some(user) = &self.act_as {
            push("impersonate-user".to_owned(), user);
        }
        if let Some(uid) = &self.as_uid {
            push("impersonate-uid".to_owned(), uid);
        }
        for group in self.as_groups.iter().flatten() {
            push("impersonate-group".to_owned(), group);
        }
        for (key, values) in self.as_user_extra.iter().flatten() {
            for value in values {
                let key = percent_encoding::utf8_percent_encode(
                    &key.to_ascii_lowercase(),
                    percent_encoding::NON_ALPHANUMERIC,
                )
                .to_string();
                push(format!("impersonate-extra-{key}"), value);
            }
        }
        headers
    }
}

impl FileExec {
    fn plugin(
        &self,
        from: &Path,
        cluster: &FileCluster,
        ca: Option<&[u8]>,
    ) -> Result<ExecPlugin, KubernetesError> {
        if self.interactive_mode.as_deref() == Some("Always") {
            return Err(configuration(format!(
                "the credential plugin {} in {} has interactiveMode Always: it wants a terminal, and Terraform has none for it",
                self.command,
                from.display()
            )));
        }
        // A bare name is sought on PATH, a relative path starts at the kubeconfig.
        let command = if self.command.contains(std::path::is_separator) {
            beside(from, Path::new(&self.command))
        } else {
            PathBuf::from(&self.command)
        };
        let env: Vec<(String, String)> = self
            .env
            .iter()
            .flatten()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect();
        ExecPlugin {
            api_version: self.api_version.clone(),
            command,
            args: self.args.clone().unwrap_or_default(),
            env,
            install_hint: self.install_hint.clone(),
            cluster: self.provide_cluster_info.then(|| cluster.for_plugins(ca)),
        }
        .check()
    }
}

impl FileCluster {
    /// `spec.cluster` of `KUBERNETES_EXEC_INFO`.
    fn for_plugins(&self, ca: Option<&[u8]>) -> Json {
        let mut info = json!({"server": self.server});
        if let Some(ca) = ca {
            info["certificate-authority-data"] = BASE64.encode(ca).into();
        }
        if let Some(name) = &self.tls_server_name {
            info["tls-server-name"] = name.clone().into();
        }
        if let Some(insecure) = self.insecure_skip_tls_verify {
            info["insecure-skip-tls-verify"] = insecure.into();
        }
        if let Some(proxy) = &self.proxy_url {
            info["proxy-url"] = proxy.clone().into();
        }
        let extensions = self.extensions.iter().flatten();
        if let Some(found) = extensions.into_iter().find(|e| e.name == EXEC_EXTENSION) {
            info["config"] = found.extension.clone();
        }
        info
    }
}

/// A setting; one that is empty counts as left out, as in client-go.
fn filled<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + AsRef<OsStr>,
    D: Deserializer<'de>,
{
    let value = Option::<T>::deserialize(deserializer)?;
    Ok(value.filter(|value| !value.as_ref().is_empty()))
}

fn read(path: &Path) -> Result<File, KubernetesError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        configuration(format!(
            "the kubeconfig {} cannot be read: {error}",
            path.display()
        ))
    })?;
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    serde_yaml_ng::from_str(&text).map_err(|error| {
        // Only the place: the error itself may repeat a value, and values here are secrets.
        let place = error.location().map_or_else(String::new, |at| {
            format!(" (line {}, column {})", at.line(), at.column())
        });
        configuration(format!("{} is not a kubeconfig{place}", path.display()))
    })
}

fn data_or_file(
    field: &str,
    data: Option<&str>,
    file: Option<&Path>,
    from: &Path,
) -> Result<Option<Vec<u8>>, KubernetesError> {
    if let Some(data) = data {
        // Lines may be broken anywhere, as other programs do not mind.
        let data: String = data.split_ascii_whitespace().collect();
        return BASE64.decode(data).map(Some).map_err(|_| {
            configuration(format!("{field}-data in {} is not base64", from.display()))
        });
    }
    let Some(file) = file else {
        return Ok(None);
    };
    let file = beside(from, file);
    std::fs::read(&file).map(Some).map_err(|error| {
        configuration(format!(
            "{field} of {} cannot be read: {}: {error}",
            from.display(),
            file.display()
        ))
    })
}

/// A path as a kubeconfig means it.
fn beside(kubeconfig: &Path, path: &Path) -> PathBuf {
    match kubeconfig.parent() {
        Some(directory) => directory.join(path),
        None => path.to_owned(),
    }
}

fn text(field: &str, bytes: Vec<u8>) -> Result<String, KubernetesError> {
    String::from_utf8(bytes).map_err(|_| configuration(format!("{field} is not PEM")))
}

fn list(files: &[PathBuf]) -> String {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.join(" and ")
}

fn configuration(message: impl Into<String>) -> KubernetesError {
    KubernetesError::new(KubernetesErrorKind::Configuration, message)
}
