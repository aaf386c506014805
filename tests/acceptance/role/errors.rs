//! Bad input.

use super::*;
use crate::harness::Case;

#[test]
fn every_bad_input_is_found_on_its_attribute() {
    let trust = |argument: &str| format!("trust = {{ {argument} }}");
    let inline = |document: &str| format!("inline_policies = {{ a = {document:?} }}");
    let long = |count: usize| "x".repeat(count);
    let association =
        "arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/a-0123456789abcdefg";
    let statement = |body: &str| trust(&format!("additional_statements = jsonencode({body})"));
    let source = r#"role_arns = ["arn:aws:iam::123456789012:role/a"]"#;
    let bad: Vec<(&str, String, &str, &str)> = vec![
        (
            "name",
            r#"name = "not allowed!""#.into(),
            "name",
            "IAM role name",
        ),
        ("empty name", r#"name = """#.into(), "name", "IAM role name"),
        (
            "long name",
            format!("name = {:?}", long(65)),
            "name",
            "IAM role name",
        ),
        (
            "ARN for a name",
            r#"name = "arn:aws:iam::123456789012:role/a""#.into(),
            "name",
            "IAM role name",
        ),
        (
            "name and prefix",
            "name = \"a\"\nname_prefix = \"a\"".into(),
            "name",
            "name_prefix",
        ),
        (
            "long prefix",
            format!("name_prefix = {:?}", long(39)),
            "name_prefix",
            "39 characters",
        ),
        (
            "prefix",
            r#"name_prefix = "a b""#.into(),
            "name_prefix",
            "prefix",
        ),
        (
            "path without slashes",
            r#"path = "a""#.into(),
            "path",
            "path",
        ),
        (
            "long path",
            format!("path = \"/{}/\"", long(512)),
            "path",
            "512",
        ),
        (
            "path of services",
            r#"path = "/aws-service-role/eks.amazonaws.com/""#.into(),
            "path",
            "AWS services create",
        ),
        (
            "long description",
            format!("description = {:?}", long(1001)),
            "description",
            "1000 characters",
        ),
        (
            "quotes in the description",
            r#"description = "“x”""#.into(),
            "description",
            "printable",
        ),
        (
            "short session",
            "max_session_duration = 3599".into(),
            "max_session_duration",
            "3600",
        ),
        (
            "long session",
            "max_session_duration = 43201".into(),
            "max_session_duration",
            "43200",
        ),
        (
            "half a second",
            "max_session_duration = 3600.5".into(),
            "max_session_duration",
            "whole number",
        ),
        (
            "boundary",
            r#"permissions_boundary = "ReadOnlyAccess""#.into(),
            "permissions_boundary",
            "ARN of an IAM policy",
        ),
        (
            "role as a boundary",
            r#"permissions_boundary = "arn:aws:iam::123456789012:role/a""#.into(),
            "permissions_boundary",
            "ARN of an IAM policy",
        ),
        (
            "policy name",
            r#"policy_arns = ["ReadOnlyAccess"]"#.into(),
            "policy_arns",
            "ARN of an IAM policy",
        ),
        (
            "null policy",
            "policy_arns = [null]".into(),
            "policy_arns",
            "must be a value",
        ),
        (
            "too many policies",
            r#"policy_arns = [for n in range(26) : "arn:aws:iam::aws:policy/P${n}"]"#.into(),
            "policy_arns",
            "25",
        ),
        (
            "inline policy name",
            r#"inline_policies = { "a b" = "{}" }"#.into(),
            "inline_policies",
            "policy name",
        ),
        (
            "inline policy is no JSON",
            inline("{"),
            "inline_policies",
            "valid JSON",
        ),
        (
            "inline policy is a list",
            inline("[]"),
            "inline_policies",
            "policy document",
        ),
        (
            "inline policy encoded twice",
            inline(r#""{\"Version\":\"2012-10-17\"}""#),
            "inline_policies",
            "encoded twice",
        ),
        (
            "inline policy without statements",
            inline(r#"{"Version":"2012-10-17"}"#),
            "inline_policies",
            "no statement",
        ),
        (
            "inline policy with a principal",
            inline(
                r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}"#,
            ),
            "inline_policies",
            "must not have a Principal",
        ),
        (
            "inline policy without a resource",
            inline(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*"}]}"#),
            "inline_policies",
            "Resource",
        ),
        (
            "inline policies too large",
            format!(
                "inline_policies = {{ a = {:?}, b = {:?} }}",
                policy(&format!("[{:?}]", long(6000))),
                policy(&format!("[{:?}]", long(6000)))
            ),
            "inline_policies",
            "10240",
        ),
        (
            "empty list of clusters",
            trust("cluster_arns = []"),
            "trust",
            "trust everybody",
        ),
        (
            "association for a cluster",
            trust(&format!("cluster_arns = [{association:?}]")),
            "trust",
            "ARN of an association",
        ),
        (
            "cluster name for an ARN",
            trust(r#"cluster_arns = ["demo"]"#),
            "trust",
            "cluster_arns",
        ),
        (
            "namespace",
            trust(r#"namespaces = ["Payments"]"#),
            "trust",
            "namespaces",
        ),
        (
            "null namespace",
            trust("namespaces = [null]"),
            "trust",
            "must be a value",
        ),
        (
            "user name of a service account",
            trust(r#"service_accounts = ["system:serviceaccount:a:b"]"#),
            "trust",
            "service_accounts",
        ),
        (
            "account",
            trust(r#"source_account = "demo""#),
            "trust",
            "source_account",
        ),
        (
            "organization",
            trust(r#"source_organization = "acme""#),
            "trust",
            "source_organization",
        ),
        (
            "names without session tags",
            trust("disable_session_tags = true\nnamespaces = [\"a\"]"),
            "trust",
            "without session tags",
        ),
        (
            "target of nobody",
            trust("target_of = { role_arns = [] }"),
            "trust",
            "trust everybody",
        ),
        (
            "target without sources",
            trust("target_of = {}"),
            "trust",
            "attribute \"role_arns\" is required",
        ),
        (
            "target of a user",
            trust(r#"target_of = { role_arns = ["arn:aws:iam::123456789012:user/a"] }"#),
            "trust",
            "role_arns",
        ),
        (
            "source account of a target",
            trust(&format!(
                "source_account = \"123456789012\"\ntarget_of = {{ {source} }}"
            )),
            "trust",
            "assumed by another role",
        ),
        (
            "external id",
            trust(&format!(
                "target_of = {{ {source}\nexternal_ids = [\"x\"] }}"
            )),
            "trust",
            "external id",
        ),
        (
            "statements are no JSON",
            trust(r#"additional_statements = "{""#),
            "trust",
            "valid JSON",
        ),
        (
            "statement without an effect",
            statement(r#"{ Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole" }"#),
            "trust",
            "Effect",
        ),
        (
            "statement without a principal",
            statement(r#"{ Effect = "Allow", Action = "sts:AssumeRole" }"#),
            "trust",
            "Principal",
        ),
        (
            "statement with a resource",
            statement(
                r#"{ Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole", Resource = "*" }"#,
            ),
            "trust",
            "Resource",
        ),
        (
            "statement of another service",
            statement(
                r#"{ Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "s3:GetObject" }"#,
            ),
            "trust",
            "actions of sts",
        ),
        (
            "statement with our Sid",
            statement(
                r#"{ Sid = "AllowEksAuthToAssumeRoleForPodIdentity", Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole" }"#,
            ),
            "trust",
            "used twice",
        ),
        (
            "statement that can never hold",
            statement(&format!(
                r#"{{ Effect = "Allow", Principal = {{ Service = "pods.eks.amazonaws.com" }}, Action = ["sts:AssumeRole", "sts:TagSession"], Condition = {{ ArnEquals = {{ "aws:SourceArn" = {association:?} }} }} }}"#
            )),
            "trust",
            "cluster, so no pod could ever use it",
        ),
        (
            "reserved tag",
            r#"tags = { "aws:x" = "y" }"#.into(),
            "tags",
            "reserved",
        ),
        (
            "long tag",
            format!("tags = {{ x = {:?} }}", long(257)),
            "tags",
            "257",
        ),
        ("computed attribute", r#"arn = "x""#.into(), "arn", ""),
    ];
    assert!(bad.len() >= 50, "{}", bad.len());
    let mut case = Case::offline();
    let mut config = String::new();
    for (index, (_, arguments, ..)) in bad.iter().enumerate() {
        config.push_str(&format!(
            "resource \"podidentity_role\" \"case{index}\" {{\n{arguments}\n}}\n"
        ));
    }
    case.config(config);
    let found = case.validate();
    let mut faults = Vec::new();
    for (index, (what, _, attribute, text)) in bad.iter().enumerate() {
        let address = format!("podidentity_role.case{index}");
        let here: Vec<_> = found
            .iter()
            // What Terraform finds itself has no address.
            .filter(|diagnostic| {
                diagnostic
                    .address
                    .as_ref()
                    .is_none_or(|found| *found == address)
            })
            .collect();
        let matches = here.iter().any(|diagnostic| {
            let said = format!("{} {}", diagnostic.summary, diagnostic.detail);
            // Older releases cannot show where in an object an attribute is; then the message names it.
            let there = diagnostic.points_at(attribute)
                || (*attribute == "trust" && diagnostic.path.len() < 2 && said.contains("trust"));
            diagnostic.severity == "error" && there && said.contains(text)
        });
        if !matches {
            faults.push(format!(
                "{what}: wanted {text:?} on {attribute}, found {here:#?}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
