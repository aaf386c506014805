//! The schema of the `provider` block. Names and types as in `hashicorp/aws` where it has the same argument.

use crate::cty::Type;
use crate::framework::schema::{Attribute, Block, NestedBlock, Schema};
use crate::framework::validators::{
    all, also_requires, between, conflicts_with, each, json_object, keys, length_at_least,
    length_at_most, length_between, one_of, regex, size_at_least, size_at_most, string,
};

use super::checks::{
    account_id, any_proxy_url, cluster_name, file_path, not_reserved, pem_certificates,
    pem_private_key, policy_arn, proxy_url, role_arn, server, session_duration, url,
};

/// Greatest `max_retries`: with pauses of up to 20 seconds more would be hours.
pub const MAX_RETRIES: i64 = 100;

/// The schema of the `provider` block.
#[must_use]
pub fn provider_schema() -> Schema {
    Schema::new(
        "Manages what pods on Amazon EKS need to get AWS permissions through EKS Pod Identity. \
         The arguments for region, credentials, endpoints and tags have the names and the precedence of the \
         `hashicorp/aws` provider, so a block written for it works here.",
    )
    .attribute(
        Attribute::string(
            "region",
            "AWS region. Also `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, and the instance metadata of EC2.",
        )
        .optional()
        .validate(regex(
            "^[a-z]{2,5}(-[a-z]+){1,3}-[0-9]{1,2}$",
            "the name of an AWS region, such as \"eu-central-1\"",
        )),
    )
    .attribute(
        Attribute::string(
            "profile",
            "Profile of the shared config and credentials files. Also `AWS_PROFILE`, `AWS_DEFAULT_PROFILE`. \
             Set here, it wins over access keys in the environment.",
        )
        .optional()
        .validate(length_at_least(1)),
    )
    .attribute(
        Attribute::string("access_key", "Access key id. Also `AWS_ACCESS_KEY_ID`.")
            .optional()
            .sensitive()
            .validate(key_part())
            .validate(also_requires(["secret_key"]))
            .validate(conflicts_with(["assume_role_with_web_identity"])),
    )
    .attribute(
        Attribute::string(
            "secret_key",
            "Secret access key. Also `AWS_SECRET_ACCESS_KEY`.",
        )
        .optional()
        .sensitive()
        .validate(key_part())
        .validate(also_requires(["access_key"])),
    )
    .attribute(
        Attribute::string(
            "token",
            "Session token of temporary credentials. Also `AWS_SESSION_TOKEN`.",
        )
        .optional()
        .sensitive()
        .validate(key_part())
        .validate(also_requires(["access_key", "secret_key"])),
    )
    .attribute(
        Attribute::list(
            "shared_config_files",
            Type::String,
            "Shared config files. Also `AWS_CONFIG_FILE`; default `~/.aws/config`. Tagged dynamic credentials of HCP \
             Terraform come this way.",
        )
        .optional()
        .validate(each(file_path())),
    )
    .attribute(
        Attribute::list(
            "shared_credentials_files",
            Type::String,
            "Shared credentials files. Also `AWS_SHARED_CREDENTIALS_FILE`; default `~/.aws/credentials`.",
        )
        .optional()
        .validate(each(file_path())),
    )
    .attribute(
        Attribute::set(
            "allowed_account_ids",
            Type::String,
            "Accounts that may be changed. Before anything else STS is asked which account the credentials belong to, \
             and any other account is an error.",
        )
        .optional()
        .validate(all((size_at_least(1), each(account_id()))))
        .validate(conflicts_with(["forbidden_account_ids"])),
    )
    .attribute(
        Attribute::set(
            "forbidden_account_ids",
            Type::String,
            "Accounts that must not be changed. Checked like `allowed_account_ids`.",
        )
        .optional()
        .validate(all((size_at_least(1), each(account_id())))),
    )
    .attribute(
        Attribute::number(
            "max_retries",
            "How often a call is retried when AWS throttles or fails. Default 25. `AWS_MAX_ATTEMPTS` and the profile's \
             `max_attempts` count the first attempt too.",
        )
        .optional()
        .validate(between(0, MAX_RETRIES)),
    )
    .attribute(
        Attribute::string(
            "retry_mode",
            "`standard` (default) or `adaptive`, which also slows down calls that AWS would throttle. Also \
             `AWS_RETRY_MODE`.",
        )
        .optional()
        .validate(one_of(["standard", "adaptive"])),
    )
    .attribute(
        Attribute::bool(
            "use_fips_endpoint",
            "Use FIPS endpoints. Also `AWS_USE_FIPS_ENDPOINT`. Services with an endpoint of their own keep it.",
        )
        .optional(),
    )
    .attribute(
        Attribute::bool(
            "use_dualstack_endpoint",
            "Use endpoints that answer over IPv6 too. Also `AWS_USE_DUALSTACK_ENDPOINT`. Services with an endpoint of \
             their own keep it.",
        )
        .optional(),
    )
    .attribute(
        Attribute::string(
            "custom_ca_bundle",
            "PEM file of certificates that are trusted instead of the system's. Also `AWS_CA_BUNDLE`.",
        )
        .optional()
        .validate(file_path()),
    )
    .attribute(
        Attribute::string(
            "http_proxy",
            "URL of a proxy for `http` endpoints. Also `HTTP_PROXY`, `http_proxy`.",
        )
        .optional()
        .sensitive()
        .validate(proxy_url()),
    )
    .attribute(
        Attribute::string(
            "https_proxy",
            "URL of a proxy for `https` endpoints, that is, for AWS. Also `HTTPS_PROXY`, `https_proxy`.",
        )
        .optional()
        .sensitive()
        .validate(proxy_url()),
    )
    .attribute(
        Attribute::string(
            "no_proxy",
            "Hosts, domains and networks that are reached without a proxy, comma-separated. Also `NO_PROXY`, \
             `no_proxy`. Loopback and link-local addresses never go through a proxy.",
        )
        .optional(),
    )
    .attribute(
        Attribute::bool(
            "skip_credentials_validation",
            "Accepted so that `hashicorp/aws` blocks work unchanged. This provider makes no call to validate \
             credentials: the first call that needs them shows whether they work.",
        )
        .optional(),
    )
    .attribute(
        Attribute::bool(
            "skip_requesting_account_id",
            "Never ask STS for the account id. Checks that need it are left out. Cannot be combined with \
             `allowed_account_ids` or `forbidden_account_ids`.",
        )
        .optional(),
    )
    .attribute(
        Attribute::string(
            "cluster_name",
            "EKS cluster for resources that name none.",
        )
        .optional()
        .validate(cluster_name()),
    )
    .attribute(
        Attribute::string(
            "service_principal",
            "Service principal of EKS Pod Identity in trust policies. Default `pods.eks.amazonaws.com`, which AWS \
             documents for all partitions that it documents at all; set it only if AWS names another one for yours.",
        )
        .optional()
        .validate(regex(
            r"^[a-z0-9-]+(\.[a-z0-9-]+)+$",
            "a service principal, such as \"pods.eks.amazonaws.com\"",
        )),
    )
    .nested_block(NestedBlock::list("assume_role", assume_role()).items(0, 10))
    .nested_block(NestedBlock::single(
        "assume_role_with_web_identity",
        web_identity(),
    ))
    .nested_block(NestedBlock::single("default_tags", default_tags()))
    .nested_block(NestedBlock::single("ignore_tags", ignore_tags()))
    .nested_block(NestedBlock::list("endpoints", endpoints()))
    .nested_block(NestedBlock::single("kubernetes", kubernetes()))
}

