//! Tests of the client against the sandbox.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ServiceAccount;
use podidentity_sandbox::{Options, Sandbox};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::provider::ProviderData;
use crate::provider::tests::data_for;

fn sandbox() -> Sandbox {
    Sandbox::start(Options::default()).unwrap()
}

/// A sandbox with one service account, and the API of its cluster.
async fn with_account() -> (Sandbox, Arc<ProviderData>, Arc<ClusterApi>) {
    let sandbox = sandbox();
    sandbox
        .seed(json!({"clusters": [{
            "name": "demo",
            "namespaces": ["orders"],
            "service_accounts": [{"namespace": "orders", "name": "api", "annotations": {"a": "1"}}],
        }]}))
        .unwrap();
    let data = data_for(&sandbox, &[]).await;
    let api = data
        .kubernetes_api(&CancellationToken::new(), "demo")
        .await
        .unwrap();
    sandbox.clear_requests();
    (sandbox, data, api)
}

#[tokio::test]
async fn eks_is_asked_and_the_token_is_signed() {
    let (_sandbox, _data, api) = with_account().await;
    let cancel = CancellationToken::new();
    let account: ServiceAccount = api
        .get(&cancel, Some("orders"), "api")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(account.metadata.annotations.unwrap()["a"], "1");
    let missing: Option<ServiceAccount> = api.get(&cancel, Some("orders"), "no").await.unwrap();
    assert!(missing.is_none());
}
