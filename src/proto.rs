//! Generated messages and services: Terraform's plugin protocol 6 and go-plugin's own services.
//!
//! The sources are `proto/*.proto`; `tests/descriptors.rs` holds them against the published interface. Their types stop
//! in `rpc` and `plugin`: nothing above knows protobuf.

use std::fmt;

/// Terraform plugin protocol 6.11 (package `tfplugin6`).
#[allow(missing_docs, unreachable_pub)]
#[allow(
    clippy::all,
    clippy::or_fun_call,
    clippy::unwrap_used,
    clippy::use_self
)]
pub mod tfplugin6 {
    tonic::include_proto!("tfplugin6");
}

/// Controller, broker and stdio of go-plugin (package `plugin`).
#[allow(missing_docs, unreachable_pub)]
#[allow(
    clippy::all,
    clippy::or_fun_call,
    clippy::unwrap_used,
    clippy::use_self
)]
pub mod plugin {
    tonic::include_proto!("plugin");
}

/// Prints lengths only: the bytes are configuration, plan or state and may hold secrets.
impl fmt::Debug for tfplugin6::DynamicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicValue")
            .field("msgpack_len", &self.msgpack.len())
            .field("json_len", &self.json.len())
            .finish()
    }
}

/// Prints lengths only: the bytes are state and may hold secrets.
impl fmt::Debug for tfplugin6::RawState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawState")
            .field("json_len", &self.json.len())
            .field("flatmap_len", &self.flatmap.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::tfplugin6::{DynamicValue, RawState, plan_resource_change};

    #[test]
    fn debug_output_never_shows_values() {
        let request = plan_resource_change::Request {
            config: Some(DynamicValue {
                msgpack: b"hunter2".to_vec(),
                json: b"hunter3".to_vec(),
            }),
            ..Default::default()
        };
        let raw = RawState {
            json: b"hunter4".to_vec(),
            flatmap: [("hunter5".to_owned(), "hunter6".to_owned())].into(),
        };
        let text = format!("{request:?} {raw:?}");
        assert!(text.contains("msgpack_len: 7"), "{text}");
        assert!(
            !text.contains("hunter") && !text.contains("104, 117"),
            "{text}"
        );
    }
}
