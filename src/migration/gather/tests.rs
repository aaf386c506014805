//! Tests of the reduction, without any I/O.

mod sandbox;
mod templates;

use serde_json::{Value, json};

use super::*;
use crate::migration::facts::{
    ConsumerFacts, PodCredentials, PodFacts, ROLE_ARN, Restart, WorkloadFacts,
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
            "ServiceAccount" => all.service_accounts.push(of(&object)),
            "Pod" => all.pods.push(of(&object)),
            "ReplicaSet" => all.replica_sets.push(of(&object)),
            "Deployment" => all.deployments.push(of(&object)),
            "StatefulSet" => all.stateful_sets.push(of(&object)),
            "DaemonSet" => all.daemon_sets.push(of(&object)),
            "Job" => all.jobs.push(of(&object)),
            "CronJob" => all.cron_jobs.push(of(&object)),
            "ConfigMap" => all.config_maps.get_or_insert_default().push(of(&object)),
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
        json!({"kind": "ServiceAccount", "metadata": {"name": "web", "uid": "u1", "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {ROLE_ARN: "arn:aws:iam::123456789012:role/web", "meta.helm.sh/release-name": "web"}}}),
        json!({"kind": "ServiceAccount", "metadata": {"name": "default"}}),
    ]);
    assert_eq!(facts.namespace, "shop");
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
            "containerStatuses": [
                {
                    "name": "app", "restartCount": 2, "image": "", "imageID": "", "ready": true,
                    "state": {"running": {"startedAt": "1970-01-01T00:05:00Z"}},
                    "lastState": {"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:04:50Z"}},
                },
                {
                    "name": "side", "restartCount": 0, "image": "", "imageID": "", "ready": true,
                    "state": {"running": {"startedAt": "1970-01-01T00:06:00Z"}},
                },
            ],
            "initContainerStatuses": [{
                "name": "init", "restartCount": 1, "image": "", "imageID": "", "ready": true,
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:07:00Z"}},
            }],
        },
    }));
    assert_eq!(
        (facts.name.as_str(), facts.uid.as_str(), facts.created),
        ("p", "u", 100)
    );
    assert_eq!(facts.node.as_deref(), Some("n1"));
    assert!(facts.ready && facts.terminating && !facts.fargate);
    assert_eq!((facts.restarts, facts.last_restart), (3, Some(300)));
    assert_eq!(facts.spec.labels["app"], "x");
    let other = one_pod(pod("p"));
    assert_eq!((other.ready, other.last_restart), (false, None));
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
fn volumes_that_use_the_annotation() {
    let mounting = |name: &str, driver: &str, class: &str| {
        with(
            workload("Deployment", name),
            "spec.template.spec.volumes",
            json!([{"name": "v", "csi": {"driver": driver, "volumeAttributes": {"secretProviderClass": class}}}]),
        )
    };
    let class = |name: &str, provider: &str, parameters: Value| json!({"kind": "SecretProviderClass", "metadata": {"name": name}, "spec": {"provider": provider, "parameters": parameters}});
    let secrets = "secrets-store.csi.k8s.io";
    let workloads = vec![
        mounting("a", secrets, "irsa"),
        mounting("b", secrets, "agent"),
        mounting("c", secrets, "vault"),
        mounting("d", secrets, "missing"),
        mounting("e", "s3.csi.aws.com", ""),
        mounting("f", "ebs.csi.aws.com", ""),
    ];
    let consumers = |objects: Vec<Value>| -> Vec<(String, String, bool)> {
        let facts = shop(objects);
        let consumers = facts.consumers.into_iter();
        consumers
            .map(|c| {
                (
                    c.service_account,
                    format!("{} {}", c.kind, c.name),
                    c.certain,
                )
            })
            .collect()
    };
    let consumer =
        |account: &str, what: &str, certain| (account.to_owned(), what.to_owned(), certain);
    let mut known = workloads.clone();
    known.extend([
        class("irsa", "aws", json!({"objects": "x"})),
        class("agent", "aws", json!({"usePodIdentity": "true"})),
        class("vault", "vault", json!({})),
    ]);
    assert_eq!(
        consumers(known),
        [
            consumer("e", "CSI driver s3.csi.aws.com", false),
            consumer("a", "SecretProviderClass irsa", true),
        ]
    );
    let unknown = consumers(workloads);
    assert_eq!(unknown.len(), 5, "{unknown:?}");
    assert!(unknown.iter().all(|(_, _, certain)| !certain));
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
