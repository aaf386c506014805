//! Which events are written, by the `TF_LOG` family of environment variables.

use tracing::{Level, Metadata, level_filters::LevelFilter};

/// Prefixes of the targets that belong to the protocol, not to the provider's own work.
const PROTOCOL_TARGETS: [&str; 2] = ["podidentity::rpc", "podidentity::plugin"];

/// Crates whose debug events describe our own gRPC server frame by frame and would bury everything else.
const NOISY_CRATES: [&str; 4] = ["h2", "hyper", "tonic", "tower"];

/// Who speaks, by the event's target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Speaker<'a> {
    /// The provider's own work: module `provider`.
    Provider,
    /// The protocol: module `sdk.proto`.
    Protocol,
    /// Another crate: module `provider.CRATE`.
    Crate(&'a str),
}

impl<'a> Speaker<'a> {
    pub(super) fn of(target: &'a str) -> Self {
        let in_module = |module: &str| {
            target
                .strip_prefix(module)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        if PROTOCOL_TARGETS.into_iter().any(in_module) {
            Self::Protocol
        } else if in_module("podidentity") || in_module("terraform_provider_podidentity") {
            Self::Provider
        } else {
            Self::Crate(target.split("::").next().unwrap_or(target))
        }
    }
}

/// The level of each module.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Levels {
    provider: LevelFilter,
    protocol: LevelFilter,
}

impl Levels {
    /// Reads the variables through `variable`. The more specific one wins: for the provider
    /// `TF_LOG_PROVIDER_PODIDENTITY`, `TF_LOG_PROVIDER`, `TF_LOG`; for the protocol `TF_LOG_SDK_PROTO`, `TF_LOG_SDK`,
    /// `TF_LOG_PROVIDER`, `TF_LOG`.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| variable(name).and_then(|value| parse(&value)))
                .unwrap_or(LevelFilter::OFF)
        };
        Self {
            provider: first(&["TF_LOG_PROVIDER_PODIDENTITY", "TF_LOG_PROVIDER", "TF_LOG"]),
            protocol: first(&[
                "TF_LOG_SDK_PROTO",
                "TF_LOG_SDK",
                "TF_LOG_PROVIDER",
                "TF_LOG",
            ]),
        }
    }

    /// The most talkative of all modules.
    pub(super) fn highest(self) -> LevelFilter {
        self.provider.max(self.protocol)
    }

    /// Whether an event or span is written.
    pub(super) fn enabled(self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.of(metadata.target())
    }

    fn of(self, target: &str) -> LevelFilter {
        match Speaker::of(target) {
            Speaker::Provider => self.provider,
            Speaker::Protocol => self.protocol,
            Speaker::Crate(name) if NOISY_CRATES.contains(&name) => LevelFilter::OFF,
            // Their TRACE events hold whole requests and the signing of them, credentials included.
            Speaker::Crate(_) if self.provider == LevelFilter::TRACE => LevelFilter::DEBUG,
            Speaker::Crate(_) => LevelFilter::OFF,
        }
    }
}

/// The level that core understands by `value`; `None` if the variable counts as unset. Core takes a word that it does not
/// know for TRACE, and JSON (its output format) too.
fn parse(value: &str) -> Option<LevelFilter> {
    match value.trim().to_ascii_uppercase().as_str() {
        "" => None,
        "OFF" => Some(LevelFilter::OFF),
        "ERROR" => Some(LevelFilter::ERROR),
        "WARN" => Some(LevelFilter::WARN),
        "INFO" => Some(LevelFilter::INFO),
        "DEBUG" => Some(LevelFilter::DEBUG),
        _ => Some(LevelFilter::TRACE),
    }
}

