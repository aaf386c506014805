//! Schema and typed model of `podidentity_role`.

use std::collections::BTreeMap;

use crate::cty::{Type, Value};
use crate::framework::model::Attr;
use crate::framework::schema::{Attribute, Schema, SemanticEquality};
use crate::framework::validators;
use crate::policy::equivalent_json;
use crate::policy::size::INLINE_POLICIES_MAX;
use crate::resources::{arns, documents, names, tags};

use super::trust;
use super::unique_name::DEFAULT_PREFIX;

/// Seconds that a session may last when the configuration does not say; IAM's default too.
const MAX_SESSION_DURATION_DEFAULT: i64 = 3_600;
/// The most seconds that a session may last (IAM API, `roleMaxSessionDurationType`).
const MAX_SESSION_DURATION_MAX: i64 = 43_200;
/// Most managed policies that a role can have, the quota raised to its maximum (IAM quotas).
const POLICIES_MAX: usize = 25;
/// Longest description (IAM API, `roleDescriptionType`).
const DESCRIPTION_MAX: usize = 1_000;

crate::model! {
    /// Plan and state of a role.
    pub(super) struct Role {
        pub(super) description: Attr<String>,
        pub(super) force_detach_policies: Attr<bool>,
        pub(super) inline_policies: Value,
        pub(super) max_session_duration: Attr<i64>,
        pub(super) name: Attr<String>,
        pub(super) name_prefix: Attr<String>,
        pub(super) path: Attr<String>,
        pub(super) permissions_boundary: Attr<String>,
        pub(super) policy_arns: Value,
        pub(super) tags: Value,
        pub(super) trust: Value,
        pub(super) arn: Attr<String>,
        pub(super) assume_role_policy: Attr<String>,
        pub(super) create_date: Attr<String>,
        pub(super) id: Attr<String>,
        pub(super) tags_all: Value,
        pub(super) unique_id: Attr<String>,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "Manages an IAM role for EKS Pod Identity, with the trust policy that EKS Pod Identity needs.\n\n\
         Policies listed in `policy_arns` and `inline_policies` are managed; other policies of the role are left alone. \
         To give the role to a service account, see `podidentity_association`.",
    )
    .attribute(
        Attribute::string(
            "description",
            "Description of the role.",
        )
        .optional()
        .validate(validators::length_at_most(DESCRIPTION_MAX))
        .validate(validators::regex(
            // IAM API, `roleDescriptionType`.
            r"\A[\u{9}\u{A}\u{D}\u{20}-\u{7E}\u{A1}-\u{FF}]*\z",
            "made of printable characters up to U+00FF (no curly quotes, no dashes other than the hyphen)",
        )),
    )
    .attribute(
        Attribute::bool(
            "force_detach_policies",
            "Whether destroying the role first removes every policy it has and takes it out of every instance profile, not \
             only what this resource manages.",
        )
        .default(false),
    )
    .attribute(
        Attribute::map(
            "inline_policies",
            Type::String,
            format!(
                "Inline policies of the role: JSON documents by policy name, together at most {INLINE_POLICIES_MAX} \
                 characters without white space. Inline policies with other names are left alone. Default: none."
            ),
        )
        .default(no_inline_policies())
        .validate(validators::keys(validators::regex(
            // IAM API, `policyNameType`.
            r"\A[A-Za-z0-9_+=,.@-]{1,128}\z",
            "a policy name: 1 to 128 letters, digits and the characters _+=,.@-",
        )))
        .validate(validators::each(documents::policy()))
        .semantic_equality(InlinePoliciesEquality),
    )
    .attribute(
        Attribute::number(
            "max_session_duration",
            format!(
                "The longest session of the role in seconds, from {MAX_SESSION_DURATION_DEFAULT} to \
                 {MAX_SESSION_DURATION_MAX}."
            ),
        )
        .default(MAX_SESSION_DURATION_DEFAULT)
        .validate(validators::between(
            MAX_SESSION_DURATION_DEFAULT,
            MAX_SESSION_DURATION_MAX,
        )),
    )
    .attribute(
        Attribute::string(
            "name",
            "Name of the role, unique in the account whatever the letter case. Conflicts with `name_prefix`. Changing it \
             replaces the role.",
        )
        .optional()
        .computed()
        .validate(names::role_name())
        .validate(validators::conflicts_with(["name_prefix"]))
        .use_state_for_unknown()
        .requires_replace(),
    )
    .attribute(
        Attribute::string(
            "name_prefix",
            format!(
                "Beginning of the name, to which 26 characters are added that make it unique. Changing it replaces the role. \
                 Default, without `name`: `{DEFAULT_PREFIX}`."
            ),
        )
        .optional()
        .computed()
        .validate(names::role_name_prefix())
        .use_state_for_unknown()
        .requires_replace(),
    )
    .attribute(
        Attribute::string(
            "path",
            "Path of the role, which begins and ends with `/`. Changing it replaces the role.",
        )
        .default("/")
        .validate(names::role_path())
        .validate(validators::string("a path of your own", |path| {
            if path.starts_with(SERVICE_LINKED_PATH) {
                return Err(format!("{SERVICE_LINKED_PATH} is for roles that AWS services create"));
            }
            Ok(())
        }))
        .requires_replace(),
    )
    .attribute(
        Attribute::string(
            "permissions_boundary",
            "ARN of the managed policy that limits what the role can be allowed to do.",
        )
        .optional()
        .validate(arns::policy())
        .semantic_equality(arns::ArnEquality),
    )
    .attribute(
        Attribute::set(
            "policy_arns",
            Type::String,
            "ARNs of the managed policies to attach to the role. Other attached policies are left alone. Default: none.",
        )
        .default(no_policy_arns())
        .validate(validators::each(arns::policy()))
        .validate(validators::size_at_most(POLICIES_MAX)),
    )
    .attribute(tags::attribute())
    .attribute(trust::attribute())
    .attribute(
        Attribute::string("arn", "ARN of the role.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string(
            "assume_role_policy",
            "The trust policy as JSON, made from `trust`. What IAM has is compared by meaning.",
        )
        .computed(),
    )
    .attribute(
        Attribute::string("create_date", "When the role was created, in RFC 3339 format.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(
        Attribute::string("id", "The same as `name`.")
            .computed()
            .use_state_for_unknown(),
    )
    .attribute(tags::all_attribute())
    .attribute(
        Attribute::string(
            "unique_id",
            "The id of the role that is never used again: `AROA` and further characters.",
        )
        .computed()
        .use_state_for_unknown(),
    )
}

/// Path of the roles that AWS services create and change by themselves.
pub(super) const SERVICE_LINKED_PATH: &str = "/aws-service-role/";

/// `policy_arns` with nothing in it.
pub(super) fn no_policy_arns() -> Value {
    Value::set_of(Vec::<Value>::new())
}

/// `inline_policies` with nothing in it.
pub(super) fn no_inline_policies() -> Value {
    Value::Map(BTreeMap::new())
}

/// The same names with documents that mean the same.
#[derive(Clone, Copy, Debug)]
struct InlinePoliciesEquality;

impl SemanticEquality for InlinePoliciesEquality {
    fn semantically_equal(&self, prior: &Value, new: &Value) -> bool {
        let (Some(prior), Some(new)) = (prior.as_entries(), new.as_entries()) else {
            return false;
        };
        prior.len() == new.len()
            && prior.iter().all(|(name, document)| {
                match (document.as_str(), new.get(name).and_then(Value::as_str)) {
                    (Some(prior), Some(new)) => equivalent_json(prior, new),
                    _ => false,
                }
            })
    }
}
