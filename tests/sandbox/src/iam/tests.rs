#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;
use time::macros::datetime;

use super::*;

mod account;
mod policies;
mod refusals;
mod roles;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
const S3: &str = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";

fn context() -> RequestContext {
    RequestContext {
        account_id: "111122223333".into(),
        partition: "aws".into(),
        now: datetime!(2026-11-22 10:00:00 UTC),
        request_id: "7a62c49f-347e-4fc4-9331-6e8eEXAMPLE".into(),
        caller_arn: "arn:aws:iam::111122223333:user/test".into(),
    }
}

fn call(iam: &mut Iam, action: &str, parameters: &[(&str, &str)]) -> Result<String, IamError> {
    let mut all: BTreeMap<String, String> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    all.insert("Action".into(), action.into());
    all.insert("Version".into(), "2010-05-08".into());
    iam.handle(&context(), &all)
}

fn ok(iam: &mut Iam, action: &str, parameters: &[(&str, &str)]) -> String {
    call(iam, action, parameters).unwrap_or_else(|error| panic!("{action} {parameters:?}: {error}"))
}

fn err(iam: &mut Iam, action: &str, parameters: &[(&str, &str)]) -> (u16, String, String) {
    let error = call(iam, action, parameters).expect_err(action);
    assert!(error.sender_fault);
    (error.status, error.code, error.message)
}

fn role(iam: &mut Iam, name: &str) -> String {
    ok(
        iam,
        "CreateRole",
        &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)],
    )
}

/// The text of the first element of this name.
fn text<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn texts<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    xml.split(&format!("<{name}>"))
        .skip(1)
        .filter_map(|rest| rest.split("</").next())
        .collect()
}

/// The trust policy as `GetRole` shows it.
fn trust(iam: &mut Iam, name: &str) -> String {
    let xml = ok(iam, "GetRole", &[("RoleName", name)]);
    let encoded = text(&xml, "AssumeRolePolicyDocument").unwrap();
    percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .unwrap()
        .into_owned()
}
