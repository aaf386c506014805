//! What pods and templates say, and where pods get credentials.

use serde_json::{Value, json};

use super::*;
use crate::migration::facts::{Labels, NodeFacts, TemplateFacts};

#[test]
fn where_containers_get_credentials() {
    use PodCredentials::{LeftOut, Partly, PodIdentity, WebIdentity};
    let keys = || {
        env(&[
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ])
    };
    let both = || -> Value {
        [irsa(), agent()]
            .iter()
            .flat_map(|e| e.as_array().unwrap().clone())
            .collect()
    };
    let keys_too = || -> Value {
        [keys(), agent()]
            .iter()
            .flat_map(|e| e.as_array().unwrap().clone())
            .collect()
    };
    let six = || {
        env(&[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://[fd00:ec2::23]/v1/credentials",
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AGENT_TOKEN),
        ])
    };
    let own = || {
        env(&[
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://127.0.0.1:9911/",
            ),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AGENT_TOKEN),
        ])
    };
    let half = || {
        env(&[(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://169.254.170.23/v1/credentials",
        )])
    };
    let none = || json!([]);
    // Containers `app` and `side`, what the pod's annotation skips, and the judgement.
    let cases = [
        (agent(), agent(), "", PodIdentity),
        (six(), agent(), "", PodIdentity),
        (irsa(), irsa(), "", WebIdentity),
        (agent(), irsa(), "", WebIdentity),
        (both(), agent(), "", WebIdentity),
        (agent(), none(), "", Partly),
        (agent(), none(), "side", PodIdentity),
        (agent(), none(), "other, side", PodIdentity),
        (agent(), none(), "side,\"app", Partly),
        (agent(), irsa(), "side", WebIdentity),
        (none(), none(), "", PodCredentials::None),
        (none(), none(), "side", PodCredentials::None),
        (none(), none(), "app,side", LeftOut),
        (keys(), keys(), "", PodCredentials::None),
        (keys_too(), agent(), "", Partly),
        (own(), own(), "", PodCredentials::None),
        (half(), agent(), "", Partly),
        (
            env(&[("AWS_ROLE_ARN", "x")]),
            none(),
            "",
            PodCredentials::None,
        ),
    ];
    for (app, side, skip, expected) in cases {
        let mut pod = pod("p");
        pod["spec"]["containers"] =
            json!([{"name": "app", "env": app}, {"name": "side", "env": side}]);
        if !skip.is_empty() {
            pod["metadata"]["annotations"] = json!({"eks.amazonaws.com/skip-containers": skip});
        }
        assert_eq!(one_pod(pod.clone()).credentials, expected, "{pod}");
    }
    let skipped = with(
        pod("p"),
        "metadata.labels",
        json!({"eks.amazonaws.com/skip-pod-identity-webhook": "1"}),
    );
    let facts = one_pod(skipped);
    assert_eq!(facts.credentials, LeftOut);
    assert!(facts.spec.is_skipped());
    for (credentials, settled) in [
        (PodIdentity, true),
        (LeftOut, true),
        (Partly, false),
        (WebIdentity, false),
        (PodCredentials::None, false),
    ] {
        assert_eq!(credentials.is_settled(), settled);
    }
}

#[test]
fn init_containers_that_are_done_do_not_count() {
    let case = |restart_policy: Value, state: Value| {
        let mut pod = pod("p");
        pod["spec"]["containers"][0]["env"] = agent();
        pod["spec"]["initContainers"] =
            json!([{"name": "init", "env": irsa(), "restartPolicy": restart_policy}]);
        pod["status"] = json!({"phase": "Running", "initContainerStatuses": [
            {"name": "init", "restartCount": 0, "image": "", "imageID": "", "ready": true, "state": state}]});
        one_pod(pod).credentials
    };
    let done = json!({"terminated": {"exitCode": 0}});
    assert_eq!(case(Value::Null, done.clone()), PodCredentials::PodIdentity);
    assert_eq!(
        case(Value::Null, json!({"terminated": {"exitCode": 1}})),
        PodCredentials::WebIdentity
    );
    assert_eq!(
        case(Value::Null, json!({"running": {}})),
        PodCredentials::WebIdentity
    );
    assert_eq!(case(json!("Always"), done), PodCredentials::WebIdentity);
    let mut waiting = pod("p");
    waiting["spec"]["containers"][0]["env"] = agent();
    waiting["spec"]["initContainers"] = json!([{"name": "init", "env": irsa()}]);
    assert_eq!(one_pod(waiting).credentials, PodCredentials::WebIdentity);
}

