//! The provider's process. Everything it does is in the library.

use std::{env, process::ExitCode};

use podidentity::{
    plugin::{self, Options},
    provider::PodIdentityProvider,
    rpc::Server,
};

/// Where registries list the provider, and the key under which reattaching finds it.
const ADDRESS: &str = "registry.terraform.io/podidentity/podidentity";

fn main() -> ExitCode {
    plugin::run(
        env::args().skip(1),
        Server::new(PodIdentityProvider::new(), ADDRESS),
        Options {
            provider_address: ADDRESS,
            version: env!("CARGO_PKG_VERSION"),
        },
    )
}
