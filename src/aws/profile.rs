//! Shared config and credentials files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::EnvConfigValue;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::Fs;
use thiserror::Error;

use super::environment::Environment;
use super::settings::{
    AssumeRole, ProfileRoles, RoleSource, StaticKeys, WebIdentity, WebIdentityToken,
};

/// A profile of the shared files, with the sections it refers to.
#[derive(Clone, Debug)]
pub struct SharedConfig {
    files: EnvConfigFiles,
    paths: Vec<PathBuf>,
    profiles: ProfileSet,
    profile: String,
}

/// The shared files cannot be read.
#[derive(Debug, Error)]
#[error("the shared AWS config and credentials files cannot be read")]
pub struct SharedConfigError(#[source] Box<aws_config::profile::ProfileFileLoadError>);

impl SharedConfig {
    /// Reads `profile` from the files, or from the places that the environment names when a list is empty.
    ///
    /// # Errors
    /// When a file exists but cannot be read or parsed.
    pub async fn load(
        environment: &Environment,
        config_files: &[PathBuf],
        credentials_files: &[PathBuf],
        profile: &str,
    ) -> Result<Self, SharedConfigError> {
        let mut builder = EnvConfigFiles::builder();
        let mut paths = Vec::new();
        for (kind, explicit, variable, name) in [
            (
                EnvConfigFileKind::Config,
                config_files,
                "AWS_CONFIG_FILE",
                "config",
            ),
            (
                EnvConfigFileKind::Credentials,
                credentials_files,
                "AWS_SHARED_CREDENTIALS_FILE",
                "credentials",
            ),
        ] {
            let candidates = if explicit.is_empty() {
                environment
                    .get(variable)
                    .map(|path| expand_home(path, environment))
                    .or_else(|| home(environment).map(|home| home.join(".aws").join(name)))
                    .into_iter()
                    .collect()
            } else {
                explicit.to_vec()
            };
            for path in candidates {
                // A missing default file is normal; missing configured ones are refused before this.
                if path.is_file() {
                    builder = builder.with_file(kind, path.clone());
                }
                paths.push(path);
            }
        }
        if !paths.iter().any(|path| path.is_file()) {
            // The builder insists on a source; without one it panics.
            builder = builder.with_contents(EnvConfigFileKind::Config, "");
        }
        let files = builder.build();
        let profiles = aws_config::profile::load(
            &Fs::real(),
            &environment.to_sdk(),
            &files,
            Some(profile.to_owned().into()),
        )
        .await
        .map_err(|error| SharedConfigError(Box::new(error)))?;
        Ok(Self {
            files,
            paths,
            profiles,
            profile: profile.to_owned(),
        })
    }

    /// A setting of the profile.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.profiles
            .get_profile(&self.profile)?
            .get(key)
            .filter(|value| !value.is_empty())
    }

    /// Whether the profile exists.
    #[must_use]
    pub fn has_profile(&self) -> bool {
        self.profiles.get_profile(&self.profile).is_some()
    }

    /// The profile's name.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The names of all profiles, sorted.
    #[must_use]
    pub fn profiles(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.profiles.profiles().collect();
        names.sort_unstable();
        names
    }

    /// The roles of the profile, following `source_profile`; `None` if it has no `role_arn`.
    ///
    /// # Errors
    /// When the profiles do not lead to credentials: the sentence for the user.
    pub fn roles(&self, environment: &Environment) -> Result<Option<ProfileRoles>, String> {
        let mut roles = Vec::new();
        let mut visited: Vec<&str> = Vec::new();
        let mut name = self.profile.as_str();
        let source = loop {
            let Some(profile) = self.profiles.get_profile(name) else {
                return match visited.last() {
                    None => Ok(None),
                    Some(last) => Err(format!(
                        "The profile {last:?} names the source_profile {name:?}, which does not exist."
                    )),
                };
            };
            let get = |key| profile.get(key).filter(|value| !value.is_empty());
            let keys = get("aws_access_key_id").zip(get("aws_secret_access_key"));
            let reached_again = visited.contains(&name);
            // A profile reached as a source gives its keys if it has any; its role is for those who name it first.
            if let (false, Some((access_key, secret_key))) = (visited.is_empty(), keys) {
                break RoleSource::Keys(StaticKeys {
                    access_key: access_key.to_owned(),
                    secret_key: secret_key.to_owned(),
                    token: get("aws_session_token").map(ToOwned::to_owned),
                });
            }
            if reached_again {
                return Err(format!(
                    "The source_profile settings of {} lead in a circle.",
                    visited.join(", ")
                ));
            }
            let Some(role_arn) = get("role_arn") else {
                if visited.is_empty() {
                    return Ok(None);
                }
                break RoleSource::Profile(name.to_owned());
            };
            visited.push(name);
            let session_name = get("role_session_name").map(ToOwned::to_owned);
            let duration = get("duration_seconds")
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs);
            if let Some(file) = get("web_identity_token_file") {
                break RoleSource::WebIdentity(WebIdentity {
                    role_arn: role_arn.to_owned(),
                    token: WebIdentityToken::File(expand_home(file, environment)),
                    duration,
                    policy: None,
                    policy_arns: Vec::new(),
                    session_name,
                });
            }
            roles.push(AssumeRole {
                role_arn: role_arn.to_owned(),
                duration,
                external_id: get("external_id").map(ToOwned::to_owned),
                session_name,
                ..AssumeRole::default()
            });
            if get("mfa_serial").is_some() {
                return Err(format!(
                    "The profile {name:?} asks for a code of a multi-factor device (mfa_serial), and a provider has nobody \
                     to ask. Use credentials that were made with the code before, such as those of aws sts get-session-token."
                ));
            }
            match (get("source_profile"), get("credential_source")) {
                (Some(source), None) => name = source,
                (None, Some("Environment")) => {
                    let keys = environment
                        .get("AWS_ACCESS_KEY_ID")
                        .zip(environment.get("AWS_SECRET_ACCESS_KEY"));
                    let Some((access_key, secret_key)) = keys else {
                        return Err(format!(
                            "The profile {name:?} takes its credentials from the environment (credential_source), but \
                             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set."
                        ));
                    };
                    break RoleSource::Keys(StaticKeys {
                        access_key: access_key.to_owned(),
                        secret_key: secret_key.to_owned(),
                        token: environment.get("AWS_SESSION_TOKEN").map(ToOwned::to_owned),
                    });
                }
                (None, Some("EcsContainer")) => break RoleSource::Container,
                (None, Some("Ec2InstanceMetadata")) => break RoleSource::InstanceMetadata,
                (None, Some(other)) => {
                    return Err(format!(
                        "The profile {name:?} has the credential_source {other:?}, which is none of Environment, \
                         EcsContainer and Ec2InstanceMetadata."
                    ));
                }
                _ => {
                    return Err(format!(
                        "The profile {name:?} has a role_arn, so it must have either source_profile or credential_source."
                    ));
                }
            }
        };
        roles.reverse();
        Ok(Some(ProfileRoles { source, roles }))
    }

    /// The endpoint URL that the profile configures for a service (`eks`): its `services` section, then `endpoint_url`.
    #[must_use]
    pub fn endpoint_url(&self, service: &str) -> Option<String> {
        let nothing = Environment::default().to_sdk();
        EnvConfigValue::new()
            .profile("endpoint_url")
            .service_id(service)
            .load(&nothing, Some(&self.profiles))
            .map(|(value, _)| value.into_owned())
    }

    /// The files, in the form that the AWS crates take.
    #[must_use]
    pub fn files(&self) -> &EnvConfigFiles {
        &self.files
    }

    /// Where the files are or would be.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

