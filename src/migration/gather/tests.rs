//! Tests of the reduction, without any I/O.

mod sandbox;

use serde_json::{Value, json};

use super::*;
use crate::migration::facts::{
    ConsumerFacts, Labels, PodCredentials, PodFacts, ROLE_ARN, Restart, TemplateFacts,
    WorkloadFacts,
};

/// The facts of a namespace `shop` with these objects.
fn shop(objects: Vec<Value>) -> NamespaceFacts {
    let mut all = Objects {
        name: "shop".into(),
        ..Objects::default()
    };
    for mut object in objects {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if !kind.starts_with("Cluster") && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = "shop".into();
        }
        fn of<T: serde::de::DeserializeOwned>(object: &Value) -> T {
            serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}"))
        }
        match kind.as_str() {
            "Namespace" => all.namespace = Some(of(&object)),
            "ServiceAccount" => all.service_accounts.push(of(&object)),
            "Pod" => all.pods.push(of(&object)),
            "ReplicaSet" => all.replica_sets.push(of(&object)),
            "Deployment" => all.deployments.push(of(&object)),
            "StatefulSet" => all.stateful_sets.push(of(&object)),
            "DaemonSet" => all.daemon_sets.push(of(&object)),
            "Job" => all.jobs.push(of(&object)),
            "CronJob" => all.cron_jobs.push(of(&object)),
            "NetworkPolicy" => all.network_policies.push(of(&object)),
            other => {
                let kind = CustomKind::ALL.into_iter().find(|k| k.as_str() == other);
                all.custom.push((kind.unwrap(), of(&object)));
            }
        }
    }
    facts(all)
}

fn with(mut base: Value, path: &str, value: Value) -> Value {
    let mut at = &mut base;
    for key in path.split('.') {
        at = match key.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[key],
        };
    }
    *at = value;
    base
}

/// A workload of a kind, named like its service account.
fn workload(kind: &str, name: &str) -> Value {
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"serviceAccountName": name, "containers": [{"name": "app"}]}});
    let selector = json!({"matchLabels": {"app": name}});
    let spec = match kind {
        "CronJob" => {
            json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}})
        }
        _ => json!({"selector": selector, "template": template, "serviceName": name}),
    };
    json!({"kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn controlled(object: Value, api_version: &str, kind: &str, name: &str) -> Value {
    with(
        object,
        "metadata.ownerReferences",
        json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": "u", "controller": true}]),
    )
}

fn pod(name: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name}, "spec": {"serviceAccountName": "web", "containers": [{"name": "app"}]}})
}

fn env(pairs: &[(&str, &str)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

const IRSA_TOKEN: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";
const AGENT_TOKEN: &str =
    "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token";

fn irsa() -> Value {
    env(&[
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", IRSA_TOKEN),
    ])
}

fn agent() -> Value {
    env(&[
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://169.254.170.23/v1/credentials",
        ),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AGENT_TOKEN),
    ])
}

fn one_pod(pod: Value) -> PodFacts {
    let mut facts = shop(vec![pod]);
    assert_eq!(facts.pods.len(), 1);
    facts.pods.remove(0)
}

fn one_workload(object: Value) -> WorkloadFacts {
    let mut facts = shop(vec![object]);
    assert_eq!(facts.workloads.len(), 1);
    facts.workloads.remove(0)
}

/// Kind and name, service account, replicas, and how it restarts.
fn summary(facts: &NamespaceFacts) -> Vec<(String, &str, Option<i64>, String)> {
    facts
        .workloads
        .iter()
        .map(|w| {
            let restart = match &w.restart {
                Restart::Rolling => "rolling".to_owned(),
                Restart::Unknown => "unknown".to_owned(),
                Restart::Manual(why) => why.clone(),
            };
            (
                w.id.to_string(),
                w.service_account.as_str(),
                w.replicas,
                restart,
            )
        })
        .collect()
}

