//! IRSA as it is, the association, and what the role may do.

use super::*;

/// What is spoiled, how, and the codes that come of it.
pub(super) const CASES: &[(&str, Spoil, &[Code])] = &[
    // IRSA as it is.
    (
        "another cluster's issuer",
        |c| {
            c.trust(irsa_of(
                "oidc.eks.us-east-1.amazonaws.com/id/BBBB",
                "StringEquals",
                &json!("system:serviceaccount:payments:api"),
            ))
        },
        &[Code::OtherIssuer],
    ),
    (
        "both issuers",
        |c| {
            c.trust(json!([
                irsa_of(
                    "oidc.eks.us-east-1.amazonaws.com/id/BBBB",
                    "StringEquals",
                    &json!("system:serviceaccount:payments:api")
                ),
                plain()
            ]))
        },
        &[],
    ),
    (
        "another cluster's issuer after the cut-over",
        |c| {
            c.migrated();
            c.trust(pods_statement());
        },
        &[],
    ),
    (
        "the other name of the issuer",
        |c| {
            c.trust(irsa_of(
                "oidc-eks.us-east-1.api.aws/id/AAAA",
                "StringEquals",
                &json!("system:serviceaccount:payments:api"),
            ))
        },
        &[],
    ),
    (
        "another subject",
        |c| c.trust(irsa(&json!("system:serviceaccount:payments:worker"))),
        &[Code::IrsaNotWorking],
    ),
    (
        "another audience",
        |c| {
            c.namespace
                .service_accounts
                .get_mut("api")
                .unwrap()
                .annotations
                .insert("eks.amazonaws.com/audience".into(), "vault".into());
        },
        &[Code::IrsaNotWorking],
    ),
    (
        "no OIDC provider",
        |c| c.cluster.oidc_provider = Some(false),
        &[Code::IrsaNotWorking],
    ),
    (
        "a pattern",
        |c| {
            c.trust(irsa_of(
                ISSUER,
                "StringLike",
                &json!("system:serviceaccount:pay*:api"),
            ))
        },
        &[Code::WildcardSubject],
    ),
    (
        "a pattern for others",
        |c| {
            c.trust(json!([
                plain(),
                irsa_of(
                    ISSUER,
                    "StringLike",
                    &json!("system:serviceaccount:orders-*:api")
                )
            ]))
        },
        &[],
    ),
    (
        "every service account",
        |c| {
            let mut statement = plain();
            statement["Condition"] =
                json!({"StringEquals": {format!("{ISSUER}:aud"): "sts.amazonaws.com"}});
            c.trust(statement);
        },
        &[Code::WildcardSubject],
    ),
    // The association (scenarios 22 to 24).
    (
        "exists",
        |c| {
            c.associate();
        },
        &[Code::AssociationExists],
    ),
    (
        "exists, to be adopted",
        |c| {
            c.associate();
            c.settings.adopt_existing_association = true;
        },
        &[],
    ),
    (
        "exists, ours",
        |c| {
            c.migrated();
        },
        &[],
    ),
    (
        "exists, ours, to be changed",
        |c| {
            c.migrated().target_role_arn = Some("arn:aws:iam::210987654321:role/x".into());
        },
        &[],
    ),
    (
        "another role",
        |c| c.associate().role_arn = "arn:aws:iam::123456789012:role/other".into(),
        &[Code::AssociationOtherRole],
    ),
    (
        "another role, even to be adopted",
        |c| {
            c.associate().role_arn = "arn:aws:iam::123456789012:role/other".into();
            c.settings.adopt_existing_association = true;
        },
        &[Code::AssociationOtherRole],
    ),
    (
        "another target role",
        |c| {
            c.associate().target_role_arn = Some("arn:aws:iam::210987654321:role/x".into());
            c.settings.adopt_existing_association = true;
        },
        &[Code::AssociationSettings],
    ),
    (
        "other session tags",
        |c| {
            c.associate().disable_session_tags = true;
        },
        &[Code::AssociationSettings],
    ),
    (
        "a session policy on it",
        |c| {
            c.associate().policy = Some("{}".into());
        },
        &[Code::AssociationSettings],
    ),
    (
        "of an add-on",
        |c| {
            c.migrated().owner_arn =
                Some("arn:aws:eks:us-east-1:123456789012:addon/demo/vpc-cni/uuid".into())
        },
        &[Code::AssociationOwned],
    ),
    (
        "the quota used up",
        |c| c.associations = Some(5_000),
        &[Code::AssociationQuota],
    ),
    (
        "the last association",
        |c| c.associations = Some(4_999),
        &[],
    ),
    (
        "the quota used up, but this one is there",
        |c| {
            c.associations = Some(5_000);
            c.migrated();
        },
        &[],
    ),
    // What the role's policies say (scenario 35).
    (
        "policies without anything",
        |c| {
            c.policy(json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}));
        },
        &[],
    ),
    (
        "assumes itself",
        |c| {
            c.policy(assume(ROLE));
        },
        &[Code::RoleChaining],
    ),
    (
        "assumes a role of another account",
        |c| {
            c.policy(assume("arn:aws:iam::210987654321:role/data"));
        },
        &[Code::RoleChaining],
    ),
    (
        "assumes by pattern",
        |c| {
            c.policy(assume("arn:aws:iam::*:role/data-*"));
        },
        &[Code::RoleChaining],
    ),
    (
        "assumes anything",
        |c| {
            c.policy(json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}));
        },
        &[Code::RoleChaining],
    ),
    (
        "may not assume",
        |c| {
            c.policy(json!({"Effect": "Deny", "Action": "sts:*", "Resource": "*"}));
        },
        &[],
    ),
    (
        "assumes, but there are no session tags",
        |c| {
            c.policy(assume("arn:aws:iam::210987654321:role/data"));
            c.settings.disable_session_tags = true;
            c.settings.scope = Scope::Cluster;
        },
        &[],
    ),
    (
        "a target without sts:TagSession",
        |c| target(c, &["sts:AssumeRole"]),
        &[Code::RoleChaining],
    ),
    (
        "a target with sts:TagSession",
        |c| target(c, &["sts:AssumeRole", "sts:TagSession"]),
        &[],
    ),
    (
        "a target that never trusted the role",
        |c| {
            target(c, &["sts:AssumeRole"]);
            c.policies.as_mut().unwrap().targets.insert(
                DATA.into(),
                Target::Trust(json!({"Statement": pods_statement()}).to_string()),
            );
        },
        &[],
    ),
    (
        "a target that is not there",
        |c| {
            target(c, &[]);
            c.policies
                .as_mut()
                .unwrap()
                .targets
                .insert(DATA.into(), Target::Missing);
        },
        &[],
    ),
    (
        "a target that was not read",
        |c| {
            target(c, &[]);
            c.policies.as_mut().unwrap().targets.clear();
        },
        &[Code::RoleChaining],
    ),
    (
        "a claim",
        |c| {
            c.policy(allow_if(
                &format!("{ISSUER}:sub"),
                "system:serviceaccount:payments:api",
            ));
        },
        &[Code::SessionDependent],
    ),
    (
        "the name of the session",
        |c| {
            c.policy(allow_if("sts:RoleSessionName", "botocore-*"));
        },
        &[Code::SessionDependent],
    ),
    (
        "the id of the session",
        |c| {
            c.policy(allow_if("aws:userid", "AROAEXAMPLE:botocore-session-1"));
        },
        &[Code::SessionDependent],
    ),
    (
        "the id of the role",
        |c| {
            c.policy(allow_if("aws:userid", "AROAEXAMPLE:*"));
        },
        &[],
    ),
    (
        "a variable",
        |c| {
            c.policy(json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:userid}/*"}));
        },
        &[Code::SessionDependent],
    ),
    (
        "another variable",
        |c| {
            c.policy(json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/team}/*"}));
        },
        &[],
    ),
    (
        "a policy not read",
        |c| {
            c.policies
                .get_or_insert_default()
                .not_read
                .insert("The inline policies cannot be read.".into());
        },
        &[Code::NotChecked],
    ),
];
