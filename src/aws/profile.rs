//! Shared config and credentials files.

use std::path::{Path, PathBuf};

use aws_config::profile::ProfileSet;
use aws_runtime::env_config::EnvConfigValue;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::Fs;
use thiserror::Error;

use super::environment::Environment;

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