#[test]
fn service_accounts() {
    let facts = shop(vec![
        json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "a"}}}),
        json!({"kind": "ServiceAccount", "metadata": {"name": "web", "uid": "u1", "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {ROLE_ARN: "arn:aws:iam::123456789012:role/web", "meta.helm.sh/release-name": "web"}}}),
        json!({"kind": "ServiceAccount", "metadata": {"name": "default"}}),
    ]);
    assert_eq!(facts.namespace, "shop");
    assert_eq!(facts.labels["team"], "a");
    let web = &facts.service_accounts["web"];
    assert_eq!(
        (web.uid.as_str(), web.resource_version.as_str()),
        ("u1", "7")
    );
    assert_eq!(web.role_arn(), Some("arn:aws:iam::123456789012:role/web"));
    assert_eq!(web.namespace, "shop");
    assert_eq!(web.owner.as_ref().unwrap().to_string(), "Helm release web");
    assert_eq!(facts.service_accounts["default"].role_arn(), None);
}

#[test]
fn how_pods_are_replaced() {
    let cases = [
        (workload("Deployment", "a"), "rolling"),
        (
            with(workload("Deployment", "a"), "spec.paused", json!(true)),
            "it is paused",
        ),
        (workload("StatefulSet", "a"), "rolling"),
        (
            with(
                workload("StatefulSet", "a"),
                "spec.updateStrategy",
                json!({"type": "OnDelete"}),
            ),
            "its update strategy is OnDelete",
        ),
        (
            with(
                workload("StatefulSet", "a"),
                "spec.updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
            ),
            "its update strategy leaves the pods below partition 2 alone",
        ),
        (
            with(
                workload("StatefulSet", "a"),
                "spec.updateStrategy",
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            ),
            "rolling",
        ),
        (workload("DaemonSet", "a"), "rolling"),
        (
            with(
                workload("DaemonSet", "a"),
                "spec.updateStrategy",
                json!({"type": "OnDelete"}),
            ),
            "its update strategy is OnDelete",
        ),
        (workload("Job", "a"), "its pods end by themselves"),
        (workload("CronJob", "a"), "its next run starts new pods"),
        (
            workload("ReplicaSet", "a"),
            "a ReplicaSet does not replace its pods",
        ),
        (
            controlled(
                workload("Deployment", "a"),
                "serving.knative.dev/v1",
                "Revision",
                "a-1",
            ),
            "managed by Revision a-1",
        ),
        (
            controlled(
                workload("StatefulSet", "a"),
                "monitoring.coreos.com/v1",
                "Prometheus",
                "k8s",
            ),
            "managed by Prometheus k8s",
        ),
    ];
    for (object, expected) in cases {
        let facts = shop(vec![object.clone()]);
        let got = summary(&facts);
        assert_eq!(got.len(), 1, "{object}");
        assert_eq!(got[0].1, "a");
        assert_eq!(got[0].3, expected, "{object}");
        assert!(facts.workloads[0].template.is_some());
    }
}

#[test]
fn desired_replicas() {
    let scaled = |manager: &str, subresource: Value| {
        json!([{"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "subresource": subresource,
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}])
    };
    let cases = [
        (workload("Deployment", "a"), Some(1)),
        (
            with(workload("Deployment", "a"), "spec.replicas", json!(3)),
            Some(3),
        ),
        (
            with(workload("StatefulSet", "a"), "spec.replicas", json!(0)),
            Some(0),
        ),
        (
            with(
                with(workload("Deployment", "a"), "spec.replicas", json!(3)),
                "metadata.managedFields",
                scaled("kube-controller-manager", json!("scale")),
            ),
            None,
        ),
        (
            with(
                with(workload("Deployment", "a"), "spec.replicas", json!(3)),
                "metadata.managedFields",
                scaled("kubectl", Value::Null),
            ),
            Some(3),
        ),
        (workload("DaemonSet", "a"), None),
        (
            with(
                workload("DaemonSet", "a"),
                "status",
                json!({"desiredNumberScheduled": 4, "currentNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": 1}),
            ),
            Some(4),
        ),
        (workload("Job", "a"), Some(1)),
        (
            with(workload("Job", "a"), "spec.parallelism", json!(5)),
            Some(5),
        ),
        (
            with(
                with(workload("Job", "a"), "spec.parallelism", json!(5)),
                "spec.suspend",
                json!(true),
            ),
            Some(0),
        ),
        (workload("CronJob", "a"), None),
    ];
    for (object, expected) in cases {
        assert_eq!(one_workload(object.clone()).replicas, expected, "{object}");
    }
}

