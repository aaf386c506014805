//! Calls against the sandbox: retries, ambiguity, cancellation.

use std::time::{Duration, Instant};

use podidentity_sandbox::{Drop, Fault, FaultError, JournalEntry, Options, Sandbox};

use super::*;
use crate::cty::Value;
use crate::provider::tests::data_for;

fn fault(operation: &str) -> Fault {
    Fault {
        operation: Some(operation.to_owned()),
        count: Some(1),
        ..Fault::default()
    }
}

fn server_error(operation: &str) -> Fault {
    Fault {
        error: Some(FaultError {
            code: "ServerException".to_owned(),
            message: "Something went wrong".to_owned(),
            status: 500,
        }),
        ..fault(operation)
    }
}

fn sandbox() -> Sandbox {
    Sandbox::start(Options::default()).unwrap()
}

fn count(sandbox: &Sandbox, operation: &str) -> usize {
    sandbox
        .requests()
        .iter()
        .filter(|entry| entry.operation == operation)
        .count()
}

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

#[tokio::test]
async fn throttling_is_retried() {
    let sandbox = sandbox();
    sandbox.fault(Fault {
        throttle: true,
        ..fault("DescribeCluster")
    });
    let data = data_for(&sandbox, &[]).await;
    data.cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap();
    assert_eq!(count(&sandbox, "DescribeCluster"), 2);
}

