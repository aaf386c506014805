//! The steps on Kubernetes objects, against the sandbox.

use std::sync::Arc;
use std::time::Duration;

use podidentity_sandbox::{Fault, FaultError, Options, Sandbox};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::injection::{self, Expected, Injected, NotProven, Propagation};
use super::service_account::{self, BREADCRUMB, Change, NotChanged};
use crate::kubernetes::ClusterApi;
use crate::provider::ProviderData;
use crate::provider::tests::data_for;

const ROLE: &str = "arn:aws:iam::123456789012:role/api";

/// A cluster with a role and the annotated service account orders/api, more of the cluster from `more`.
async fn world(more: Json) -> (Sandbox, Arc<ClusterApi>) {
    let (sandbox, data) = provider(more).await;
    let api = data
        .kubernetes_api(&CancellationToken::new(), "demo")
        .await
        .unwrap();
    sandbox.clear_requests();
    (sandbox, api)
}

/// [`world`] with the provider's data.
async fn provider(more: Json) -> (Sandbox, Arc<ProviderData>) {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }]});
    let mut cluster = json!({
        "name": "demo",
        "namespaces": ["orders"],
        "objects": [{
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {
                "namespace": "orders", "name": "api",
                "labels": {"app": "api", "team": "orders"},
                "annotations": {"eks.amazonaws.com/role-arn": ROLE, "eks.amazonaws.com/audience": "vault", "eks.amazonaws.com/token-expiration": "3600", "note": "käse"},
            },
            "secrets": [{"name": "legacy"}],
            "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
            "automountServiceAccountToken": false,
        }],
    });
    for (key, value) in more.as_object().unwrap() {
        match (cluster[key].as_array_mut(), value.as_array()) {
            (Some(list), Some(more)) => list.extend(more.iter().cloned()),
            _ => cluster[key] = value.clone(),
        }
    }
    sandbox
        .seed(json!({
            "iam": {"Roles": [{"RoleName": "api", "AssumeRolePolicyDocument": trust}]},
            "clusters": [cluster],
        }))
        .unwrap();
    let data = data_for(&sandbox, &[]).await;
    (sandbox, data)
}

fn associate(sandbox: &Sandbox) -> String {
    associate_account(sandbox, "api")
}

