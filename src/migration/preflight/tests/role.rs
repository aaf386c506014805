//! The service account, its role and the trust policy.

use super::*;

/// What is spoiled, how, and the codes that come of it.
pub(super) const CASES: &[(&str, Spoil, &[Code])] = &[
    // The service account (scenarios 17, 21).
    (
        "no service account",
        |c| {
            c.namespace.service_accounts.clear();
        },
        &[Code::ServiceAccountMissing],
    ),
    (
        "no service account, and something else was not read",
        |c| {
            c.namespace.service_accounts.clear();
            c.namespace
                .not_read
                .insert("Network policies cannot be read.".into());
        },
        &[Code::ServiceAccountMissing, Code::NotChecked],
    ),
    (
        "gone after the migration",
        |c| {
            c.migrated();
            c.namespace.service_accounts.remove("api");
        },
        &[Code::ServiceAccountGone],
    ),
    ("Helm", |c| own(c, Tool::Helm), &[Code::AnnotationOwned]),
    (
        "EKS add-on",
        |c| own(c, Tool::EksAddon),
        &[Code::AnnotationOwned],
    ),
    ("kubectl", |c| own(c, Tool::Other), &[]),
    (
        "Helm, but no annotation",
        |c| {
            own(c, Tool::Helm);
            c.namespace
                .service_accounts
                .get_mut("api")
                .unwrap()
                .annotations
                .clear();
        },
        &[],
    ),
    (
        "External Secrets",
        |c| consume(c, "api"),
        &[Code::AnnotationConsumers],
    ),
    (
        "External Secrets, and the annotation is to go",
        |c| {
            consume(c, "api");
            c.settings.retire_annotation = true;
        },
        &[Code::RetireBreaksConsumers],
    ),
    (
        "External Secrets, and the trust is to go",
        |c| {
            consume(c, "api");
            c.settings.retire_trust = true;
        },
        &[Code::RetireBreaksConsumers],
    ),
    (
        "perhaps a CSI driver, and the trust is to go",
        |c| {
            consume(c, "api");
            c.namespace.consumers[0].certain = false;
            c.settings.retire_trust = true;
        },
        &[Code::AnnotationConsumers],
    ),
    ("External Secrets of another", |c| consume(c, "other"), &[]),
    (
        "empty annotation",
        |c| invalid(c, ""),
        &[Code::AnnotationInvalid],
    ),
    (
        "bare name",
        |c| invalid(c, "payments"),
        &[Code::AnnotationInvalid],
    ),
    (
        "an instance profile",
        |c| invalid(c, "arn:aws:iam::123456789012:instance-profile/payments"),
        &[Code::AnnotationInvalid],
    ),
    (
        "no annotation",
        |c| {
            c.account("api", None);
            c.role = RoleFacts::NotNamed;
        },
        &[Code::NoRole],
    ),
    (
        "no annotation any more",
        |c| {
            c.account("api", None);
            c.role = RoleFacts::NotNamed;
            c.migrated();
        },
        &[],
    ),
    // The role (scenarios 15, 16, 18).
    (
        "another account",
        |c| {
            c.role = RoleFacts::OtherAccount {
                arn: "arn:aws:iam::210987654321:role/payments".into(),
            }
        },
        &[Code::RoleOtherAccount],
    ),
    (
        "no such role",
        |c| c.role = RoleFacts::NotFound { arn: ROLE.into() },
        &[Code::RoleNotFound],
    ),
    (
        "not allowed to read",
        |c| {
            c.role = RoleFacts::NotRead {
                arn: ROLE.into(),
                why: "the credentials may not call iam:GetRole".into(),
            }
        },
        &[Code::NotChecked],
    ),
    (
        "service-linked",
        |c| {
            let arn = "arn:aws:iam::123456789012:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS";
            c.role_info().arn = arn.into();
            c.account("api", Some(arn));
        },
        &[Code::RoleServiceLinked],
    ),
    (
        "with a path",
        |c| {
            let arn = "arn:aws:iam::123456789012:role/team/app/payments";
            c.role_info().arn = arn.into();
            c.account("api", Some(arn));
        },
        &[],
    ),
    (
        "shared",
        |c| c.sharing = vec!["orders/web".into()],
        &[Code::RoleShared],
    ),
    (
        "a role other than annotated",
        |c| {
            c.settings.role_arn = Some(ROLE.into());
            c.account("api", Some("arn:aws:iam::123456789012:role/old"));
        },
        &[Code::RoleDiffers],
    ),
    (
        "the annotated role is the target",
        |c| {
            c.settings.role_arn = Some(ROLE.into());
            c.settings.target_role_arn = Some("arn:aws:iam::210987654321:role/payments".into());
            c.account("api", Some("arn:aws:iam::210987654321:role/payments"));
        },
        &[],
    ),
    (
        "managed by CloudFormation",
        |c| c.role_info().tags = labels(&[("aws:cloudformation:stack-name", "roles")]),
        &[Code::RoleManagedElsewhere],
    ),
    (
        "managed by eksctl",
        |c| c.role_info().tags = labels(&[("alpha.eksctl.io/cluster-name", "demo")]),
        &[Code::RoleManagedElsewhere],
    ),
    (
        "managed by Terraform",
        |c| c.role_info().tags = labels(&[("managed-by", "Terraform")]),
        &[Code::RoleManagedElsewhere],
    ),
    (
        "Terraform = true",
        |c| c.role_info().tags = labels(&[("terraform", "true")]),
        &[Code::RoleManagedElsewhere],
    ),
    (
        "Terraform = false",
        |c| c.role_info().tags = labels(&[("terraform", "false")]),
        &[],
    ),
    (
        "managed by people",
        |c| c.role_info().tags = labels(&[("managed-by", "platform-team")]),
        &[],
    ),
    (
        "managed elsewhere, and so is the trust policy",
        |c| {
            c.role_info().tags = labels(&[("terraform", "true")]);
            c.settings.verify_trust = true;
        },
        &[],
    ),
    // The trust policy.
    (
        "not a document",
        |c| c.trust_text("{"),
        &[Code::TrustUnreadable],
    ),
    (
        "a deny",
        |c| {
            c.trust(json!([plain(), {"Effect": "Deny", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": "sts:*"}]))
        },
        &[Code::TrustDenied],
    ),
    (
        "a deny for everything but one role",
        |c| {
            c.trust(json!([plain(), {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Condition": {"StringNotEquals": {"aws:SourceOrgID": "o-abcdefgh12"}}}]))
        },
        &[Code::TrustUncertain],
    ),
    (
        "a deny of something else",
        |c| {
            c.trust(json!([plain(), {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:SetSourceIdentity"}]))
        },
        &[],
    ),
    (
        "a condition that can never hold does not matter beside our statement",
        |c| {
            c.trust(json!([plain(), {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"], "Condition": {"StringEquals": {"aws:RequestTag/kubernetes-namespace": "other"}}}]))
        },
        &[],
    ),
    (
        "trusted already",
        |c| c.trust(json!([plain(), pods_statement()])),
        &[],
    ),
    (
        "a duplicate Sid",
        |c| {
            let mut twice = [plain(), plain()];
            twice[0]["Sid"] = "a".into();
            twice[1]["Sid"] = "a".into();
            c.trust(json!(twice));
        },
        &[Code::TrustUncertain],
    ),
    (
        "a principal that was deleted",
        |c| {
            c.trust(json!([plain(), {"Effect": "Allow", "Principal": {"AWS": ["AROAEXAMPLEEXAMPLE123"]}, "Action": "sts:AssumeRole"}]))
        },
        &[Code::TrustUncertain],
    ),
    (
        "a principal that was deleted, where nothing is written",
        |c| {
            c.trust(json!([plain(), pods_statement(), {"Effect": "Allow", "Principal": {"AWS": "AIDAEXAMPLEEXAMPLE123"}, "Action": "sts:AssumeRole"}]))
        },
        &[],
    ),
    (
        "verify: nothing there yet",
        |c| c.settings.verify_trust = true,
        &[],
    ),
    (
        "verify: a deny",
        |c| {
            c.settings.verify_trust = true;
            c.trust(json!([plain(), {"Effect": "Deny", "Principal": "*", "Action": "*"}]));
        },
        &[Code::TrustDenied, Code::IrsaNotWorking],
    ),
    (
        "verify: too large",
        |c| {
            c.settings.verify_trust = true;
            c.trust(of_size(2_048));
        },
        &[],
    ),
    (
        "no session tags",
        |c| c.settings.disable_session_tags = true,
        &[Code::ScopeNeedsSessionTags],
    ),
    (
        "a session policy",
        |c| {
            c.settings.policy = Some("{}".into());
        },
        &[Code::ScopeNeedsSessionTags],
    ),
    (
        "no session tags, wider scope",
        |c| {
            c.settings.disable_session_tags = true;
            c.settings.scope = Scope::Cluster;
        },
        &[],
    ),
    (
        "no session tags, trusted already",
        |c| {
            c.settings.disable_session_tags = true;
            c.trust(json!([plain(), pods_statement()]));
        },
        &[],
    ),
    // The target role.
    (
        "a target role that may be assumed",
        |c| {
            targeted(
                c,
                DATA,
                may_assume("arn:aws:iam::*:role/d?ta"),
                Some(trusts(ROOT)),
            )
        },
        &[],
    ),
    (
        "a target role that names the role",
        |c| targeted(c, DATA, json!([]), Some(trusts(ROLE))),
        &[],
    ),
    (
        "a target role that names the role, beyond the boundary",
        |c| {
            targeted(c, DATA, may_assume(DATA), Some(trusts(ROLE)));
            let boundary = c.policy(allow_if("aws:RequestedRegion", "*"));
            boundary.policies.last_mut().unwrap().allows = false;
        },
        &[Code::TargetRoleDenied],
    ),
    (
        "policies that allow another role",
        |c| {
            targeted(
                c,
                DATA,
                may_assume("arn:aws:iam::123456789012:role/other"),
                Some(trusts(ROOT)),
            )
        },
        &[Code::TargetRoleDenied],
    ),
    (
        "policies that do not allow tags",
        |c| targeted(c, DATA, assume(DATA), Some(trusts(ROOT))),
        &[Code::TargetRoleDenied],
    ),
    (
        "policies that do not allow tags, and there are none",
        |c| {
            targeted(c, DATA, assume(DATA), Some(trusts(ROOT)));
            c.settings.disable_session_tags = true;
            c.settings.scope = Scope::Account;
        },
        &[],
    ),
    (
        "policies that could not be read",
        |c| {
            targeted(c, DATA, json!([]), Some(trusts(ROOT)));
            c.policies
                .as_mut()
                .unwrap()
                .not_read
                .insert("Denied.".into());
        },
        &[Code::NotChecked],
    ),
    (
        "a denial that is certain",
        |c| {
            targeted(c, DATA, may_assume("*"), Some(trusts(ROOT)));
            c.policy(json!({"Effect": "Deny", "Action": "sts:*", "Resource": "*"}));
        },
        &[Code::TargetRoleDenied],
    ),
    (
        "a target role that trusts another",
        |c| {
            targeted(
                c,
                DATA,
                may_assume(DATA),
                Some(trusts("arn:aws:iam::123456789012:role/other")),
            )
        },
        &[Code::TargetRoleDenied],
    ),
    (
        "a target role that does not exist",
        |c| targeted(c, DATA, may_assume(DATA), Some(Value::Null)),
        &[Code::TargetRoleNotFound],
    ),
    (
        "a target role of another account",
        |c| targeted(c, ELSEWHERE, may_assume(ELSEWHERE), None),
        &[Code::NotChecked],
    ),
    (
        "a target role of another account that may not be assumed",
        |c| targeted(c, ELSEWHERE, may_assume(DATA), None),
        &[Code::TargetRoleDenied, Code::NotChecked],
    ),
    (
        "the session of the role does not matter where pods hold that of the target",
        |c| {
            targeted(c, DATA, may_assume(DATA), Some(trusts(ROOT)));
            c.policy(allow_if("aws:userid", "*:botocore-session-*"));
        },
        &[],
    ),
    (
        "the session of the target matters",
        |c| {
            targeted(c, DATA, may_assume(DATA), Some(trusts(ROOT)));
            let mut other = Case::default();
            other.policy(allow_if("aws:userid", "*:botocore-session-*"));
            c.target.as_mut().unwrap().policies = other.policies.map(Arc::new);
        },
        &[Code::SessionDependent],
    ),
];
