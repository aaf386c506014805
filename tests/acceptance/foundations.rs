//! The harness itself, with an object that Terraform brings along.

use podidentity_sandbox::{Fault, FaultError};
use serde_json::json;

use crate::harness::{Action, Case, PROVIDER, Unknown, cli};

const DATA: &str = r#"
resource "terraform_data" "this" {
  input            = "first {{name}}"
  triggers_replace = ["a"]
}
"#;

#[test]
fn steps_and_checks_see_what_terraform_does() {
    let mut case = Case::offline();
    case.config(DATA)
        .expect_plan(&[("terraform_data.this", Action::Create)]);
    assert_eq!(case.plan().after("terraform_data.this", "id"), Err(Unknown));
    assert_eq!(
        case.plan()
            .after("terraform_data.this", "triggers_replace.0"),
        Ok(json!("a"))
    );

    case.apply()
        .expect_empty_plan()
        .expect_match("terraform_data.this", "id", "^[0-9a-f-]{36}$");
    case.expect_attribute("terraform_data.this", "output.value", "first {{name}}");

    case.edit("first", "second")
        .expect_plan(&[("terraform_data.this", Action::Update)])
        .apply();
    case.edit(r#"["a"]"#, r#"["b"]"#)
        .expect_plan(&[("terraform_data.this", Action::Replace)]);
    assert_eq!(
        case.plan().replace_paths("terraform_data.this"),
        ["triggers_replace"]
    );

    case.apply()
        .taint("terraform_data.this")
        .expect_plan(&[("terraform_data.this", Action::Replace)]);
    assert!(case.state().is_tainted("terraform_data.this"));
    case.untaint("terraform_data.this")
        .expect_empty_plan()
        .refresh();
    assert_eq!(
        case.plan_with(&["-destroy"]).action("terraform_data.this"),
        Action::Delete
    );
    case.destroy().expect_absent("terraform_data.this");
}

#[test]
fn imports_by_command_by_block_and_again() {
    let mut case = Case::offline();
    case.config("resource \"terraform_data\" \"this\" {}")
        .import("terraform_data.this", "{{name}}")
        .expect_empty_plan();
    case.verify_import("terraform_data.this", "{{name}}", &[])
        .expect_attribute("terraform_data.this", "id", "{{name}}");
    case.forget("terraform_data.this")
        .import_block("terraform_data.this", "{{name}}")
        .expect_empty_plan();
    case.import_error(
        "terraform_data.this",
        "{{name}}",
        "Resource already managed by Terraform.*already managing a remote object",
    );
}

#[test]
fn errors_are_found_and_point_at_an_attribute() {
    let mut case = Case::offline();
    case.config(
        "resource \"terraform_data\" \"this\" {\n  input = terraform_data.this.nothing\n}\n",
    );
    let diagnostic = case
        .plan_error("Unsupported attribute.*nothing")
        .on("input");
    assert_eq!(diagnostic.severity, "error");
    case.apply_error("Unsupported attribute").on("input");
    assert_eq!(case.validate().len(), 1);

    case.config("variable \"one\" {\n  default = 1\n}\ncheck \"this\" {\n  assert {\n    condition     = var.one == 2\n    error_message = \"one is not two\"\n  }\n}\n");
    case.plan_warning("one is not two");
}

#[test]
fn instances_are_addressed_by_key() {
    let mut case = Case::offline();
    case.config("resource \"terraform_data\" \"this\" {\n  for_each = toset([\"a\", \"b\"])\n  input = each.key\n}\n").apply();
    assert_eq!(
        case.state().addresses(),
        ["terraform_data.this[\"a\"]", "terraform_data.this[\"b\"]"]
    );
    assert!(case.state().text().contains("terraform_data"));
    assert_eq!(case.plan().drift(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn an_interrupted_apply_ends_in_order() {
    let mut case = Case::offline();
    case.config("resource \"terraform_data\" \"this\" {\n  provisioner \"local-exec\" {\n    command = \"touch started; exec sleep 50\"\n  }\n}\n");
    let running = case.start_apply();
    case.wait_until("the provisioner starts", |case| {
        case.workspace().path().join("started").exists()
    });
    running.interrupt();
    let outcome = running.wait();
    assert_eq!(outcome.code, 1, "{}", outcome.report());
    assert!(
        case.state().is_tainted("terraform_data.this"),
        "{}",
        outcome.report()
    );
}

#[test]
fn cases_share_neither_names_nor_environment() {
    let mut one = Case::offline();
    let two = Case::offline();
    assert_ne!(one.name(), two.name());
    assert_eq!(one.name().len(), 24);
    one.environment("TF_VAR_text", "from {{name}}")
        .config("variable \"text\" {}\noutput \"text\" {\n  value = var.text\n}\n")
        .apply();
    let shown = one.run(&["output", "-raw", "text"]);
    assert_eq!(shown.stdout, format!("from {}", one.name()));
    assert!(!two.workspace().environment().contains_key("TF_VAR_text"));
    one.without_environment("TF_VAR_text")
        .plan_error("No value for required variable")
        .anywhere();
    assert!(cli().at_least(1, 0), "{:?}", cli());
    assert!(PROVIDER.ends_with("podidentity/podidentity"));
}

#[test]
fn a_sandbox_counts_calls_and_fails_on_demand() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    let aws = case.aws();
    assert!(
        aws.attempt(aws.iam.get_role().role_name(case.name()).send())
            .is_err()
    );
    case.expect_calls(&[]);
    let caller = aws.wait(aws.sts.get_caller_identity().send());
    assert_eq!(caller.account(), Some(case.fill("{{account_id}}").as_str()));
    let seen = case.sandbox().requests().len();
    assert_eq!(
        seen, 2,
        "the journal has the tests' own calls, the counts leave them out"
    );
    assert!(case.clear_calls().sandbox().requests().is_empty());

    let refused = Fault {
        operation: Some("GetRole".into()),
        error: Some(FaultError {
            code: "ServiceFailure".into(),
            message: "as ordered".into(),
            status: 400,
        }),
        ..Fault::default()
    };
    case.fault(refused);
    let error = aws
        .attempt(aws.iam.get_role().role_name(case.name()).send())
        .unwrap_err();
    assert!(format!("{error:?}").contains("as ordered"), "{error:?}");
}