#[test]
fn a_job_that_is_done_makes_no_pods() {
    for condition in ["Complete", "Failed"] {
        let done = json!({"conditions": [{"type": condition, "status": "True"}]});
        assert_eq!(
            shop(vec![with(workload("Job", "a"), "status", done)]).workloads,
            []
        );
    }
    let suspended = json!({"conditions": [{"type": "Suspended", "status": "True"}]});
    assert_eq!(
        shop(vec![with(workload("Job", "a"), "status", suspended)])
            .workloads
            .len(),
        1
    );
}

#[test]
fn pods_belong_to_the_topmost_owner() {
    let hashed = |pod: Value| with(pod, "metadata.labels", json!({"pod-template-hash": "5d4f"}));
    let facts = shop(vec![
        workload("Deployment", "web"),
        controlled(
            workload("ReplicaSet", "web-5d4f"),
            "apps/v1",
            "Deployment",
            "web",
        ),
        controlled(pod("p1"), "apps/v1", "ReplicaSet", "web-5d4f"),
        // The ReplicaSet was not read, or is newer than the list.
        hashed(controlled(pod("p2"), "apps/v1", "ReplicaSet", "web-5d4f")),
        hashed(controlled(
            pod("p3"),
            "apps/v1",
            "ReplicaSet",
            "late-one-5d4f",
        )),
        controlled(pod("p4"), "apps/v1", "ReplicaSet", "strange"),
        workload("CronJob", "nightly"),
        controlled(
            workload("Job", "nightly-1"),
            "batch/v1",
            "CronJob",
            "nightly",
        ),
        controlled(pod("p5"), "batch/v1", "Job", "nightly-1"),
        workload("Job", "once"),
        controlled(pod("p6"), "batch/v1", "Job", "once"),
        controlled(
            workload("ReplicaSet", "canary-1"),
            "argoproj.io/v1alpha1",
            "Rollout",
            "canary",
        ),
        controlled(pod("p7"), "apps/v1", "ReplicaSet", "canary-1"),
        controlled(pod("p8"), "apps/v1", "StatefulSet", "db"),
        controlled(pod("p9"), "apps.kruise.io/v1beta1", "StatefulSet", "db"),
        pod("q1"),
        // Somebody owns it, but nobody replaces it.
        with(
            pod("q2"),
            "metadata.ownerReferences",
            json!([{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}]),
        ),
        controlled(pod("q3"), "argoproj.io/v1alpha1", "Workflow", "flow"),
        controlled(pod("q4"), "v1", "ReplicationController", "old"),
    ]);
    let workloads: Vec<(&str, String)> = facts
        .pods
        .iter()
        .map(|p| (p.name.as_str(), p.workload.to_string()))
        .collect();
    let expected = [
        ("p1", "Deployment web"),
        ("p2", "Deployment web"),
        ("p3", "Deployment late-one"),
        ("p4", "ReplicaSet strange"),
        ("p5", "CronJob nightly"),
        ("p6", "Job once"),
        ("p7", "Rollout canary"),
        ("p8", "StatefulSet db"),
        ("p9", "StatefulSet.apps.kruise.io db"),
        ("q1", "Pod q1"),
        ("q2", "Pod q2"),
        ("q3", "Workflow flow"),
        ("q4", "ReplicationController old"),
    ];
    assert_eq!(workloads, expected.map(|(p, w)| (p, w.to_owned())));
    let restart = |id: &str| {
        let all = summary(&facts);
        let found: Vec<_> = all
            .into_iter()
            .filter(|w| w.0 == id && w.1 == "web")
            .collect();
        assert_eq!(found.len(), 1, "{id}");
        (found[0].3.clone(), found[0].2)
    };
    for (id, why, replicas) in [
        ("Deployment web", "rolling", Some(1)),
        ("Deployment late-one", "unknown", None),
        ("StatefulSet db", "unknown", None),
        ("CronJob nightly", "its next run starts new pods", None),
        ("Rollout canary", "managed by Rollout canary", None),
        (
            "StatefulSet.apps.kruise.io db",
            "managed by StatefulSet.apps.kruise.io db",
            None,
        ),
        (
            "Pod q1",
            "nothing replaces a pod without a controller",
            Some(1),
        ),
        ("Workflow flow", "managed by Workflow flow", None),
    ] {
        assert_eq!(restart(id), (why.to_owned(), replicas), "{id}");
    }
    assert_eq!(facts.pods_of("web").count(), facts.pods.len());
    assert!(
        facts
            .workloads_of("nightly")
            .any(|w| w.id.to_string() == "CronJob nightly")
    );
}