fn key_part() -> impl crate::framework::schema::Validator + 'static {
    regex(r"^\S+$", "text without white space")
}

/// A name that STS puts into ARNs: `[\w+=,.@-]`, 2 to 64 characters (STS API reference, AssumeRole).
fn session_name() -> impl crate::framework::schema::Validator + 'static {
    regex(
        r"^[A-Za-z0-9_+=,.@-]{2,64}$",
        "2 to 64 letters, digits or characters of _+=,.@-",
    )
}

fn session_policy(name: &'static str) -> Attribute {
    Attribute::string(
        name,
        "Session policy as JSON: the session gets only what both it and the role allow.",
    )
    .optional()
    .validate(all((json_object(), length_at_most(2048))))
}

fn session_policy_arns() -> Attribute {
    Attribute::set(
        "policy_arns",
        Type::String,
        "ARNs of managed policies that limit the session. At most 10.",
    )
    .optional()
    .validate(all((size_at_most(10), each(policy_arn()))))
}

fn duration() -> Attribute {
    Attribute::string(
        "duration",
        "Life of the session, from `15m` to `12h`. Default one hour.",
    )
    .optional()
    .validate(session_duration())
}

fn assume_role() -> Block {
    Block::new(
        "A role to assume. Several blocks are a chain: each role is assumed with the credentials of the one before.",
    )
    .attribute(
        Attribute::string("role_arn", "ARN of the role.")
            .required()
            .validate(role_arn()),
    )
    .attribute(duration())
    .attribute(
        Attribute::string(
            "external_id",
            "External id that the role's trust policy may ask for.",
        )
        .optional()
        .validate(regex(
            r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$",
            "2 to 1224 letters, digits or characters of _+=,.@:/-",
        )),
    )
    .attribute(session_policy("policy"))
    .attribute(session_policy_arns())
    .attribute(
        Attribute::string("session_name", "Name of the session, as CloudTrail shows it.")
            .optional()
            .validate(session_name()),
    )
    .attribute(
        Attribute::string(
            "source_identity",
            "Source identity, which stays with every further role that is assumed.",
        )
        .optional()
        .validate(all((session_name(), not_reserved()))),
    )
    .attribute(
        Attribute::map("tags", Type::String, "Session tags.")
            .optional()
            .validate(all((size_at_most(50), keys(tag_key()), each(length_at_most(256))))),
    )
    .attribute(
        Attribute::set(
            "transitive_tag_keys",
            Type::String,
            "Keys of session tags that are passed on to further roles.",
        )
        .optional()
        .validate(each(tag_key())),
    )
}

