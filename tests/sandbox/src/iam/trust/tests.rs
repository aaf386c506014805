#![allow(clippy::unwrap_used)]
use super::*;

const ROLE: &str = "arn:aws:iam::111122223333:role/app/caller";
const USER: &str = "arn:aws:iam::111122223333:user/someone";

struct Account;

impl Directory for Account {
    fn partition(&self) -> &str {
        "aws"
    }
    fn account_id(&self) -> &str {
        "111122223333"
    }
    fn unique_id(&self, arn: &str) -> Option<String> {
        match arn {
            ROLE => Some("AROAROLE".into()),
            USER => Some("AIDAUSER".into()),
            _ => None,
        }
    }
    fn arn(&self, unique_id: &str) -> Option<String> {
        match unique_id {
            "AROAROLE" => Some(ROLE.into()),
            "AIDAUSER" => Some(USER.into()),
            _ => None,
        }
    }
}

fn statement(fields: &str) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",{fields}}}]}}")
}

fn principal(principal: &str) -> String {
    statement(&format!(
        "\"Principal\":{principal},\"Action\":\"sts:AssumeRole\""
    ))
}

const PODS: &str = "\"Principal\":{\"Service\":\"pods.eks.amazonaws.com\"}";

#[test]
fn refuses_with_the_texts_of_iam() {
    let cases = [
        ("not JSON", "{".into(), "This policy contains invalid Json"),
        (
            "not an object",
            "[]".into(),
            "This policy contains invalid Json",
        ),
        (
            "key twice",
            "{\"Version\":\"2012-10-17\",\"Version\":\"2012-10-17\"}".into(),
            "This policy contains invalid Json",
        ),
        (
            "unknown top field",
            "{\"Comment\":\"x\",\"Statement\":[]}".into(),
            "Unknown field Comment",
        ),
        (
            "version",
            "{\"Version\":\"2012-10-18\",\"Statement\":[]}".into(),
            "The policy must contain a valid version string",
        ),
        (
            "version type",
            "{\"Version\":2012,\"Statement\":[]}".into(),
            "The policy must contain a valid version string",
        ),
        (
            "no statement",
            "{\"Version\":\"2012-10-17\"}".into(),
            "Could not parse the policy: Statement is empty!",
        ),
        (
            "empty statement",
            "{\"Version\":\"2012-10-17\",\"Statement\":[]}".into(),
            "Could not parse the policy: Statement is empty!",
        ),
        (
            "no effect",
            format!("{{\"Statement\":{{{PODS},\"Action\":\"sts:AssumeRole\"}}}}"),
            "Missing required field Effect",
        ),
        (
            "effect",
            format!(
                "{{\"Statement\":{{\"Effect\":\"allow\",{PODS},\"Action\":\"sts:AssumeRole\"}}}}"
            ),
            "Invalid effect: allow",
        ),
        (
            "unknown field",
            statement(&format!("{PODS},\"Actions\":\"sts:AssumeRole\"")),
            "Unknown field Actions",
        ),
        (
            "no principal",
            statement("\"Action\":\"sts:AssumeRole\""),
            "Missing required field Principal",
        ),
        (
            "empty principal",
            principal("{}"),
            "Missing required field Principal cannot be empty!",
        ),
        (
            "no principals",
            principal("{\"AWS\":[]}"),
            "Missing required field Principal cannot be empty!",
        ),
        (
            "bare star",
            principal("\"*\""),
            "AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".",
        ),
        (
            "bare string",
            principal("\"111122223333\""),
            "Principal must be a JSON object.",
        ),
        (
            "NotPrincipal",
            statement("\"NotPrincipal\":{\"AWS\":\"*\"},\"Action\":\"sts:AssumeRole\""),
            "Allow with NotPrincipal is not allowed.",
        ),
        (
            "no action",
            statement(PODS),
            "Missing required field Action",
        ),
        (
            "no actions",
            statement(&format!("{PODS},\"Action\":[]")),
            "Missing required field Action",
        ),
        (
            "other service",
            statement(&format!(
                "{PODS},\"Action\":[\"sts:AssumeRole\",\"s3:GetObject\"]"
            )),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            "no such action",
            statement(&format!("{PODS},\"Action\":\"sts:AssumeRoles\"")),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            "star action",
            statement(&format!("{PODS},\"Action\":\"*\"")),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            "null action",
            statement(&format!("{PODS},\"Action\":null")),
            "Syntax error in policy.",
        ),
        (
            "resource",
            statement(&format!(
                "{PODS},\"Action\":\"sts:AssumeRole\",\"Resource\":\"*\""
            )),
            "Has prohibited field Resource",
        ),
        (
            "not resource",
            statement(&format!(
                "{PODS},\"Action\":\"sts:AssumeRole\",\"NotResource\":\"*\""
            )),
            "AssumeRole policy must not contain resources.",
        ),
        (
            "operator",
            statement(&format!(
                "{PODS},\"Action\":\"sts:AssumeRole\",\"Condition\":{{\"StringEqual\":{{\"a:b\":\"c\"}}}}"
            )),
            "Invalid Condition type : StringEqual",
        ),
        (
            "same sid",
            format!(
                "{{\"Statement\":[{{\"Sid\":\"a\",\"Effect\":\"Allow\",{PODS},\"Action\":\"sts:AssumeRole\"}},{{\"Sid\":\"a\",\"Effect\":\"Deny\",{PODS},\"Action\":\"sts:TagSession\"}}]}}"
            ),
            "The Statement Ids in the policy are not unique",
        ),
        (
            "principal kind",
            principal("{\"CanonicalUser\":\"x\"}"),
            "Invalid principal in policy: \"CanonicalUser\"",
        ),
        (
            "service typo",
            principal("{\"Service\":\"pod.eks.amazonaws.com\"}"),
            "Invalid principal in policy: \"SERVICE\":\"pod.eks.amazonaws.com\"",
        ),
        (
            "service wildcard",
            principal("{\"Service\":\"*.amazonaws.com\"}"),
            "Invalid principal in policy: \"SERVICE\":\"*.amazonaws.com\"",
        ),
        (
            "service star",
            principal("{\"Service\":\"*\"}"),
            "Invalid principal in policy: \"SERVICE\":\"*\"",
        ),
        (
            "role wildcard",
            principal("{\"AWS\":\"arn:aws:iam::111122223333:role/*\"}"),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:role/*\"",
        ),
        (
            "no such role",
            principal("{\"AWS\":[\"111122223333\",\"arn:aws:iam::111122223333:role/gone\"]}"),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:role/gone\"",
        ),
        (
            "role without its path",
            principal("{\"AWS\":\"arn:aws:iam::111122223333:role/caller\"}"),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:role/caller\"",
        ),
        (
            "dead id",
            principal("{\"AWS\":\"AROAGONE\"}"),
            "Invalid principal in policy: \"AWS\":\"AROAGONE\"",
        ),
        (
            "partition",
            principal("{\"AWS\":\"arn:aws-cn:iam::111122223333:root\"}"),
            "Invalid principal in policy: \"AWS\":\"arn:aws-cn:iam::111122223333:root\"",
        ),
        (
            "account length",
            principal("{\"AWS\":\"11112222333\"}"),
            "Invalid principal in policy: \"AWS\":\"11112222333\"",
        ),
        (
            "federated",
            principal("{\"Federated\":\"oidc.eks.us-east-1.amazonaws.com/id/X\"}"),
            "Invalid principal in policy: \"FEDERATED\":\"oidc.eks.us-east-1.amazonaws.com/id/X\"",
        ),
        (
            "cognito",
            principal("{\"Federated\":\"cognito-identity.amazonaws.com\"}"),
            "A condition block must be present for the Cognito provider",
        ),
    ];
    for (name, document, message) in cases {
        let error = TrustPolicy::parse(&document, &Account, 2048).unwrap_err();
        assert_eq!(
            (error.status, error.code.as_str(), error.message.as_str()),
            (400, "MalformedPolicyDocument", message),
            "{name}"
        );
    }
}

#[test]
fn accepts_what_iam_accepts_and_keeps_the_text() {
    let documents = [
        statement(&format!(
            "{PODS},\"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]"
        )),
        statement(&format!("{PODS},\"Action\":\"STS:assumeROLE\"")),
        statement(&format!("{PODS},\"Action\":\"sts:*\"")),
        statement(&format!("{PODS},\"NotAction\":\"sts:TagSession\"")),
        principal("{\"AWS\":\"*\",\"Service\":[\"ec2.amazonaws.com\",\"pods.eks.amazonaws.com\"]}"),
        principal(
            "{\"AWS\":[\"arn:aws:iam::444455556666:role/elsewhere\",\"arn:aws:sts::111122223333:assumed-role/r/s\",\"arn:aws:iam::111122223333:root\"]}",
        ),
        principal(
            "{\"Federated\":\"arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/X\"}",
        ),
        format!(
            " {{\n \"Id\" : \"x\", \"Statement\" : {{ \"Effect\":\"Deny\", {PODS}, \"Action\":\"sts:TagSession\",\n\"Condition\":{{\"ForAnyValue:StringEqualsIfExists\":{{\"aws:RequestTag/a\":[\"b\"]}},\"Null\":{{\"a:b\":true}}}} }} }}\n"
        ),
    ];
    for document in documents {
        let trust = TrustPolicy::parse(&document, &Account, 2048).unwrap();
        assert_eq!(trust.shown(|_| true), document);
    }
}

#[test]
fn rewrites_principals_and_nothing_else() {
    let given = |a: &str, b: &str, c: &str, d: &str| {
        format!(
            "{{ \"Statement\": [ {{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":[\"{a}\", \"{b}\" ,\"{c}\"]}},\"Action\":\"sts:AssumeRole\",\
             \"Condition\":{{\"ArnEquals\":{{\"aws:PrincipalArn\":\"{ROLE}\",\"x:y\":\"111122223333\"}}}}}},\
             {{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"{d}\"}},\"Action\":\"sts:AssumeRole\"}} ] }}"
        )
    };
    let root = "arn:aws:iam::111122223333:root";
    let other = "arn:aws:iam::444455556666:root";
    let trust = TrustPolicy::parse(
        &given(ROLE, "111122223333", "AIDAUSER", "444455556666"),
        &Account,
        2048,
    )
    .unwrap();
    assert_eq!(trust.shown(|_| true), given(ROLE, root, USER, other));
    assert_eq!(
        trust.shown(|id| id != "AROAROLE"),
        given("AROAROLE", root, USER, other)
    );
    assert_eq!(
        trust.shown(|_| false),
        given("AROAROLE", root, "AIDAUSER", other)
    );
    let trust = TrustPolicy::parse(
        &given("111122223333", ROLE, "444455556666", USER),
        &Account,
        2048,
    )
    .unwrap();
    assert_eq!(
        trust.shown(|id| id != "AROAROLE"),
        given(root, "AROAROLE", other, USER)
    );
}

#[test]
fn counts_all_but_white_space() {
    let document = statement(&format!("{PODS},\"Action\":\"sts:AssumeRole\""));
    let compact = document.len();
    let document = document.replace(",", " ,\n ");
    assert!(TrustPolicy::parse(&document, &Account, compact).is_ok());
    let error = TrustPolicy::parse(&document, &Account, compact - 1).unwrap_err();
    assert_eq!(
        (error.status, error.code.as_str(), error.message),
        (
            409,
            "LimitExceeded",
            format!("Cannot exceed quota for ACLSizePerRole: {}", compact - 1)
        )
    );
}

#[test]
fn wildcards() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abcb", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*b*d", "abcbd", true),
        ("abc", "abc", true),
        ("", "a", false),
    ] {
        assert_eq!(wildcard_match(pattern, text), expected, "{pattern} {text}");
    }
}
