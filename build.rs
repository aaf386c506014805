//! Compiles `proto/` with protox, a compiler written in Rust, so that building needs no `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 4] = [
    "proto/tfplugin6.proto",
    "proto/grpc_controller.proto",
    "proto/grpc_broker.proto",
    "proto/grpc_stdio.proto",
];

#[allow(
    clippy::disallowed_macros,
    reason = "a build script talks to cargo on its standard output"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;

    // tests/descriptors.rs compares this with the published interface.
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        // An RPC that is not written answers UNIMPLEMENTED, which core expects of a provider without the feature.
        .generate_default_stubs(true)
        // Same input, same bytes on the wire: schema maps keep one order.
        .btree_map(".")
        // These carry configuration and state, hence secrets: src/proto.rs prints their length only.
        .skip_debug([".tfplugin6.DynamicValue", ".tfplugin6.RawState"])
        .compile_fds(descriptors)?;
    Ok(())
}