fn web_identity() -> Block {
    Block::new(
        "A role to assume with a web identity token, as CI systems and HCP Terraform issue them.",
    )
    .attribute(
        Attribute::string("role_arn", "ARN of the role. Also `AWS_ROLE_ARN`.")
            .optional()
            .validate(role_arn()),
    )
    .attribute(duration())
    .attribute(session_policy("policy"))
    .attribute(session_policy_arns())
    .attribute(
        Attribute::string(
            "session_name",
            "Name of the session, as CloudTrail shows it. Also `AWS_ROLE_SESSION_NAME`.",
        )
        .optional()
        .validate(session_name()),
    )
    .attribute(
        Attribute::string(
            "web_identity_token",
            "The token itself; may be ephemeral. Also `TF_AWS_WEB_IDENTITY_TOKEN`.",
        )
        .optional()
        .sensitive()
        .validate(all((key_part(), length_between(4, 20_000))))
        .validate(conflicts_with(["web_identity_token_file"])),
    )
    .attribute(
        Attribute::string(
            "web_identity_token_file",
            "File that holds the token; read again whenever a session is renewed. Also \
                 `AWS_WEB_IDENTITY_TOKEN_FILE`.",
        )
        .optional()
        .validate(file_path()),
    )
}

fn tag_key() -> impl crate::framework::schema::Validator + 'static {
    all((length_between(1, 128), not_reserved()))
}

fn default_tags() -> Block {
    Block::new("Tags of every object that this provider manages. A resource's own tags win.")
        .attribute(
            Attribute::map(
                "tags",
                Type::String,
                "The tags. `TF_AWS_DEFAULT_TAGS_<key>` adds more; what stands here wins.",
            )
            .optional()
            .validate(all((size_at_most(50), keys(tag_key())))),
        )
}

fn ignore_tags() -> Block {
    Block::new("Tags that others put on the objects: never shown, changed or removed.")
        .attribute(
            Attribute::set(
                "keys",
                Type::String,
                "Keys. `TF_AWS_IGNORE_TAGS_KEYS` (comma-separated) adds more.",
            )
            .optional()
            .validate(each(length_between(1, 128))),
        )
        .attribute(
            Attribute::set(
                "key_prefixes",
                Type::String,
                "Beginnings of keys. `TF_AWS_IGNORE_TAGS_KEY_PREFIXES` (comma-separated) adds more.",
            )
            .optional()
            .validate(each(length_between(1, 128))),
        )
}

fn endpoints() -> Block {
    let endpoint = |name, service: &str, variable: &str| {
        Attribute::string(
            name,
            format!(
                "URL of {service}. Also `{variable}`, `AWS_ENDPOINT_URL`, and the profile; \
                 `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` turns these others off."
            ),
        )
        .optional()
        .validate(url())
    };
    Block::new("Endpoints that replace those of AWS, for private endpoints and tests.")
        .attribute(endpoint("eks", "Amazon EKS", "AWS_ENDPOINT_URL_EKS"))
        .attribute(endpoint("iam", "AWS IAM", "AWS_ENDPOINT_URL_IAM"))
        .attribute(endpoint("sts", "AWS STS", "AWS_ENDPOINT_URL_STS"))
}

