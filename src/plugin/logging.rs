//! The log: `tracing` events as hclog JSON lines on standard error, where core reads them.
//!
//! Code logs with `tracing`'s macros. What it gets for free: the fields of the enclosing spans on every line, nothing
//! formatted that `TF_LOG` drops, and secrets masked by field name, by form and by value ([`register_secret`]).
//!
//! Targets decide the module: `podidentity::rpc` and `podidentity::plugin` are `sdk.proto` (the protocol), everything else
//! of ours is `provider`. Other crates are heard only at TRACE.

mod layer;
mod level;
mod mask;

use std::{env, io};

use time::OffsetDateTime;
use tracing::{level_filters::LevelFilter, subscriber};
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use self::{layer::HclogLayer, level::Levels};

pub use self::mask::{mask, register_secret};

/// Sends this process's events to standard error, as the `TF_LOG` family of variables wants it.
///
/// With logging off nothing is installed, so that an event costs one comparison. A second call changes nothing.
pub(super) fn install() {
    let levels = Levels::read(|name| env::var(name).ok());
    if levels.highest() == LevelFilter::OFF {
        return;
    }
    let layer = HclogLayer::new(levels, io::stderr(), OffsetDateTime::now_utc);
    // The only other subscriber could be one that a test installed; it may stay.
    let _ = subscriber::set_global_default(Registry::default().with(layer));
}