#[test]
fn revisions_of_the_past_do_not_count() {
    let set = |name: &str, account: &str, replicas: i64, created: &str| {
        let mut set = controlled(
            workload("ReplicaSet", name),
            "argoproj.io/v1alpha1",
            "Rollout",
            "web",
        );
        set["spec"]["replicas"] = replicas.into();
        set["spec"]["template"]["spec"]["serviceAccountName"] = account.into();
        with(set, "metadata.creationTimestamp", created.into())
    };
    let accounts = |sets: Vec<Value>| -> Vec<String> {
        shop(sets)
            .workloads
            .iter()
            .map(|w| w.service_account.clone())
            .collect()
    };
    let old = "2026-01-01T00:00:00Z";
    let new = "2026-02-01T00:00:00Z";
    assert_eq!(
        accounts(vec![set("a", "old", 0, old), set("b", "new", 2, new)]),
        ["new"]
    );
    // Rolled back to the older one.
    assert_eq!(
        accounts(vec![set("a", "old", 2, old), set("b", "new", 0, new)]),
        ["old"]
    );
    // Under way.
    assert_eq!(
        accounts(vec![set("a", "old", 1, old), set("b", "new", 1, new)]),
        ["new", "old"]
    );
    // Scaled to zero.
    assert_eq!(
        accounts(vec![set("a", "old", 0, old), set("b", "new", 0, new)]),
        ["new"]
    );
    // Those of a Deployment never count.
    let mut of_deployment = set("a", "old", 2, old);
    of_deployment["metadata"]["ownerReferences"][0]["kind"] = "Deployment".into();
    of_deployment["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1".into();
    assert_eq!(accounts(vec![of_deployment]), Vec::<String>::new());
}

#[test]
fn pods_of_an_older_template_are_told_apart() {
    let facts = shop(vec![
        with(
            workload("Deployment", "web"),
            "spec.template.spec.serviceAccountName",
            json!("new"),
        ),
        controlled(
            workload("ReplicaSet", "web-1"),
            "apps/v1",
            "Deployment",
            "web",
        ),
        controlled(pod("p"), "apps/v1", "ReplicaSet", "web-1"),
    ]);
    let rolling = "rolling".to_owned();
    let id = "Deployment web".to_owned();
    assert_eq!(
        summary(&facts),
        [
            (id.clone(), "new", Some(1), rolling.clone()),
            (id, "web", None, rolling)
        ]
    );
}

#[test]
fn unset_means_default() {
    let mut deployment = workload("Deployment", "web");
    deployment["spec"]["template"]["spec"]
        .as_object_mut()
        .unwrap()
        .remove("serviceAccountName");
    assert_eq!(one_workload(deployment).service_account, "default");
    let mut bare = pod("p");
    bare["spec"]
        .as_object_mut()
        .unwrap()
        .remove("serviceAccountName");
    assert_eq!(one_pod(bare.clone()).service_account, "default");
    assert_eq!(
        one_pod(with(bare, "spec.serviceAccount", json!("old-name"))).service_account,
        "old-name"
    );
}

#[test]
fn pods_that_ended_or_are_the_kubelets_are_left_out() {
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(
            shop(vec![with(pod("p"), "status.phase", json!(phase))]).pods,
            []
        );
    }
    let mirror = with(
        pod("p"),
        "metadata.annotations",
        json!({"kubernetes.io/config.mirror": "x"}),
    );
    assert_eq!(shop(vec![mirror]).pods, []);
    for phase in ["Pending", "Running", "Unknown"] {
        assert_eq!(
            shop(vec![with(pod("p"), "status.phase", json!(phase))])
                .pods
                .len(),
            1
        );
    }
}