/// hclog's name of a level.
pub(super) fn hclog_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_variable_wins() {
        const fn levels(provider: LevelFilter, protocol: LevelFilter) -> Levels {
            Levels { provider, protocol }
        }
        use LevelFilter as L;
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Levels);
        let cases: [Case<'_>; 13] = [
            ("nothing set", &[], levels(L::OFF, L::OFF)),
            ("TF_LOG", &[("TF_LOG", "INFO")], levels(L::INFO, L::INFO)),
            (
                "lower case",
                &[("TF_LOG", "debug")],
                levels(L::DEBUG, L::DEBUG),
            ),
            ("JSON", &[("TF_LOG", "JSON")], levels(L::TRACE, L::TRACE)),
            (
                "unknown word",
                &[("TF_LOG", "loud")],
                levels(L::TRACE, L::TRACE),
            ),
            ("OFF", &[("TF_LOG", "OFF")], levels(L::OFF, L::OFF)),
            (
                "providers only",
                &[("TF_LOG", "TRACE"), ("TF_LOG_PROVIDER", "WARN")],
                levels(L::WARN, L::WARN),
            ),
            (
                "providers off",
                &[("TF_LOG", "TRACE"), ("TF_LOG_PROVIDER", "OFF")],
                levels(L::OFF, L::OFF),
            ),
            (
                "core only",
                &[("TF_LOG_CORE", "TRACE")],
                levels(L::OFF, L::OFF),
            ),
            (
                "this provider",
                &[
                    ("TF_LOG_PROVIDER", "WARN"),
                    ("TF_LOG_PROVIDER_PODIDENTITY", "TRACE"),
                ],
                levels(L::TRACE, L::WARN),
            ),
            (
                "another provider",
                &[("TF_LOG_PROVIDER_AWS", "TRACE")],
                levels(L::OFF, L::OFF),
            ),
            (
                "SDK",
                &[("TF_LOG", "DEBUG"), ("TF_LOG_SDK", "ERROR")],
                levels(L::DEBUG, L::ERROR),
            ),
            (
                "protocol before SDK, empty is unset",
                &[
                    ("TF_LOG_SDK", "ERROR"),
                    ("TF_LOG_SDK_PROTO", "TRACE"),
                    ("TF_LOG", ""),
                ],
                levels(L::OFF, L::TRACE),
            ),
        ];
        for (name, variables, expected) in cases {
            let read = Levels::read(|wanted| {
                variables
                    .iter()
                    .find(|(name, _)| *name == wanted)
                    .map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(read, expected, "{name}");
        }
    }

    #[test]
    fn targets_decide_the_module_and_its_level() {
        let trace = Levels {
            provider: LevelFilter::TRACE,
            protocol: LevelFilter::WARN,
        };
        let debug = Levels {
            provider: LevelFilter::DEBUG,
            protocol: LevelFilter::WARN,
        };
        use LevelFilter as L;
        let cases = [
            (
                "podidentity::aws::eks",
                Speaker::Provider,
                L::TRACE,
                L::DEBUG,
            ),
            ("podidentity", Speaker::Provider, L::TRACE, L::DEBUG),
            (
                "podidentity::rpc::plan",
                Speaker::Protocol,
                L::WARN,
                L::WARN,
            ),
            ("podidentity::plugin", Speaker::Protocol, L::WARN, L::WARN),
            (
                "podidentity::plugins",
                Speaker::Provider,
                L::TRACE,
                L::DEBUG,
            ),
            (
                "podidentity_other::x",
                Speaker::Crate("podidentity_other"),
                L::DEBUG,
                L::OFF,
            ),
            (
                "aws_smithy_runtime::client",
                Speaker::Crate("aws_smithy_runtime"),
                L::DEBUG,
                L::OFF,
            ),
            ("h2::codec", Speaker::Crate("h2"), L::OFF, L::OFF),
            (
                "hyper_util::client",
                Speaker::Crate("hyper_util"),
                L::DEBUG,
                L::OFF,
            ),
        ];
        for (target, speaker, at_trace, at_debug) in cases {
            assert_eq!(Speaker::of(target), speaker, "{target}");
            assert_eq!(trace.of(target), at_trace, "{target} at TRACE");
            assert_eq!(debug.of(target), at_debug, "{target} at DEBUG");
        }
    }
}