#[tokio::test]
async fn max_retries_limits_attempts() {
    let sandbox = sandbox();
    sandbox.fault(Fault {
        count: None,
        ..server_error("DescribeCluster")
    });
    let data = data_for(&sandbox, &[("max_retries", Value::from(2))]).await;
    let error = data
        .cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap_err();
    assert_eq!(count(&sandbox, "DescribeCluster"), 3);
    assert_eq!(error.http_status(), Some(500));
    assert_eq!(error.kind(), AwsErrorKind::Other);
    let detail = error.into_diagnostic("Reading EKS cluster", "", "").detail;
    for part in [
        "EKS DescribeCluster: ServerException: Something went wrong",
        "HTTP 500",
        "request id ",
        "3 attempts",
    ] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

#[tokio::test]
async fn writes_tell_whether_an_earlier_attempt_may_have_worked() {
    for (name, rule, ambiguous, kind) in [
        ("none", None, false, None),
        (
            "dropped before",
            Some(Fault {
                drop: Some(Drop::Before),
                ..fault("CreateRole")
            }),
            true,
            None,
        ),
        (
            "dropped after",
            Some(Fault {
                drop: Some(Drop::After),
                ..fault("CreateRole")
            }),
            true,
            Some(AwsErrorKind::AlreadyExists),
        ),
        ("server error", Some(server_error("CreateRole")), true, None),
        (
            "throttled",
            Some(Fault {
                throttle: true,
                ..fault("CreateRole")
            }),
            false,
            None,
        ),
    ] {
        let sandbox = sandbox();
        sandbox.clear_faults();
        if let Some(rule) = rule {
            sandbox.fault(rule);
        }
        let data = data_for(&sandbox, &[]).await;
        let call = data
            .iam()
            .unwrap()
            .create_role()
            .role_name("payments")
            .assume_role_policy_document(TRUST)
            .send();
        match (write(&CancellationToken::new(), call).await, kind) {
            (Ok(written), None) => assert_eq!(written.ambiguous_retry, ambiguous, "{name}"),
            (Err(error), Some(kind)) => {
                assert_eq!(error.kind(), kind, "{name}: {error:?}");
                assert_eq!(error.after_ambiguous_attempt(), ambiguous, "{name}");
                assert_eq!(error.action().as_deref(), Some("iam:CreateRole"));
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_plain_already_exists_is_not_ambiguous() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    let create = || {
        data.iam()
            .unwrap()
            .create_role()
            .role_name("payments")
            .assume_role_policy_document(TRUST)
            .send()
    };
    let cancel = CancellationToken::new();
    write(&cancel, create()).await.unwrap();
    let error = write(&cancel, create()).await.unwrap_err();
    assert_eq!(error.kind(), AwsErrorKind::AlreadyExists);
    assert_eq!(error.code(), Some("EntityAlreadyExists"));
    assert!(!error.after_ambiguous_attempt());
    assert!(error.request_id().is_some());
}

/// What ends at once, on a machine that has other things to do as well.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A rule that withholds the answers of one operation until the faults are cleared.
fn hold(operation: &str) -> Fault {
    Fault {
        hold: true,
        count: None,
        ..fault(operation)
    }
}

/// Waits until the journal is as `condition` wants it. In real time: the sandbox runs in threads of its own, so paused
/// time would run ahead of it.
async fn until(sandbox: &Sandbox, condition: impl Fn(&[JournalEntry]) -> bool) {
    while !condition(&sandbox.requests()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Stops once the sandbox withholds an answer, and tells when that was.
async fn stop_when_held(sandbox: &Sandbox, cancel: &CancellationToken) -> Instant {
    until(sandbox, |entries| entries.iter().any(|entry| entry.held)).await;
    cancel.cancel();
    Instant::now()
}

#[tokio::test]
async fn a_stop_ends_a_read_at_once() {
    let sandbox = sandbox();
    sandbox.fault(hold("DescribeCluster"));
    let data = data_for(&sandbox, &[]).await;
    let cancel = CancellationToken::new();
    let call = data.cluster(&cancel, "demo");
    let (answer, stopped) = tokio::join!(call, stop_when_held(&sandbox, &cancel));
    assert!(answer.unwrap_err().is_cancelled());
    assert!(stopped.elapsed() < AT_ONCE, "{:?}", stopped.elapsed());
}

#[tokio::test]
async fn a_stop_lets_a_write_on_the_wire_answer() {
    let sandbox = sandbox();
    sandbox.fault(hold("CreateRole"));
    let data = data_for(&sandbox, &[]).await;
    let cancel = CancellationToken::new();
    let call = data
        .iam()
        .unwrap()
        .create_role()
        .role_name("payments")
        .assume_role_policy_document(TRUST)
        .send();
    let (answer, ()) = tokio::join!(write(&cancel, call), async {
        stop_when_held(&sandbox, &cancel).await;
        // Time to give the call up, for a client that would.
        tokio::time::sleep(Duration::from_millis(50)).await;
        sandbox.clear_faults();
    });
    assert_eq!(
        answer.unwrap().output.role().unwrap().role_name(),
        "payments"
    );
}

#[tokio::test]
async fn a_stop_ends_a_write_between_attempts() {
    let sandbox = sandbox();
    sandbox.fault(Fault {
        throttle: true,
        count: None,
        ..fault("CreateRole")
    });
    let data = data_for(&sandbox, &[]).await;
    let cancel = CancellationToken::new();
    let call = data
        .iam()
        .unwrap()
        .create_role()
        .role_name("payments")
        .assume_role_policy_document(TRUST)
        .send();
    let (answer, stopped) = tokio::join!(write(&cancel, call), async {
        until(&sandbox, |entries| entries.len() >= 2).await;
        cancel.cancel();
        Instant::now()
    });
    let error = answer.unwrap_err();
    assert!(error.is_cancelled(), "{error:?}");
    assert!(!error.after_ambiguous_attempt());
    assert!(stopped.elapsed() < AT_ONCE, "{:?}", stopped.elapsed());
    // The third may have been under way.
    assert!(count(&sandbox, "CreateRole") <= 3);
}

#[tokio::test]
async fn nothing_is_sent_after_a_stop() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert!(
        data.cluster(&cancel, "demo")
            .await
            .unwrap_err()
            .is_cancelled()
    );
    assert_eq!(sandbox.requests().len(), 0);
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    let sandbox = sandbox();
    let data = data_for(&sandbox, &[]).await;
    // What only the first call costs is not to use the time up.
    let cancel = CancellationToken::new();
    data.cluster(&cancel, "other").await.unwrap_err();
    sandbox.fault(hold("DescribeCluster"));
    let start = Instant::now();
    let error = with_deadline(
        tokio::time::Instant::now() + Duration::from_secs(1),
        data.cluster(&cancel, "demo"),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), AwsErrorKind::Timeout);
    assert_eq!(error.operation(), "DescribeCluster");
    assert!(start.elapsed() < Duration::from_secs(1) + AT_ONCE);
}

#[tokio::test]
async fn a_refused_connection_is_not_retried_for_minutes() {
    let (_taken, address) = crate::provider::tests::refusing_address();
    let (data, _) = crate::provider::tests::configure(
        crate::provider::tests::environment(&format!("http://{address}"), &[]),
        crate::provider::tests::config(&[]),
    )
    .await;
    let start = Instant::now();
    let error = data
        .unwrap()
        .cluster(&CancellationToken::new(), "demo")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), AwsErrorKind::Connection, "{error:?}");
    assert!(!error.after_ambiguous_attempt());
    assert!(start.elapsed() < Duration::from_secs(20));
    let detail = error.into_diagnostic("Reading EKS cluster", "", "").detail;
    assert!(detail.contains("refused"), "{detail}");
    assert!(detail.contains("5 attempts"), "{detail}");
}
