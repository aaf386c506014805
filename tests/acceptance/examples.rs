//! Everything under `examples/` works: it is what people copy.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::Case;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The configuration in a file or in all files of a directory.
fn read(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// Applies, plans nothing, destroys.
fn works(path: &Path) {
    // The examples name an account and a cluster, those of the sandbox.
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    println!("{}", path.display());
    case.config(read(path))
        .apply()
        .expect_empty_plan()
        .destroy();
}

#[test]
fn the_complete_example() {
    works(&examples().join("complete"));
}

#[test]
fn the_migration_example() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.seed(podidentity_sandbox::seeds::demo())
        .config(read(&examples().join("migration")))
        .apply();
    // The report tells what has changed since it was read.
    case.apply().expect_empty_plan().destroy();
}

#[test]
fn the_provider_example() {
    works(&examples().join("provider/provider.tf"));
}

#[test]
fn data_source_examples_can_be_read() {
    let mut directories: Vec<PathBuf> = fs::read_dir(examples().join("data-sources"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    assert!(!directories.is_empty());
    for directory in directories {
        let Some(mut case) = Case::sandbox_only() else {
            return;
        };
        println!("{}", directory.display());
        // Service accounts of many kinds, and an agent.
        case.sandbox()
            .seed(podidentity_sandbox::seeds::demo())
            .unwrap();
        case.config(read(&directory.join("data-source.tf")))
            .apply()
            .expect_empty_plan()
            .destroy();
    }
}

#[test]
fn resource_examples_can_be_applied_and_imported() {
    let mut directories: Vec<PathBuf> = fs::read_dir(examples().join("resources"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    directories.sort();
    assert!(directories.len() >= 3);
    for directory in directories {
        let Some(mut case) = Case::sandbox_only() else {
            return;
        };
        println!("{}", directory.display());
        if directory.ends_with("podidentity_irsa_migration") {
            case.sandbox()
                .seed(podidentity_sandbox::seeds::demo())
                .unwrap();
        }
        case.config(read(&directory.join("resource.tf")))
            .apply()
            .expect_empty_plan();

        let command = read(&directory.join("import.sh"));
        let words: Vec<&str> = command.lines().last().unwrap().split_whitespace().collect();
        let ["terraform", "import", address, id] = words[..] else {
            panic!("{command}")
        };
        let block = read(&directory.join("import-by-string-id.tf"));
        assert!(
            block.contains(&format!("to = {address}\n"))
                && block.contains(&format!("id = \"{id}\"\n")),
            "{block}"
        );
        // EKS makes the id up.
        let id = match case.attribute(address, "association_id").as_str() {
            Some(found) => id.replace("a-0123456789abcdef0", found),
            None => id.to_owned(),
        };
        if directory.ends_with("podidentity_irsa_migration") {
            // Most of its arguments only the configuration knows, so that an import is followed by an update, which changes nothing
            // but the state.
            case.forget(address).import(address, &id).clear_calls();
            case.apply().expect_empty_plan();
            let calls = case.calls();
            for write in [
                "eks:CreatePodIdentityAssociation",
                "eks:UpdatePodIdentityAssociation",
                "iam:UpdateAssumeRolePolicy",
                "kubernetes:patch deployments",
            ] {
                assert!(!calls.contains_key(write), "{calls:?}");
            }
            case.destroy();
        } else {
            // What only the configuration knows.
            case.verify_import(address, &id, &["timeouts"]).destroy();
        }
    }
}

#[test]
fn function_examples_can_be_applied() {
    for entry in fs::read_dir(examples().join("functions")).unwrap() {
        let file = entry.unwrap().path().join("function.tf");
        println!("{}", file.display());
        let mut case = Case::offline();
        case.config(read(&file)).apply().expect_empty_plan();
    }
}