fn kubernetes() -> Block {
    Block::new(
        "How the Kubernetes API of the cluster is reached. Without this block EKS is asked for endpoint and CA, and the \
         token is signed with the AWS credentials of this provider, so neither kubectl nor the AWS CLI is needed. \
         What the block leaves out comes from EKS, too. Arguments have the names of the `hashicorp/kubernetes` provider. \
         Environment variables such as `KUBECONFIG`, `KUBE_CONFIG_PATH`, `KUBE_HOST` and `KUBE_TOKEN` are not read: which \
         cluster is changed follows from `cluster_name`.",
    )
    .attribute(
        Attribute::string("host", "URL of the API server. Without a scheme, `https` is meant.")
            .optional()
            .validate(server())
            .validate(conflicts_with(["config_path", "config_paths"])),
    )
    .attribute(
        Attribute::string(
            "cluster_ca_certificate",
            "PEM certificates of the CA that signed the API server's certificate.",
        )
        .optional()
        .validate(pem_certificates())
        .validate(also_requires(["host"])),
    )
    .attribute(
        Attribute::string("token", "Bearer token.")
            .optional()
            .sensitive()
            .validate(key_part())
            .validate(conflicts_with(["exec", "client_certificate"])),
    )
    .attribute(
        Attribute::string("client_certificate", "PEM client certificate.")
            .optional()
            .validate(pem_certificates())
            .validate(also_requires(["client_key"]))
            .validate(conflicts_with(["exec"])),
    )
    .attribute(
        Attribute::string("client_key", "PEM private key of the client certificate.")
            .optional()
            .sensitive()
            .validate(pem_private_key())
            .validate(also_requires(["client_certificate"])),
    )
    .attribute(
        Attribute::string("config_path", "A kubeconfig file.")
            .optional()
            .validate(file_path())
            .validate(conflicts_with(["config_paths"])),
    )
    .attribute(
        Attribute::list(
            "config_paths",
            Type::String,
            "Several kubeconfig files, merged as kubectl merges `KUBECONFIG`.",
        )
        .optional()
        .validate(all((size_at_least(1), each(file_path())))),
    )
    .attribute(
        Attribute::string(
            "config_context",
            "Context of the kubeconfig. Default: its current context.",
        )
        .optional()
        .validate(length_at_least(1)),
    )
    .attribute(
        Attribute::string(
            "tls_server_name",
            "Name expected in the API server's certificate, when it is reached by another one.",
        )
        .optional()
        .validate(regex(
            r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
            "a DNS name or an IP address",
        )),
    )
    .attribute(
        Attribute::bool(
            "insecure",
            "Do not check the API server's certificate. Anybody in between can then read the token.",
        )
        .optional(),
    )
    .attribute(
        Attribute::string(
            "proxy_url",
            "URL of a proxy to the API server: `http`, `https` or `socks5`. Default: the provider's `https_proxy`, unless \
             `no_proxy` excludes the server.",
        )
            .optional()
            .sensitive()
            .validate(any_proxy_url()),
    )
    .nested_block(NestedBlock::single(
        "exec",
        Block::new("A command that prints credentials, as in a kubeconfig's `exec`.")
            .attribute(
                Attribute::string("api_version", "Version of the protocol with the command.")
                    .required()
                    .validate(one_of([
                        "client.authentication.k8s.io/v1",
                        "client.authentication.k8s.io/v1beta1",
                    ])),
            )
            .attribute(
                Attribute::string("command", "The command.")
                    .required()
                    .validate(length_at_least(1)),
            )
            .attribute(Attribute::list("args", Type::String, "Its arguments.").optional())
            .attribute(
                Attribute::map("env", Type::String, "Environment variables it gets besides those of Terraform.")
                    .optional()
                    .sensitive()
                    .validate(keys(string("the name of an environment variable", |name| {
                        if name.is_empty() || name.contains(['=', '\0']) {
                            Err("it is empty or holds '='".to_owned())
                        } else {
                            Ok(())
                        }
                    }))),
            ),
    ))
}
