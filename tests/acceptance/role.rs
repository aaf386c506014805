//! Scenarios of `podidentity_role`.

mod create;
mod drift;
mod errors;
mod import;
mod trust;
mod update;

use podidentity_sandbox::Fault;
use serde_json::Value;

use crate::harness::Case;

const THIS: &str = "podidentity_role.this";
const S3: &str = "arn:{{partition}}:iam::aws:policy/AmazonS3ReadOnlyAccess";
const VIEW: &str = "arn:{{partition}}:iam::aws:policy/ReadOnlyAccess";

/// An inline policy for actions on everything.
fn policy(actions: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"*"}}]}}"#
    )
}

/// A role of the case's name with further arguments.
fn role(arguments: &str) -> String {
    format!(
        "resource \"podidentity_role\" \"this\" {{\n  name = \"{{{{name}}}}\"\n{arguments}\n}}\n"
    )
}

/// A role with everything a role can have.
fn full() -> String {
    role(&format!(
        r#"
  path                 = "/acceptance/"
  description          = "first"
  max_session_duration = 7200
  permissions_boundary = "{VIEW}"
  policy_arns          = ["{S3}"]
  inline_policies = {{
    one = jsonencode({})
  }}
  trust = {{
    cluster_arns     = ["arn:{{{{partition}}}}:eks:{{{{region}}}}:{{{{account_id}}}}:cluster/{{{{cluster}}}}"]
    namespaces       = ["payments"]
    service_accounts = ["api"]
  }}
  tags = {{
    team = "core"
  }}"#,
        policy("\"s3:ListBucket\"")
    ))
}

/// A trust policy that this provider does not make.
const FOREIGN_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn trust_policy(case: &Case) -> Value {
    let aws = case.aws();
    let role = aws
        .wait(aws.iam.get_role().role_name(case.name()).send())
        .role
        .unwrap();
    let document = role.assume_role_policy_document.unwrap();
    serde_json::from_str(&podidentity::aws::facts::url_decode(&document)).unwrap()
}

fn attached(case: &Case) -> Vec<String> {
    let aws = case.aws();
    let answer = aws.wait(
        aws.iam
            .list_attached_role_policies()
            .role_name(case.name())
            .send(),
    );
    let mut arns: Vec<String> = answer
        .attached_policies()
        .iter()
        .filter_map(|policy| policy.policy_arn().map(str::to_owned))
        .collect();
    arns.sort();
    arns
}

fn inline(case: &Case) -> Vec<String> {
    let aws = case.aws();
    aws.wait(aws.iam.list_role_policies().role_name(case.name()).send())
        .policy_names
}

/// A fault for the first call of an operation.
fn first(operation: &str) -> Fault {
    Fault {
        operation: Some(operation.into()),
        count: Some(1),
        ..Fault::default()
    }
}
