//! The table of what the webhook does, by `kubernetes-api` sections on precedence, annotations and edges.

use time::Duration;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const ROLE: &str = "arn:aws:iam::123456789012:role/api";

fn about(annotations: &Value, associated: bool) -> Circumstances<'_> {
    Circumstances {
        annotations,
        associated,
        region: "us-east-1",
        regional_sts: true,
        random: 0,
    }
}

fn mutated(mut pod: Value, annotations: Value, associated: bool) -> Value {
    mutate(&mut pod, &about(&annotations, associated));
    pod
}

fn pod() -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "i"}]}})
}

fn env(pod: &Value, container: usize) -> BTreeMap<String, String> {
    pod["spec"]["containers"][container]["env"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| {
            let text = |field: &str| e[field].as_str().unwrap_or_default().to_owned();
            (text("name"), text("value"))
        })
        .collect()
}

#[test]
fn precedence() {
    let irsa = json!({ ROLE_ARN: ROLE });
    let cases = [
        ("neither", json!({}), false, None),
        ("annotation", irsa.clone(), false, Some("AWS_ROLE_ARN")),
        (
            "association",
            json!({}),
            true,
            Some("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ),
        (
            "both: the association wins",
            irsa,
            true,
            Some("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ),
        ("empty annotation", json!({ ROLE_ARN: "" }), false, None),
    ];
    for (name, annotations, associated, expected) in cases {
        let pod = mutated(pod(), annotations, associated);
        let env = env(&pod, 0);
        let injected = ["AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
            .into_iter()
            .filter(|key| env.contains_key(*key))
            .collect::<Vec<_>>();
        assert_eq!(injected, Vec::from_iter(expected), "{name}");
        let labelled = pod["metadata"]["labels"][LABEL] == "enabled";
        assert_eq!(labelled, associated, "{name}");
    }
}

#[test]
fn what_is_injected() {
    let pod = mutated(self::pod(), json!({}), true);
    let expected = BTreeMap::from(
        [
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token",
            ),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://169.254.170.23/v1/credentials",
            ),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    assert_eq!(env(&pod, 0), expected);
    let token = |pod: &Value| {
        pod["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"].clone()
    };
    assert_eq!(
        token(&pod),
        json!({"audience": "pods.eks.amazonaws.com", "expirationSeconds": 86_400, "path": "eks-pod-identity-token"})
    );
    let pod = mutated(self::pod(), json!({ ROLE_ARN: ROLE }), false);
    assert_eq!(
        env(&pod, 0)["AWS_WEB_IDENTITY_TOKEN_FILE"],
        "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"
    );
    assert_eq!(pod["spec"]["volumes"][0]["name"], "aws-iam-token");
    assert_eq!(
        pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"],
        "/var/run/secrets/eks.amazonaws.com/serviceaccount"
    );
    assert_eq!(token(&pod)["audience"], "sts.amazonaws.com");
    assert_eq!(
        mutated(pod.clone(), json!({ ROLE_ARN: ROLE }), false),
        pod,
        "a second call changes nothing"
    );
}

#[test]
fn annotations() {
    let token = |pod: &Value| {
        pod["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"].clone()
    };
    let cases = [
        (
            "audience of IRSA",
            json!({ROLE_ARN: ROLE, AUDIENCE: "custom"}),
            false,
            json!({}),
            "audience",
            json!("custom"),
        ),
        (
            "audience is ignored",
            json!({AUDIENCE: "custom"}),
            true,
            json!({}),
            "audience",
            json!(AGENT_AUDIENCE),
        ),
        (
            "expiration of the account",
            json!({ROLE_ARN: ROLE, EXPIRATION: "7200"}),
            false,
            json!({}),
            "expirationSeconds",
            json!(7200),
        ),
        (
            "expiration of the pod wins",
            json!({ROLE_ARN: ROLE, EXPIRATION: "7200"}),
            false,
            json!({EXPIRATION: "3600"}),
            "expirationSeconds",
            json!(3600),
        ),
        (
            "expiration with an association",
            json!({EXPIRATION: "7200"}),
            true,
            json!({}),
            "expirationSeconds",
            json!(7200),
        ),
        (
            "expiration has a minimum",
            json!({ROLE_ARN: ROLE, EXPIRATION: "1"}),
            false,
            json!({}),
            "expirationSeconds",
            json!(600),
        ),
        (
            "expiration that is no number",
            json!({ROLE_ARN: ROLE, EXPIRATION: "soon"}),
            false,
            json!({}),
            "expirationSeconds",
            json!(86_400),
        ),
    ];
    for (name, account, associated, of_pod, field, expected) in cases {
        let mut pod = pod();
        pod["metadata"]["annotations"] = of_pod;
        assert_eq!(
            token(&mutated(pod, account, associated))[field],
            expected,
            "{name}"
        );
    }
    for associated in [false, true] {
        let pod = mutated(
            pod(),
            json!({ROLE_ARN: ROLE, REGIONAL_STS: "false"}),
            associated,
        );
        assert!(
            !env(&pod, 0).contains_key("AWS_STS_REGIONAL_ENDPOINTS"),
            "honoured in both modes"
        );
    }
    let mut jittered = pod();
    mutate(
        &mut jittered,
        &Circumstances {
            random: 7_199,
            ..about(&json!({}), true)
        },
    );
    assert_eq!(token(&jittered)["expirationSeconds"], 79_201);
}

#[test]
fn containers_that_define_something_themselves() {
    let with = |names: &[&str]| {
        let mut pod = pod();
        let env: Vec<Value> = names
            .iter()
            .map(|n| json!({"name": n, "value": "own"}))
            .collect();
        pod["spec"]["containers"][0]["env"] = env.into();
        pod
    };
    // Name, variables of the container, whether there is an association, variables afterwards, and whether the token is mounted.
    type Case = (
        &'static str,
        &'static [&'static str],
        bool,
        &'static [&'static str],
        bool,
    );
    let cases: [Case; 7] = [
        (
            "one key of two: neither is injected",
            &["AWS_ROLE_ARN"],
            false,
            &[
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
                "AWS_ROLE_ARN",
                "AWS_STS_REGIONAL_ENDPOINTS",
            ],
            true,
        ),
        (
            "one container key of two",
            &["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            true,
            &[
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
                "AWS_STS_REGIONAL_ENDPOINTS",
            ],
            true,
        ),
        (
            "a key, a region and STS: untouched",
            &[
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "AWS_REGION",
                "AWS_STS_REGIONAL_ENDPOINTS",
            ],
            true,
            &[
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "AWS_REGION",
                "AWS_STS_REGIONAL_ENDPOINTS",
            ],
            false,
        ),
        (
            "a region",
            &["AWS_DEFAULT_REGION"],
            false,
            &[
                "AWS_DEFAULT_REGION",
                "AWS_ROLE_ARN",
                "AWS_STS_REGIONAL_ENDPOINTS",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
            ],
            true,
        ),
        (
            "hard-coded IRSA with an association has both",
            &["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
            true,
            &[
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
                "AWS_ROLE_ARN",
                "AWS_STS_REGIONAL_ENDPOINTS",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
            ],
            true,
        ),
        (
            "STS",
            &["AWS_STS_REGIONAL_ENDPOINTS"],
            false,
            &[
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
                "AWS_ROLE_ARN",
                "AWS_STS_REGIONAL_ENDPOINTS",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
            ],
            true,
        ),
        (
            "static keys are no concern of the webhook",
            &["AWS_ACCESS_KEY_ID"],
            true,
            &[
                "AWS_ACCESS_KEY_ID",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "AWS_DEFAULT_REGION",
                "AWS_REGION",
                "AWS_STS_REGIONAL_ENDPOINTS",
            ],
            true,
        ),
    ];
    for (name, own, associated, expected, mounted) in cases {
        let pod = mutated(with(own), json!({ ROLE_ARN: ROLE }), associated);
        let keys: Vec<String> = env(&pod, 0).into_keys().collect();
        assert_eq!(keys, expected, "{name}");
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].is_array();
        assert_eq!(mounts, mounted, "{name}");
    }
}

#[test]
fn skipped() {
    let two = |annotation: &str| {
        let mut pod = pod();
        pod["spec"]["containers"] = json!([{"name": "app"}, {"name": "proxy"}]);
        pod["spec"]["initContainers"] = json!([{"name": "init"}]);
        pod["metadata"]["annotations"][SKIP_CONTAINERS] = annotation.into();
        pod
    };
    let cases = [
        ("proxy", [true, false], true),
        ("proxy, init", [true, false], false),
        ("app,proxy", [false, false], true),
        ("app,\"pro", [true, true], true),
        ("\"proxy\"", [true, false], true),
    ];
    for (annotation, expected, init) in cases {
        for associated in [false, true] {
            let pod = mutated(two(annotation), json!({ ROLE_ARN: ROLE }), associated);
            let injected = [0, 1].map(|i| !env(&pod, i).is_empty());
            assert_eq!(injected, expected, "{annotation}");
            assert_eq!(
                pod["spec"]["initContainers"][0]["env"].is_array(),
                init,
                "{annotation}"
            );
            assert_eq!(
                pod["spec"]["volumes"].as_array().unwrap().len(),
                1,
                "the volume is added all the same"
            );
            assert_eq!(pod["metadata"]["labels"][LABEL] == "enabled", associated);
        }
    }
}

#[test]
fn windows_paths() {
    let mut pod = pod();
    pod["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
    let pod = mutated(pod, json!({ ROLE_ARN: ROLE }), false);
    assert_eq!(
        env(&pod, 0)["AWS_WEB_IDENTITY_TOKEN_FILE"],
        r"C:\var\run\secrets\eks.amazonaws.com\serviceaccount\token"
    );
}

#[test]
fn api_servers_learn_at_their_own_time() {
    let account: Account = ("payments".into(), "api".into());
    let present = BTreeSet::from([account.clone()]);
    let webhook = |settings: Settings| {
        let mut webhook = Webhook {
            settings,
            ..Webhook::default()
        };
        webhook.sync(present.clone(), false, NOW);
        webhook
    };
    let mut by_probes = webhook(Settings {
        api_servers: 3,
        delay_probes: 3,
        ..Settings::default()
    });
    assert_eq!(by_probes.answers(&account, NOW), [false; 3]);
    let answers: Vec<bool> = (0..12).map(|_| by_probes.ask(&account, NOW).0).collect();
    let (yes, no) = (true, false);
    assert_eq!(
        answers,
        [no, no, no, yes, no, no, yes, yes, no, yes, yes, yes]
    );
    assert_eq!(by_probes.answers(&account, NOW), [true; 3]);
    by_probes.sync(BTreeSet::new(), false, NOW);
    assert!(by_probes.ask(&account, NOW).0, "a deletion takes as long");
    let by_time = webhook(Settings {
        api_servers: 2,
        delay_ms: 100,
        ..Settings::default()
    });
    for (ms, expected) in [
        (0, [false, false]),
        (50, [true, false]),
        (100, [true, true]),
    ] {
        assert_eq!(
            by_time.answers(&account, NOW + Duration::milliseconds(ms)),
            expected,
            "{ms}"
        );
    }
    let mut settled = Webhook {
        settings: Settings {
            delay_ms: 9_000,
            ..Settings::default()
        },
        ..Webhook::default()
    };
    settled.sync(present, true, NOW);
    assert!(settled.ask(&account, NOW).0, "a seed is known at once");
}