#[test]
fn what_a_pod_says() {
    let facts = one_pod(json!({
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": "1970-01-01T00:01:40Z", "deletionTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": "x"}},
        "spec": {"serviceAccountName": "web", "nodeName": "n1", "containers": [{"name": "app"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "restartCount": 2, "image": "", "imageID": "", "ready": true}],
            "initContainerStatuses": [{"name": "init", "restartCount": 1, "image": "", "imageID": "", "ready": true}],
        },
    }));
    assert_eq!(
        (facts.name.as_str(), facts.uid.as_str(), facts.created),
        ("p", "u", 100)
    );
    assert_eq!(facts.node.as_deref(), Some("n1"));
    assert!(facts.ready && facts.terminating && !facts.fargate);
    assert_eq!(facts.restarts, 3);
    assert_eq!(facts.spec.labels["app"], "x");
    assert!(!one_pod(pod("p")).ready);
}

#[test]
fn fargate() {
    for (path, value) in [
        ("spec.nodeName", json!("fargate-ip-10-0-0-1.ec2.internal")),
        ("spec.schedulerName", json!("fargate-scheduler")),
        (
            "metadata.labels",
            json!({"eks.amazonaws.com/fargate-profile": "p"}),
        ),
    ] {
        assert!(one_pod(with(pod("p"), path, value)).fargate, "{path}");
    }
}

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