fn associate_account(sandbox: &Sandbox, name: &str) -> String {
    let request = json!({"clusterName": "demo", "namespace": "orders", "serviceAccount": name, "roleArn": ROLE});
    let answer = sandbox
        .call("eks", "CreatePodIdentityAssociation", request)
        .unwrap();
    answer["association"]["associationId"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn calls(sandbox: &Sandbox, operation: &str) -> usize {
    let requests = sandbox.requests();
    requests.iter().filter(|r| r.operation == operation).count()
}

const QUICK: Propagation = Propagation {
    consecutive: 5,
    interval: Duration::from_millis(5),
    timeout: Duration::from_secs(20),
};

mod rollout;

#[tokio::test(start_paused = true)]
async fn the_last_look_is_at_the_deadline() {
    let pause = Duration::from_secs(4);
    let start = tokio::time::Instant::now();
    let mut looks = vec![0];
    while let Some(pause) = super::until_next_look(pause, start + Duration::from_secs(10)) {
        tokio::time::sleep(pause).await;
        looks.push(start.elapsed().as_secs());
    }
    assert_eq!(looks, [0, 4, 8, 10]);
}

mod injection_tests {
    use super::*;

    async fn wait(
        api: &ClusterApi,
        expected: &Expected,
        propagation: &Propagation,
    ) -> Result<injection::Proof, NotProven> {
        let cancel = CancellationToken::new();
        injection::wait(&cancel, api, "orders", "api", expected, propagation).await
    }

    async fn probe(api: &ClusterApi, namespace: &str, name: &str) -> Result<Injected, NotProven> {
        injection::probe(&CancellationToken::new(), api, namespace, name).await
    }

    #[tokio::test]
    async fn waits_until_every_api_server_knows() {
        for webhook in [
            json!({"delay_probes": 6}),
            json!({"api_servers": 3, "delay_probes": 9}),
            // Long enough for more than five questions on a busy machine.
            json!({"api_servers": 3, "delay_ms": 2000}),
        ] {
            let (sandbox, api) = world(json!({"webhook": webhook})).await;
            let irsa = Injected::WebIdentity {
                role_arn: ROLE.into(),
            };
            assert_eq!(probe(&api, "orders", "api").await.unwrap(), irsa);
            let id = associate(&sandbox);
            let proof = wait(&api, &Expected::PodIdentity, &QUICK).await.unwrap();
            assert!(proof.asked > 5, "{webhook} {proof:?}");
            for _ in 0..6 {
                let now = probe(&api, "orders", "api").await.unwrap();
                assert_eq!(now, Injected::PodIdentity, "{webhook}");
            }
            assert!(
                sandbox
                    .state()
                    .to_string()
                    .find("podidentity-probe")
                    .is_none()
            );

            // And back.
            let request = json!({"clusterName": "demo", "associationId": id});
            sandbox
                .call("eks", "DeletePodIdentityAssociation", request)
                .unwrap();
            let back = Expected::WebIdentity {
                role_arn: ROLE.into(),
            };
            assert!(wait(&api, &back, &QUICK).await.unwrap().asked > 5);
            let patch = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": null}}});
            sandbox
                .call("kubernetes", "patch", json!({
                    "cluster": "demo", "method": "PATCH", "resource": "serviceaccounts", "namespace": "orders", "name": "api",
                    "media_type": "application/merge-patch+json", "body": patch,
                }))
                .unwrap();
            assert_eq!(
                wait(&api, &Expected::Nothing, &QUICK).await.unwrap().asked,
                5
            );
        }
    }

    #[tokio::test]
    async fn a_webhook_that_is_down_is_not_a_proof() {
        let (sandbox, api) = world(json!({"webhook": {"down": true}})).await;
        associate(&sandbox);
        // The first call of a client is slow.
        probe(&api, "orders", "api").await.unwrap();
        let soon = Propagation {
            timeout: Duration::from_millis(500),
            ..QUICK
        };
        let error = wait(&api, &Expected::PodIdentity, &soon).await.unwrap_err();
        let NotProven::TimedOut { last, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(last, &Some(Injected::Nothing));
        let detail = error.into_diagnostic("S", "", "").detail;
        assert!(
            detail.contains("no AWS credentials") && detail.contains("pod-identity-webhook"),
            "{detail}"
        );
    }

    #[tokio::test]
    async fn errors_say_what_is_missing() {
        let principal = "arn:aws:iam::123456789012:user/sandbox";
        let rules = json!([{"verbs": ["get", "list"], "resources": ["pods", "serviceaccounts"]}]);
        let (_sandbox, api) =
            world(json!({"access": [{"principal_arn": principal, "rules": rules}]})).await;
        let error = wait(&api, &Expected::PodIdentity, &QUICK)
            .await
            .unwrap_err();
        assert!(matches!(error, NotProven::Forbidden { .. }), "{error:?}");
        let detail = error.into_diagnostic("S", "", "").detail;
        assert!(
            detail.contains("verbs: [\"create\"]") && detail.contains("\"orders\""),
            "{detail}"
        );

        let (sandbox, api) = world(json!({})).await;
        let error = probe(&api, "orders", "nobody").await.unwrap_err();
        assert!(
            matches!(error, NotProven::ServiceAccountMissing { .. }),
            "{error:?}"
        );
        assert!(probe(&api, "nowhere", "api").await.is_err());
        sandbox.fault(Fault {
            service: Some("kubernetes".into()),
            operation: Some("create pods".into()),
            error: Some(FaultError {
                code: "Forbidden".into(),
                message: "pods \"podidentity-probe-\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=9".into(),
                status: 403,
            }),
            ..Fault::default()
        });
        let error = probe(&api, "orders", "api").await.unwrap_err();
        let NotProven::Refused { by, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(by, "The ResourceQuota \"small\"");
    }
}

mod service_account_tests {
    use super::*;

    fn account(sandbox: &Sandbox) -> Json {
        sandbox
            .kubernetes_object("demo", "serviceaccounts", Some("orders"), "api")
            .unwrap()
    }

    /// Without what every write changes.
    fn without_bookkeeping(mut object: Json) -> Json {
        for field in ["resourceVersion", "managedFields"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        object
    }

    fn foreign_write(status: u16) -> Fault {
        Fault {
            service: Some("kubernetes".into()),
            operation: Some("patch serviceaccounts".into()),
            count: Some(3),
            error: Some(FaultError {
                code: "Conflict".into(),
                message: "Operation cannot be fulfilled on serviceaccounts \"api\": the object has been modified; please apply your changes to the latest version and try again".into(),
                status,
            }),
            ..Fault::default()
        }
    }

    #[tokio::test]
    async fn nothing_but_the_annotations_changes_and_all_comes_back() {
        let (sandbox, api) = world(json!({})).await;
        let cancel = CancellationToken::new();
        let before = account(&sandbox);
        let trust = "{\"Version\":\"2012-10-17\",\"Statement\":[]}";

        let noted = service_account::note_trust(&cancel, &api, "orders", "api", ROLE, trust)
            .await
            .unwrap();
        assert_eq!(
            noted
                .now()
                .breadcrumb
                .as_ref()
                .unwrap()
                .trust_policy
                .as_deref(),
            Some(trust)
        );
        assert_eq!(noted.now().annotations["eks.amazonaws.com/role-arn"], ROLE);

        // Somebody else writes in between, three times.
        sandbox.fault(foreign_write(409));
        let retired =
            service_account::retire_annotations(&cancel, &api, "orders", "api", Some(ROLE))
                .await
                .unwrap();
        assert_eq!(calls(&sandbox, "patch serviceaccounts"), 1 + 4);
        assert!(retired.is_patched());
        let crumb = retired.now().breadcrumb.clone().unwrap();
        assert_eq!(crumb.trust_policy.as_deref(), Some(trust));
        assert_eq!(crumb.annotations["eks.amazonaws.com/audience"], "vault");

        let mut expected = before.clone();
        let annotations = expected["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.remove("eks.amazonaws.com/role-arn");
        annotations.remove("eks.amazonaws.com/audience");
        let mut now = account(&sandbox);
        let crumb = now["metadata"]["annotations"]
            .as_object_mut()
            .unwrap()
            .remove(BREADCRUMB);
        assert!(crumb.unwrap().as_str().unwrap().contains(ROLE));
        assert_eq!(without_bookkeeping(now), without_bookkeeping(expected));

        for _ in 0..2 {
            sandbox.clear_requests();
            let again =
                service_account::retire_annotations(&cancel, &api, "orders", "api", Some(ROLE));
            assert!(matches!(again.await.unwrap(), Change::Unchanged(_)));
            let again = service_account::note_trust(&cancel, &api, "orders", "api", ROLE, trust);
            assert!(matches!(again.await.unwrap(), Change::Unchanged(_)));
            assert_eq!(calls(&sandbox, "patch serviceaccounts"), 0);
        }

        let restored = service_account::restore_annotations(&cancel, &api, "orders", "api")
            .await
            .unwrap();
        let crumb = restored.now().breadcrumb.clone().unwrap();
        assert_eq!(crumb.trust_policy_of(ROLE), Some(trust));
        assert!(crumb.annotations.is_empty());
        let cleared = service_account::clear_trust(&cancel, &api, "orders", "api")
            .await
            .unwrap();
        assert_eq!(cleared.now().breadcrumb, None);
        assert_eq!(
            without_bookkeeping(account(&sandbox)),
            without_bookkeeping(before)
        );
        let again = service_account::restore_annotations(&cancel, &api, "orders", "api");
        assert!(!again.await.unwrap().is_patched());
        let requests = sandbox.requests();
        assert!(requests.iter().all(|r| !r.operation.starts_with("update")));
    }

    #[tokio::test]
    async fn a_value_that_somebody_has_set_since_stays() {
        let (sandbox, api) = world(json!({})).await;
        let cancel = CancellationToken::new();
        service_account::retire_annotations(&cancel, &api, "orders", "api", Some(ROLE))
            .await
            .unwrap();
        let other = "arn:aws:iam::123456789012:role/other";
        let patch = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": other}}});
        sandbox
            .call("kubernetes", "patch", json!({
                "cluster": "demo", "method": "PATCH", "resource": "serviceaccounts", "namespace": "orders", "name": "api",
                "media_type": "application/merge-patch+json", "body": patch,
            }))
            .unwrap();
        let restored = service_account::restore_annotations(&cancel, &api, "orders", "api")
            .await
            .unwrap();
        let [kept] = restored.now().kept.as_slice() else {
            panic!("{restored:?}");
        };
        assert_eq!((kept.found.as_str(), kept.before.as_str()), (other, ROLE));
        let annotations = account(&sandbox)["metadata"]["annotations"].clone();
        assert_eq!(annotations["eks.amazonaws.com/role-arn"], other);
        assert_eq!(annotations["eks.amazonaws.com/audience"], "vault");
        assert_eq!(annotations[BREADCRUMB], Json::Null);
    }

    #[tokio::test]
    async fn what_cannot_be_done_is_typed() {
        let (sandbox, api) = world(json!({})).await;
        let cancel = CancellationToken::new();
        let missing = service_account::retire_annotations(&cancel, &api, "orders", "no", None);
        assert!(missing.await.unwrap_err().is_missing());
        let other = "arn:aws:iam::123456789012:role/other";
        let changed =
            service_account::retire_annotations(&cancel, &api, "orders", "api", Some(other));
        assert!(matches!(
            changed.await.unwrap_err(),
            NotChanged::Changed { .. }
        ));
        assert_eq!(calls(&sandbox, "patch serviceaccounts"), 0);

        sandbox.fault(Fault {
            count: None,
            ..foreign_write(409)
        });
        let contended = service_account::note_trust(&cancel, &api, "orders", "api", ROLE, "{}");
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel();
        };
        let (contended, ()) = tokio::join!(contended, stopping);
        let error = contended.unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
    }
}