/// A path with a leading `~` replaced by the home directory.
#[must_use]
pub fn expand_home(path: &str, environment: &Environment) -> PathBuf {
    match (path.strip_prefix('~'), home(environment)) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
            home.join(rest.trim_start_matches(['/', '\\']))
        }
        _ => Path::new(path).to_owned(),
    }
}

fn home(environment: &Environment) -> Option<PathBuf> {
    environment
        .first(&["HOME", "USERPROFILE"])
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(roles: &ProfileRoles) -> String {
        let source = match &roles.source {
            RoleSource::Profile(name) => format!("profile {name}"),
            RoleSource::Keys(keys) => format!("keys {}", keys.access_key),
            RoleSource::WebIdentity(identity) => format!("web {}", identity.role_arn),
            RoleSource::Container => "container".to_owned(),
            RoleSource::InstanceMetadata => "metadata".to_owned(),
        };
        let roles: Vec<_> = roles
            .roles
            .iter()
            .map(|role| role.role_arn.as_str())
            .collect();
        format!("{source} -> {}", roles.join(" -> "))
    }

    #[tokio::test]
    async fn roles_follow_source_profiles() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(
            &file,
            "[profile keys]\naws_access_key_id = K\naws_secret_access_key = k\n\
             [profile sso]\nsso_start_url = https://x\n\
             [profile one]\nrole_arn = R1\nsource_profile = keys\n\
             [profile two]\nrole_arn = R2\nsource_profile = one\nexternal_id = e\n\
             [profile self]\nrole_arn = R3\nsource_profile = self\naws_access_key_id = S\naws_secret_access_key = s\n\
             [profile from-sso]\nrole_arn = R4\nsource_profile = sso\n\
             [profile web]\nrole_arn = R5\nweb_identity_token_file = ~/token\n\
             [profile from-web]\nrole_arn = R6\nsource_profile = web\n\
             [profile env]\nrole_arn = R7\ncredential_source = Environment\n\
             [profile ecs]\nrole_arn = R8\ncredential_source = EcsContainer\n\
             [profile ec2]\nrole_arn = R9\ncredential_source = Ec2InstanceMetadata\n\
             [profile circle]\nrole_arn = C1\nsource_profile = circle2\n\
             [profile circle2]\nrole_arn = C2\nsource_profile = circle\n\
             [profile lost]\nrole_arn = L\nsource_profile = nowhere\n\
             [profile none]\nrole_arn = N\n\
             [profile mfa]\nrole_arn = M\nsource_profile = keys\nmfa_serial = arn\n",
        )
        .unwrap();
        let environment: Environment = [
            ("HOME", "/h"),
            ("AWS_ACCESS_KEY_ID", "E"),
            ("AWS_SECRET_ACCESS_KEY", "e"),
        ]
        .into_iter()
        .collect();
        for (profile, expected) in [
            ("keys", Ok("none")),
            ("missing", Ok("none")),
            ("one", Ok("keys K -> R1")),
            ("two", Ok("keys K -> R1 -> R2")),
            ("self", Ok("keys S -> R3")),
            ("from-sso", Ok("profile sso -> R4")),
            ("web", Ok("web R5 -> ")),
            ("from-web", Ok("web R5 -> R6")),
            ("env", Ok("keys E -> R7")),
            ("ecs", Ok("container -> R8")),
            ("ec2", Ok("metadata -> R9")),
            ("circle", Err("in a circle")),
            ("lost", Err("\"nowhere\", which does not exist")),
            ("none", Err("either source_profile or credential_source")),
            ("mfa", Err("multi-factor")),
        ] {
            let shared =
                SharedConfig::load(&environment, std::slice::from_ref(&file), &[], profile)
                    .await
                    .unwrap();
            match (shared.roles(&environment), expected) {
                (Ok(roles), Ok(expected)) => assert_eq!(
                    roles.as_ref().map_or_else(|| "none".to_owned(), summary),
                    expected,
                    "{profile}"
                ),
                (Err(error), Err(expected)) => {
                    assert!(error.contains(expected), "{profile}: {error}");
                }
                (found, _) => panic!("{profile}: {found:?}"),
            }
        }
    }
}