/// What the template of a Deployment with these fields of the specification says.
fn template(fields: &[(&str, Value)]) -> TemplateFacts {
    let mut deployment = workload("Deployment", "web");
    for (path, value) in fields {
        deployment["spec"]["template"] =
            with(deployment["spec"]["template"].clone(), path, value.clone());
    }
    one_workload(deployment).template.unwrap()
}

fn node(labels: &[(&str, &str)]) -> NodeFacts {
    NodeFacts {
        labels: labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..NodeFacts::default()
    }
}

#[test]
fn what_templates_say() {
    let plain = template(&[]);
    assert_eq!(
        plain,
        TemplateFacts {
            labels: Labels::from([("app".to_owned(), "web".to_owned())]),
            containers: BTreeSet::from(["app".to_owned()]),
            ..TemplateFacts::default()
        }
    );
    let full = template(&[
        (
            "metadata.annotations",
            json!({"eks.amazonaws.com/skip-containers": "side,unknown"}),
        ),
        ("spec.hostNetwork", json!(true)),
        (
            "spec.initContainers",
            json!([{"name": "init", "env": [{"name": "AWS_ROLE_ARN", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}]),
        ),
        (
            "spec.containers",
            json!([{"name": "app", "env": env(&[("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "")])}, {"name": "side"}]),
        ),
        (
            "spec.volumes",
            json!([
                {"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": "db"}}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "t"}}, {"serviceAccountToken": {"path": "api"}}]}},
            ]),
        ),
    ]);
    assert!(full.host_network && !full.windows && !full.hybrid && !full.is_skipped());
    assert_eq!(
        full.containers.iter().collect::<Vec<_>>(),
        ["app", "init", "side"]
    );
    assert_eq!(full.skipped_containers.iter().collect::<Vec<_>>(), ["side"]);
    let variables: Vec<(&str, &str)> = full
        .credential_variables
        .iter()
        .map(|(c, v)| (c.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        variables,
        [("app", "AWS_ACCESS_KEY_ID"), ("init", "AWS_ROLE_ARN")]
    );
    assert_eq!(
        full.csi_volumes,
        BTreeSet::from([("secrets-store.csi.k8s.io".to_owned(), Some("db".to_owned()))])
    );
    assert_eq!(
        full.token_audiences.iter().collect::<Vec<_>>(),
        ["sts.amazonaws.com"]
    );
}

#[test]
fn settings_of_credentials_elsewhere() {
    const PATH: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
    let names = |of: &BTreeSet<(String, String)>| -> Vec<String> {
        of.iter().map(|(_, name)| name.clone()).collect()
    };
    let facts = template(&[(
        "spec.containers.0.env",
        env(&[("AWS_PROFILE", "x"), ("AWS_CONFIG_FILE", "/c")]),
    )]);
    assert_eq!(
        names(&facts.profile_variables),
        ["AWS_CONFIG_FILE", "AWS_PROFILE"]
    );
    assert!(facts.token_paths.is_empty());
    for (path, value) in [
        ("spec.containers.0.env", env(&[("TOKEN", PATH)])),
        ("spec.containers.0.args", json!([format!("--token={PATH}")])),
        (
            "spec.containers.0.command",
            json!(["cat", PATH.trim_start_matches("/var")]),
        ),
    ] {
        let field = (path, value.clone());
        let facts = template(std::slice::from_ref(&field));
        assert!(facts.token_paths.contains("app"), "{path} {value}");
        // Whoever mounts a token there does not depend on the webhook.
        let mount = json!([{"name": "own", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}]);
        let facts = template(&[field, ("spec.containers.0.volumeMounts", mount)]);
        assert!(facts.token_paths.is_empty(), "{path} {value}");
    }
    for variables in [
        env(&[("AWS_WEB_IDENTITY_TOKEN_FILE", PATH)]),
        env(&[("TOKEN", AGENT_TOKEN)]),
    ] {
        let facts = template(&[("spec.containers.0.env", variables)]);
        assert!(facts.token_paths.is_empty());
    }
}

#[test]
fn tolerations_of_templates() {
    let facts = template(&[(
        "spec.tolerations",
        json!([{"operator": "Exists"}, {"key": "gpu", "value": "a", "effect": "NoSchedule"}]),
    )]);
    let (any, one) = (&facts.tolerations[0], &facts.tolerations[1]);
    assert!(any.any_value && any.key.is_none() && any.effect.is_none());
    assert!(!one.any_value && one.value == "a");
    assert_eq!(
        (one.key.as_deref(), one.effect.as_deref()),
        (Some("gpu"), Some("NoSchedule"))
    );
}

#[test]
fn nodes_that_templates_are_for() {
    let affinity = |expressions: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": expressions}}});
    let os = |values: Value| {
        affinity(
            json!([{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": values}]}]),
        )
    };
    for (path, value, windows, hybrid) in [
        (
            "spec.nodeSelector",
            json!({"kubernetes.io/os": "windows"}),
            true,
            false,
        ),
        (
            "spec.nodeSelector",
            json!({"beta.kubernetes.io/os": "windows"}),
            true,
            false,
        ),
        (
            "spec.nodeSelector",
            json!({"kubernetes.io/os": "linux"}),
            false,
            false,
        ),
        ("spec.os", json!({"name": "windows"}), true, false),
        ("spec.affinity", os(json!(["windows"])), true, false),
        (
            "spec.affinity",
            os(json!(["windows", "linux"])),
            false,
            false,
        ),
        (
            "spec.nodeSelector",
            json!({"eks.amazonaws.com/compute-type": "hybrid"}),
            false,
            true,
        ),
    ] {
        let facts = template(&[(path, value.clone())]);
        assert_eq!(
            (facts.windows, facts.hybrid),
            (windows, hybrid),
            "{path} {value}"
        );
    }
    let gpu = template(&[
        ("spec.nodeSelector", json!({"zone": "a"})),
        (
            "spec.affinity",
            affinity(json!([
                {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]},
                {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]}]},
            ])),
        ),
    ]);
    assert!(gpu.may_run_on(&node(&[("zone", "a"), ("gpu", "1")])));
    assert!(gpu.may_run_on(&node(&[("zone", "a"), ("cores", "16")])));
    assert!(!gpu.may_run_on(&node(&[("zone", "b"), ("gpu", "1")])));
    assert!(!gpu.may_run_on(&node(&[("zone", "a"), ("cores", "8")])));
    assert!(template(&[]).nodes.is_empty());
}

#[test]
fn proxies() {
    let case = |variables: &[(&str, &str)]| {
        let facts = template(&[("spec.containers.0.env", env(variables))]);
        (!facts.proxied.is_empty(), facts.uses_proxy_for_agent())
    };
    assert_eq!(case(&[]), (false, false));
    assert_eq!(case(&[("NO_PROXY", "169.254.170.23")]), (false, false));
    assert_eq!(case(&[("HTTP_PROXY", "http://p")]), (true, true));
    assert_eq!(
        case(&[
            ("https_proxy", "http://p"),
            ("no_proxy", "10.0.0.0/8,169.254.169.254")
        ]),
        (true, true)
    );
    assert_eq!(
        case(&[
            ("HTTPS_PROXY", "http://p"),
            ("NO_PROXY", "localhost, 169.254.170.23")
        ]),
        (true, false)
    );
    assert_eq!(
        case(&[("HTTP_PROXY", "http://p"), ("NO_PROXY", "[fd00:ec2::23]")]),
        (true, false)
    );
    assert_eq!(
        case(&[("HTTP_PROXY", "http://p"), ("NO_PROXY", "*")]),
        (true, false)
    );
    let two = template(&[(
        "spec.containers",
        json!([
            {"name": "app", "env": env(&[("HTTP_PROXY", "p"), ("NO_PROXY", "169.254.170.23")])},
            {"name": "side", "env": env(&[("HTTP_PROXY", "p")])},
        ]),
    )]);
    assert_eq!((two.proxied.len(), two.uses_proxy_for_agent()), (2, true));
}

#[test]
fn variables_of_config_maps() {
    let config_map = |name: &str, data: Value| json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let from = |own: &[(&str, &str)], sources: Value| {
        let mut object = with(
            workload("Deployment", "web"),
            "spec.template.spec.containers.0.envFrom",
            sources,
        );
        object["spec"]["template"]["spec"]["containers"][0]["env"] = env(own);
        let mut objects = vec![
            object,
            config_map(
                "proxy",
                json!({"HTTPS_PROXY": "http://p", "NO_PROXY": "localhost"}),
            ),
            config_map("direct", json!({"no_proxy": "169.254.170.23"})),
            config_map("role", json!({"ROLE_ARN": "x", "PROFILE": "y"})),
        ];
        let mut facts = shop(std::mem::take(&mut objects));
        facts.workloads.remove(0).template.unwrap()
    };
    let source = |name: &str| json!({"configMapRef": {"name": name}});
    let facts = from(&[], json!([source("proxy")]));
    assert!(facts.uses_proxy_for_agent());
    assert!(!from(&[], json!([source("proxy"), source("direct")])).uses_proxy_for_agent());
    assert!(from(&[], json!([source("direct"), source("proxy")])).uses_proxy_for_agent());
    let own = from(&[("NO_PROXY", "*")], json!([source("proxy")]));
    assert!(!own.uses_proxy_for_agent());
    let role = json!([{"prefix": "AWS_", "configMapRef": {"name": "role"}}]);
    let facts = from(&[], role);
    assert!(facts.has_own_web_identity());
    assert_eq!(facts.profile_variables.len(), 1);
    assert!(!from(&[], json!([source("role")])).has_own_web_identity());
    let facts = from(
        &[],
        json!([{"secretRef": {"name": "db"}}, source("missing")]),
    );
    assert_eq!(facts.env_not_read, BTreeSet::from(["Secret db".to_owned()]));
}

#[test]
fn what_the_webhook_injected_is_not_the_pods_own() {
    let volume = |name: &str, audience: &str| json!({"name": name, "projected": {"sources": [{"serviceAccountToken": {"audience": audience, "path": "token"}}]}});
    let mut bare = pod("p");
    bare["spec"]["containers"][0]["env"] = irsa();
    // Nothing is mounted: somebody wrote that by hand.
    assert_eq!(one_pod(bare.clone()).spec.credential_variables.len(), 2);
    bare["spec"]["volumes"] = json!([
        volume("aws-iam-token", "sts.amazonaws.com"),
        volume("own", "vault")
    ]);
    bare["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "aws-iam-token", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}]);
    let facts = one_pod(bare.clone()).spec;
    assert_eq!(facts.credential_variables, BTreeSet::new());
    assert_eq!(facts.token_audiences.iter().collect::<Vec<_>>(), ["vault"]);
    // The same in a template is its own.
    let own = template(&[("spec", bare["spec"].clone())]);
    assert_eq!(own.credential_variables.len(), 2);
    assert_eq!(own.token_audiences.len(), 2);
    bare["spec"]["containers"][0]["env"] = agent();
    assert_eq!(
        one_pod(bare).spec.credential_variables.len(),
        2,
        "another token is mounted"
    );
}
