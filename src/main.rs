//! The provider's process. Everything it does is in the library.

use std::{env, process::ExitCode};

use podidentity::{
    plugin::{self, Options},
    proto::tfplugin6::provider_server::Provider,
};

/// Answers UNIMPLEMENTED to every RPC.
struct Unimplemented;

impl Provider for Unimplemented {}

fn main() -> ExitCode {
    plugin::run(
        env::args().skip(1),
        Unimplemented,
        Options {
            provider_address: "registry.terraform.io/podidentity/podidentity",
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}