fn node(labels: &[(&str, &str)]) -> crate::migration::facts::NodeFacts {
    crate::migration::facts::NodeFacts {
        labels: labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..crate::migration::facts::NodeFacts::default()
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
                {"name": "secrets", "csi": {"driver": "secrets-store.csi.k8s.io"}},
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
        full.csi_drivers.iter().collect::<Vec<_>>(),
        ["secrets-store.csi.k8s.io"]
    );
    assert_eq!(
        full.token_audiences.iter().collect::<Vec<_>>(),
        ["sts.amazonaws.com"]
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
        (facts.proxy, facts.no_proxy)
    };
    assert_eq!(case(&[]), (false, false));
    assert_eq!(case(&[("NO_PROXY", "169.254.170.23")]), (false, false));
    assert_eq!(case(&[("HTTP_PROXY", "http://p")]), (true, false));
    assert_eq!(
        case(&[
            ("https_proxy", "http://p"),
            ("no_proxy", "10.0.0.0/8,169.254.169.254")
        ]),
        (true, false)
    );
    assert_eq!(
        case(&[
            ("HTTPS_PROXY", "http://p"),
            ("NO_PROXY", "localhost, 169.254.170.23")
        ]),
        (true, true)
    );
    assert_eq!(
        case(&[("HTTP_PROXY", "http://p"), ("NO_PROXY", "[fd00:ec2::23]")]),
        (true, true)
    );
    assert_eq!(
        case(&[("HTTP_PROXY", "http://p"), ("NO_PROXY", "*")]),
        (true, true)
    );
    let two = template(&[(
        "spec.containers",
        json!([
            {"name": "app", "env": env(&[("HTTP_PROXY", "p"), ("NO_PROXY", "169.254.170.23")])},
            {"name": "side", "env": env(&[("HTTP_PROXY", "p")])},
        ]),
    )]);
    assert_eq!((two.proxy, two.no_proxy), (true, false));
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

#[test]
fn consumers_of_annotations() {
    let store = |kind: &str, name: &str, reference: Value| json!({"kind": kind, "metadata": {"name": name}, "spec": {"provider": {"aws": {"auth": {"jwt": {"serviceAccountRef": reference}}}}}});
    let authentication = |kind: &str, name: &str, identity: Value| json!({"kind": kind, "metadata": {"name": name}, "spec": {"podIdentity": identity}});
    let scaled = |target: Value, reference: Value| json!({"kind": "ScaledObject", "metadata": {"name": "s"}, "spec": {"scaleTargetRef": target, "triggers": [{"type": "aws-sqs-queue", "authenticationRef": reference}]}});
    let account = |name: &str| json!({"kind": "ServiceAccount", "metadata": {"name": name}});
    let facts = shop(vec![
        account("eso"),
        workload("Deployment", "web"),
        workload("StatefulSet", "db"),
        store("SecretStore", "a", json!({"name": "eso"})),
        store(
            "SecretStore",
            "b",
            json!({"name": "eso", "namespace": "elsewhere"}),
        ),
        json!({"kind": "SecretStore", "metadata": {"name": "keys"}, "spec": {"provider": {"aws": {"auth": {"secretRef": {}}}}}}),
        json!({"kind": "SecretStore", "metadata": {"name": "vault"}, "spec": {"provider": {"vault": {"auth": {"iam": {"jwt": {"serviceAccountRef": {"name": "eso"}}}}}}}}),
        store(
            "ClusterSecretStore",
            "c",
            json!({"name": "eso", "namespace": "shop"}),
        ),
        store(
            "ClusterSecretStore",
            "d",
            json!({"name": "eso", "namespace": "elsewhere"}),
        ),
        store("ClusterSecretStore", "e", json!({"name": "eso"})),
        store("ClusterSecretStore", "f", json!({"name": "missing"})),
        authentication(
            "TriggerAuthentication",
            "workload",
            json!({"provider": "aws", "identityOwner": "workload"}),
        ),
        authentication("TriggerAuthentication", "keda", json!({"provider": "aws"})),
        authentication(
            "TriggerAuthentication",
            "role",
            json!({"provider": "aws", "roleArn": "arn:aws:iam::123456789012:role/x"}),
        ),
        authentication(
            "ClusterTriggerAuthentication",
            "old",
            json!({"provider": "aws-eks"}),
        ),
        authentication(
            "ClusterTriggerAuthentication",
            "unused",
            json!({"provider": "aws-eks"}),
        ),
        scaled(json!({"name": "web"}), json!({"name": "workload"})),
        scaled(json!({"name": "web"}), json!({"name": "keda"})),
        scaled(
            json!({"name": "db", "kind": "StatefulSet"}),
            json!({"name": "old", "kind": "ClusterTriggerAuthentication"}),
        ),
        json!({"kind": "ScaledObject", "metadata": {"name": "o"}, "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [
            {"type": "aws-sqs-queue", "metadata": {"identityOwner": "operator"}, "authenticationRef": {"name": "old", "kind": "ClusterTriggerAuthentication"}}]}}),
        json!({"kind": "ScaledJob", "metadata": {"name": "j"}, "spec": {"jobTargetRef": {"template": {"spec": {"serviceAccountName": "runner"}}}, "triggers": [
            {"type": "aws-sqs-queue", "authenticationRef": {"name": "workload"}}]}}),
    ]);
    let consumers: Vec<(&str, &str, &str)> = facts
        .consumers
        .iter()
        .map(|c: &ConsumerFacts| (c.kind.as_str(), c.name.as_str(), c.service_account.as_str()))
        .collect();
    assert_eq!(
        consumers,
        [
            ("SecretStore", "a", "eso"),
            ("SecretStore", "b", "eso"),
            ("SecretStore", "vault", "eso"),
            ("ClusterSecretStore", "c", "eso"),
            ("ClusterSecretStore", "e", "eso"),
            ("TriggerAuthentication", "workload", "runner"),
            ("TriggerAuthentication", "workload", "web"),
            ("ClusterTriggerAuthentication", "old", "db"),
        ]
    );
    assert_eq!(facts.consumers_of("eso").count(), 5);
}

#[test]
fn everything_is_in_order() {
    let facts = shop(vec![
        workload("StatefulSet", "b"),
        workload("Deployment", "z"),
        workload("Deployment", "a"),
        pod("p2"),
        pod("p1"),
        json!({"kind": "NetworkPolicy", "metadata": {"name": "y"}, "spec": {"podSelector": {}, "egress": [{}]}}),
        json!({"kind": "NetworkPolicy", "metadata": {"name": "x"}, "spec": {"podSelector": {}, "egress": [{}]}}),
    ]);
    let ids: Vec<String> = facts.workloads.iter().map(|w| w.id.to_string()).collect();
    assert_eq!(
        ids,
        [
            "Deployment a",
            "Deployment z",
            "Pod p1",
            "Pod p2",
            "StatefulSet b"
        ]
    );
    assert_eq!(facts.pods[0].name, "p1");
    assert_eq!(facts.network_policies[0].name, "x");
}
