//! Installed as users install it: `terraform init` from a mirror, with a lock file.

use std::fs;

use podidentity_sandbox::{Options, Sandbox};

use crate::harness::{PROVIDER, State, Workspace, place};

#[test]
fn from_a_filesystem_mirror() {
    let workspace = Workspace::new("  filesystem_mirror {\n    path = \"mirror\"\n  }");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_terraform-provider-podidentity"));
    let version = env!("CARGO_PKG_VERSION");
    let directory = workspace
        .path()
        .join("mirror")
        .join(PROVIDER)
        .join(version)
        .join(platform());
    fs::create_dir_all(&directory).unwrap();
    place(
        binary,
        &directory.join(format!(
            "terraform-provider-podidentity_v{version}{}",
            std::env::consts::EXE_SUFFIX
        )),
    );

    // The provider block alone leads to the endpoint and gives the credentials.
    let sandbox = Sandbox::start(Options::default()).unwrap();
    workspace.require_provider(true);
    let configuration = r#"
        provider "podidentity" {
          region     = "us-east-1"
          access_key = "test"
          secret_key = "test"
          endpoints {
            eks = "ENDPOINT"
            iam = "ENDPOINT"
            sts = "ENDPOINT"
          }
        }
        resource "podidentity_role" "this" {
          name = "installed"
        }
    "#;
    workspace.write(
        "main.tf",
        &configuration.replace("ENDPOINT", sandbox.aws_endpoint()),
    );

    for arguments in [
        &["init"][..],
        &["validate"],
        &["apply", "-auto-approve"],
        &["plan", "-detailed-exitcode"],
        &["destroy", "-auto-approve"],
    ] {
        let outcome = workspace.run(arguments);
        assert_eq!(outcome.code, 0, "{}", outcome.report());
    }
    let lock = fs::read_to_string(workspace.path().join(".terraform.lock.hcl")).unwrap();
    assert!(lock.contains(PROVIDER) && lock.contains("h1:"), "{lock}");
    assert_eq!(
        State::read(&workspace.path().join("terraform.tfstate")).addresses(),
        Vec::<String>::new()
    );
}

/// As Terraform names this machine: `linux_amd64`.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    };
    format!("{system}_{machine}")
}
