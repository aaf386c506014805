//! What the calling process says through environment variables (go-plugin's side of the contract).

use std::{ffi::OsString, path::PathBuf};

use super::ServeError;

/// Value of [`MAGIC_COOKIE_VARIABLE`] that Terraform and OpenTofu set. It is no secret: it tells a start by core from a
/// start by hand.
const MAGIC_COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";
const MAGIC_COOKIE_VARIABLE: &str = "TF_PLUGIN_MAGIC_COOKIE";

/// Major protocol versions that this provider speaks, ascending.
const SUPPORTED_PROTOCOLS: [u32; 1] = [6];

/// The variables of go-plugin's contract, read once at start.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Protocol version to announce.
    pub(super) protocol: u32,
    /// PEM certificate the client will present. Absent means plaintext.
    pub(super) client_certificate: Option<String>,
    /// Inclusive TCP port range; `(0, 0)` leaves the choice to the operating system.
    #[cfg_attr(
        unix,
        allow(dead_code, reason = "only for platforms without Unix sockets")
    )]
    pub(super) ports: (u16, u16),
    /// Directory for the socket, instead of the system's temporary directory.
    #[cfg_attr(not(unix), allow(dead_code, reason = "only for Unix sockets"))]
    pub(super) socket_dir: Option<PathBuf>,
    /// Group (name or number) that may connect to the socket.
    #[cfg_attr(not(unix), allow(dead_code, reason = "only for Unix sockets"))]
    pub(super) socket_group: Option<String>,
    /// The client asks whether the broker can share one connection.
    pub(super) asks_for_multiplexing: bool,
}

impl Environment {
    /// Reads the variables through `variable`.
    ///
    /// # Errors
    ///
    /// [`ServeError::StartedByHand`] without the cookie, [`ServeError::Variable`] for a value that cannot be used.
    pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ServeError> {
        if variable(MAGIC_COOKIE_VARIABLE).is_none_or(|value| value != MAGIC_COOKIE) {
            return Err(ServeError::StartedByHand);
        }
        // go-plugin treats an empty value like an absent one.
        let text = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => value
                .into_string()
                .map(Some)
                .map_err(|_| ServeError::Variable { name }),
        };
        let port = |name: &'static str| {
            let value = text(name)?;
            value.map_or(Ok(0), |value| {
                value
                    .trim()
                    .parse()
                    .map_err(|_| ServeError::Variable { name })
            })
        };
        let ports = (port("PLUGIN_MIN_PORT")?, port("PLUGIN_MAX_PORT")?);
        if ports.0 > ports.1 {
            return Err(ServeError::Variable {
                name: "PLUGIN_MAX_PORT",
            });
        }
        Ok(Self {
            protocol: negotiate(
                &text("PLUGIN_PROTOCOL_VERSIONS")?.unwrap_or_default(),
                &SUPPORTED_PROTOCOLS,
            ),
            client_certificate: text("PLUGIN_CLIENT_CERT")?,
            ports,
            socket_dir: variable("PLUGIN_UNIX_SOCKET_DIR")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            socket_group: text("PLUGIN_UNIX_SOCKET_GROUP")?,
            asks_for_multiplexing: text("PLUGIN_MULTIPLEX_GRPC")?.is_some(),
        })
    }
}

/// Highest version of `supported` (ascending) that `offered` also lists; offers come in random order.
///
/// Without a common version it is our lowest: core then tells the user which Terraform versions fit, better than we could.
fn negotiate(offered: &str, supported: &[u32]) -> u32 {
    let offered: Vec<u32> = offered
        .split(',')
        .filter_map(|version| version.trim().parse().ok())
        .collect();
    supported
        .iter()
        .rev()
        .find(|version| offered.contains(version))
        .or_else(|| supported.first())
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_takes_the_highest_common_version() {
        let cases: [(&str, &str, &[u32], u32); 8] = [
            ("terraform", "5,6", &[6], 6),
            ("random order", "6,5", &[6], 6),
            ("highest of several", "7,5,6", &[5, 6], 6),
            ("newer client", "7,6,8", &[6], 6),
            ("nothing in common: our lowest", "4,5", &[6, 7], 6),
            ("nothing offered", "", &[6], 6),
            ("noise between versions", "x, 6 ,,5", &[5, 6], 6),
            ("only the lower", "5", &[5, 6], 5),
        ];
        for (name, offered, supported, expected) in cases {
            assert_eq!(negotiate(offered, supported), expected, "{name}");
        }
    }

    #[test]
    fn variables_are_read_as_go_plugin_means_them() {
        let cookie = (MAGIC_COOKIE_VARIABLE, MAGIC_COOKIE);
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Result<String, String>);
        let show = |environment: Environment| {
            format!(
                "{} {:?} {:?} {:?} {:?} {}",
                environment.protocol,
                environment.client_certificate,
                environment.ports,
                environment.socket_dir,
                environment.socket_group,
                environment.asks_for_multiplexing,
            )
        };
        let by_hand = || Err(ServeError::StartedByHand.to_string());
        let variable = |name| Err(ServeError::Variable { name }.to_string());
        let cases: [Case<'_>; 9] = [
            ("no cookie", &[], by_hand()),
            ("wrong cookie", &[(MAGIC_COOKIE_VARIABLE, "no")], by_hand()),
            (
                "cookie only",
                &[cookie],
                Ok("6 None (0, 0) None None false".into()),
            ),
            (
                "all",
                &[
                    cookie,
                    ("PLUGIN_PROTOCOL_VERSIONS", "6,5"),
                    ("PLUGIN_CLIENT_CERT", "pem"),
                    ("PLUGIN_MIN_PORT", "10000"),
                    ("PLUGIN_MAX_PORT", "25000"),
                    ("PLUGIN_UNIX_SOCKET_DIR", "/run/x"),
                    ("PLUGIN_UNIX_SOCKET_GROUP", "wheel"),
                    ("PLUGIN_MULTIPLEX_GRPC", "true"),
                ],
                Ok("6 Some(\"pem\") (10000, 25000) Some(\"/run/x\") Some(\"wheel\") true".into()),
            ),
            (
                "empty is absent",
                &[
                    cookie,
                    ("PLUGIN_CLIENT_CERT", ""),
                    ("PLUGIN_UNIX_SOCKET_DIR", ""),
                    ("PLUGIN_UNIX_SOCKET_GROUP", ""),
                    ("PLUGIN_MULTIPLEX_GRPC", ""),
                    ("PLUGIN_MIN_PORT", ""),
                ],
                Ok("6 None (0, 0) None None false".into()),
            ),
            (
                "minimum unset counts as 0",
                &[cookie, ("PLUGIN_MAX_PORT", "25000")],
                Ok("6 None (0, 25000) None None false".into()),
            ),
            (
                "port is no number",
                &[cookie, ("PLUGIN_MIN_PORT", "ten")],
                variable("PLUGIN_MIN_PORT"),
            ),
            (
                "port too large",
                &[cookie, ("PLUGIN_MAX_PORT", "65536")],
                variable("PLUGIN_MAX_PORT"),
            ),
            (
                "empty range",
                &[cookie, ("PLUGIN_MIN_PORT", "2"), ("PLUGIN_MAX_PORT", "1")],
                variable("PLUGIN_MAX_PORT"),
            ),
        ];
        for (name, variables, expected) in cases {
            let read = Environment::read(|wanted| {
                variables
                    .iter()
                    .find(|(name, _)| *name == wanted)
                    .map(|(_, value)| OsString::from(value))
            });
            assert_eq!(
                read.map(show).map_err(|error| error.to_string()),
                expected,
                "{name}"
            );
        }
    }
}
