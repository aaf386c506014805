//! Against the sandbox, and what plans show.

use futures_util::future::join_all;
use podidentity_sandbox::{Fault, Options, Sandbox};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::policy::{ClusterArn, OidcIssuer, Scope};
use crate::provider::tests::data_for;

const LONG: Duration = Duration::from_secs(60);
const CLUSTER: &str = "arn:aws:eks:us-east-1:123456789012:cluster/demo";
const STS: &str = "sts.amazonaws.com";
const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/AAAA";

fn irsa(subjects: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Id":"mine","Statement":[{{"Sid":"Irsa","Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::123456789012:oidc-provider/{ISSUER}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"{ISSUER}:aud":"sts.amazonaws.com","{ISSUER}:sub":{subjects}}}}}}}]}}"#
    )
}

fn plain() -> String {
    irsa(r#""system:serviceaccount:payments:api""#)
}

fn grant_for(service_account: &str) -> Grant {
    Grant::new(
        ClusterArn::parse(CLUSTER).unwrap(),
        "payments",
        service_account,
    )
}

fn subject(service_account: &str) -> Subject {
    Subject {
        issuer: OidcIssuer::parse(ISSUER).unwrap(),
        namespace: "payments".to_owned(),
        service_account: service_account.to_owned(),
    }
}

async fn context(sandbox: &Sandbox) -> Context<ProviderData> {
    Context {
        provider: data_for(sandbox, &[]).await,
        cancel: CancellationToken::new(),
    }
}

fn sandbox(trust: &str) -> Sandbox {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    create(&sandbox, "payments", trust);
    sandbox
}

fn create(sandbox: &Sandbox, role: &str, trust: &str) {
    sandbox
        .call(
            "iam",
            "CreateRole",
            json!({"RoleName": role, "AssumeRolePolicyDocument": trust}),
        )
        .unwrap();
}

fn write(sandbox: &Sandbox, trust: &str) {
    sandbox
        .call(
            "iam",
            "UpdateAssumeRolePolicy",
            json!({"RoleName": "payments", "PolicyDocument": trust}),
        )
        .unwrap();
}

fn count(sandbox: &Sandbox, operation: &str) -> usize {
    let requests = sandbox.requests();
    requests.iter().filter(|r| r.operation == operation).count()
}

fn fault(operation: &str, count: u64) -> Fault {
    Fault {
        service: Some("iam".to_owned()),
        operation: Some(operation.to_owned()),
        count: Some(count),
        ..Fault::default()
    }
}

fn refusal(operation: &str, code: &str, status: u16) -> Fault {
    let error = json!({"service": "iam", "operation": operation, "error": {"code": code, "message": "no", "status": status}});
    serde_json::from_value(error).unwrap()
}

fn trusts(document: &str, service_account: &str) -> bool {
    let document = Document::parse(document).unwrap();
    !grant_for(service_account)
        .add(&document)
        .unwrap()
        .change
        .is_ours()
}

/// The document with trust in EKS Pod Identity for a service account.
fn with_grant(document: &str, grant: &Grant) -> String {
    let document = Document::parse(document).unwrap();
    grant.add(&document).unwrap().document.to_json()
}

/// Whether the service account is trusted by statements of ours only.
fn ours(granting: &Granting) -> bool {
    let change = &granting.change;
    change.is_ours() || matches!(change, GrantChange::Covered { ours: true, .. })
}

fn not_needed() -> bool {
    false
}

#[tokio::test]
async fn trust_is_added_once_and_taken_away_again() {
    // Scenario 1: the statement is added with a Sid, everything else stays, and a second time is a no-op.
    let sandbox = sandbox(&plain());
    let context = context(&sandbox).await;
    let wanted = grant_for("api");
    let first = grant(&context, "payments", &wanted, &[], LONG)
        .await
        .unwrap();
    assert!(ours(&first) && first.change.is_ours());
    assert_eq!(first.before, plain());
    let (before, after): (Value, Value) = (
        serde_json::from_str(&first.before).unwrap(),
        serde_json::from_str(&first.after).unwrap(),
    );
    assert_eq!(before["Id"], after["Id"]);
    assert_eq!(before["Version"], after["Version"]);
    assert_eq!(
        before["Statement"][0].to_string(),
        after["Statement"][0].to_string()
    );
    assert_eq!(after["Statement"].as_array().unwrap().len(), 2);
    assert!(trusts(&first.after, "api") && !trusts(&first.after, "web"));
    let known = context.provider.role(&context.cancel, "payments").await;
    assert_eq!(known.unwrap().unwrap().assume_role_policy, first.after);

    sandbox.clear_requests();
    let second = grant(&context, "payments", &wanted, &[], LONG)
        .await
        .unwrap();
    assert!(ours(&second) && !second.change.is_ours());
    assert_eq!(
        (&second.before, &second.after),
        (&first.after, &first.after)
    );
    assert_eq!(count(&sandbox, "UpdateAssumeRolePolicy"), 0);
    assert_eq!(count(&sandbox, "GetRole"), 1);

    let verified = verify(&context, "payments", &wanted, LONG).await.unwrap();
    assert!(ours(&verified));

    let undone = revoke(
        &context,
        "payments",
        std::slice::from_ref(&wanted),
        &not_needed,
        LONG,
    )
    .await
    .unwrap();
    assert!(undone.changed);
    assert!(
        crate::policy::equivalent_json(&undone.after, &plain()),
        "{}",
        undone.after
    );
    sandbox.clear_requests();
    let again = revoke(
        &context,
        "payments",
        std::slice::from_ref(&wanted),
        &not_needed,
        LONG,
    )
    .await
    .unwrap();
    assert!(!again.changed);
    assert_eq!(count(&sandbox, "UpdateAssumeRolePolicy"), 0);
    sandbox
        .call("iam", "DeleteRole", json!({"RoleName": "payments"}))
        .unwrap();
    assert_eq!(
        revoke(
            &context,
            "payments",
            std::slice::from_ref(&wanted),
            &not_needed,
            LONG
        )
        .await
        .unwrap(),
        Reverting::default()
    );
    assert_eq!(current(&context, "payments").await.unwrap(), None);
}

#[tokio::test]
async fn what_trusts_already_is_neither_widened_nor_taken_away() {
    // Scenarios 9, 10 and 11.
    let pods = |condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Theirs","Effect":"Allow","Principal":{{"Service":"pods.eks.amazonaws.com"}},"Action":["sts:AssumeRole","sts:TagSession"]{condition}}}]}}"#
        )
    };
    let of_namespace = |namespace: &str| {
        format!(
            r#","Condition":{{"StringEquals":{{"aws:RequestTag/kubernetes-namespace":"{namespace}"}}}}"#
        )
    };
    for (name, trust, covered) in [
        ("without conditions", pods(""), true),
        (
            "with conditions that hold",
            pods(&of_namespace("payments")),
            true,
        ),
        (
            "with conditions for others",
            pods(&of_namespace("orders")),
            false,
        ),
    ] {
        let sandbox = sandbox(&trust);
        let context = context(&sandbox).await;
        let wanted = grant_for("api");
        let granted = grant(&context, "payments", &wanted, &[], LONG)
            .await
            .unwrap();
        assert_eq!(ours(&granted), !covered, "{name}");
        assert_eq!(
            count(&sandbox, "UpdateAssumeRolePolicy"),
            usize::from(!covered),
            "{name}"
        );
        let document = Document::parse(&granted.after).unwrap();
        let theirs = Document::parse(&trust).unwrap();
        assert_eq!(document.statements()[0], theirs.statements()[0], "{name}");
        assert_eq!(
            document.statements().len(),
            if covered { 1 } else { 2 },
            "{name}"
        );
        let undone = revoke(
            &context,
            "payments",
            std::slice::from_ref(&wanted),
            &not_needed,
            LONG,
        )
        .await
        .unwrap();
        assert_eq!(undone.changed, !covered, "{name}");
        assert_eq!(undone.after, trust, "{name}");
    }
}

#[tokio::test]
async fn one_subject_is_retired_and_restored() {
    let both =
        irsa(r#"["system:serviceaccount:payments:api","system:serviceaccount:payments:web"]"#);
    let sandbox = sandbox(&both);
    let context = context(&sandbox).await;
    // Not while it is the only way in.
    write(&sandbox, &plain());
    let error = retire(
        &context,
        "payments",
        &subject("api"),
        &grant_for("api"),
        LONG,
    )
    .await
    .unwrap_err();
    assert!(
        error.detail.contains("pods have credentials by IRSA"),
        "{}",
        error.detail
    );
    // Nor while EKS Pod Identity is denied.
    let mut denied: Value = serde_json::from_str(&both).unwrap();
    let pods = json!({"Service": "pods.eks.amazonaws.com"});
    let actions = json!(["sts:AssumeRole", "sts:TagSession"]);
    for effect in ["Allow", "Deny"] {
        let statement = json!({"Effect": effect, "Principal": pods, "Action": actions});
        denied["Statement"].as_array_mut().unwrap().push(statement);
    }
    write(&sandbox, &denied.to_string());
    let error = retire(
        &context,
        "payments",
        &subject("api"),
        &grant_for("api"),
        LONG,
    )
    .await
    .unwrap_err();
    assert!(error.detail.contains("by IRSA"), "{}", error.detail);
    // Nothing of ours goes either, where nothing else is left: IAM takes no document without statements.
    let only = json!({"Version": "2012-10-17", "Statement": []}).to_string();
    let only = with_grant(&only, &grant_for("api"));
    write(&sandbox, &only);
    let error = revoke(&context, "payments", &[grant_for("api")], &not_needed, LONG)
        .await
        .unwrap_err();
    assert!(
        error
            .detail
            .contains("does not accept one without statements"),
        "{}",
        error.detail
    );
    write(&sandbox, &both);

    grant(&context, "payments", &grant_for("api"), &[], LONG)
        .await
        .unwrap();
    let first = retire(
        &context,
        "payments",
        &subject("api"),
        &grant_for("api"),
        LONG,
    )
    .await
    .unwrap();
    assert!(first.changed && first.remaining.is_empty());
    assert!(!first.after.contains("payments:api\""), "{}", first.after);
    assert!(first.after.contains("payments:web"), "{}", first.after);
    assert!(trusts(&first.after, "api"));
    let again = retire(
        &context,
        "payments",
        &subject("api"),
        &grant_for("api"),
        LONG,
    )
    .await
    .unwrap();
    assert!(!again.changed);
    assert_eq!((&again.before, &again.after), (&first.after, &first.after));

    // Somebody else adds a statement meanwhile; it stays.
    let mut changed: Value = serde_json::from_str(&first.after).unwrap();
    let keep = json!({"Sid": "Keep", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"});
    changed["Statement"].as_array_mut().unwrap().push(keep);
    write(&sandbox, &changed.to_string());
    let back = restore(
        &context,
        "payments",
        &subject("api"),
        &first.before,
        STS,
        LONG,
    )
    .await
    .unwrap();
    assert!(back.changed);
    let document = Document::parse(&back.after).unwrap();
    assert_eq!(
        subject("api").access(&document, Some("sts.amazonaws.com")),
        crate::policy::irsa::Access::Allowed
    );
    assert!(back.after.contains("Keep"));
    let again = restore(
        &context,
        "payments",
        &subject("api"),
        &first.before,
        STS,
        LONG,
    )
    .await
    .unwrap();
    assert!(!again.changed);
    // Whoever lets the subject in again in another way, a stricter one say, has the last word.
    let source = r#""Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"#;
    let stricter = plain().replace(r#""Condition":{"#, source);
    let stricter = with_grant(&stricter, &grant_for("api"));
    write(&sandbox, &stricter);
    let context = self::context(&sandbox).await;
    let kept = restore(
        &context,
        "payments",
        &subject("api"),
        &first.before,
        STS,
        LONG,
    )
    .await
    .unwrap();
    assert!(!kept.changed, "{}", kept.after);
    // A role that is gone is passed over.
    let gone = restore(
        &context,
        "nobody",
        &subject("api"),
        &first.before,
        STS,
        LONG,
    )
    .await;
    assert_eq!(gone.unwrap(), Reverting::default());
    let error = restore(&context, "payments", &subject("api"), "{", STS, LONG)
        .await
        .unwrap_err();
    assert!(error.detail.contains("by hand"), "{}", error.detail);
}

#[tokio::test]
async fn a_writer_between_read_and_write_is_not_lost_in_the_end() {
    // Another process read before this one wrote, and writes while this one's write is on its way and after it.
    let sandbox = sandbox(&plain());
    let context = context(&sandbox).await;
    let theirs = with_grant(&plain(), &grant_for("web"));
    sandbox.fault(Fault {
        latency_ms: 400,
        ..fault("UpdateAssumeRolePolicy", 1)
    });
    let wanted = grant_for("api");
    let (granted, ()) = tokio::join!(grant(&context, "payments", &wanted, &[], LONG), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        write(&sandbox, &theirs);
    });
    // Our write carried a document without theirs; their own check finds that and repairs it.
    assert!(trusts(&granted.unwrap().after, "api"));
    let repaired = grant(&context, "payments", &grant_for("web"), &[], LONG)
        .await
        .unwrap();
    assert!(trusts(&repaired.after, "api") && trusts(&repaired.after, "web"));

    // The other way round: theirs replaces ours a moment after our read-back.
    write(&sandbox, &plain());
    let context = self::context(&sandbox).await;
    sandbox.clear_requests();
    let (granted, ()) = tokio::join!(grant(&context, "payments", &wanted, &[], LONG), async {
        while count(&sandbox, "UpdateAssumeRolePolicy") == 0 || count(&sandbox, "GetRole") < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        write(&sandbox, &theirs);
    });
    let after = granted.unwrap().after;
    assert!(trusts(&after, "api") && trusts(&after, "web"), "{after}");
    assert_eq!(count(&sandbox, "UpdateAssumeRolePolicy"), 2);
}

#[tokio::test]
async fn throttling_and_lost_answers_are_settled_by_reading() {
    let drop = |when: &str| {
        let fault = json!({"service": "iam", "operation": "UpdateAssumeRolePolicy", "count": 1, "drop": when});
        serde_json::from_value::<Fault>(fault).unwrap()
    };
    for (name, rule, writes) in [
        (
            "throttled",
            Fault {
                throttle: true,
                ..fault("UpdateAssumeRolePolicy", 3)
            },
            4,
        ),
        ("lost before", drop("before"), 2),
        ("lost after", drop("after"), 1),
        (
            "reads throttled",
            Fault {
                throttle: true,
                ..fault("GetRole", 2)
            },
            1,
        ),
        (
            "conflict",
            Fault {
                count: Some(1),
                ..refusal("UpdateAssumeRolePolicy", "ConcurrentModification", 409)
            },
            2,
        ),
        (
            "service failure",
            Fault {
                count: Some(1),
                ..refusal("UpdateAssumeRolePolicy", "ServiceFailure", 500)
            },
            2,
        ),
    ] {
        let sandbox = sandbox(&plain());
        let context = context(&sandbox).await;
        sandbox.fault(rule);
        let granted = grant(&context, "payments", &grant_for("api"), &[], LONG)
            .await
            .unwrap_or_else(|d| panic!("{name}: {}", d.detail));
        assert!(ours(&granted) && trusts(&granted.after, "api"), "{name}");
        assert_eq!(count(&sandbox, "UpdateAssumeRolePolicy"), writes, "{name}");
        let document = Document::parse(&granted.after).unwrap();
        assert_eq!(
            document.statements().len(),
            2,
            "{name}: one statement of ours"
        );
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let sandbox = sandbox(&plain());
    let context = context(&sandbox).await;
    let wanted = grant_for("api");
    for (name, rule, expected) in [
        (
            "denied",
            refusal("UpdateAssumeRolePolicy", "AccessDenied", 403),
            "iam:UpdateAssumeRolePolicy",
        ),
        (
            "not readable",
            refusal("GetRole", "AccessDenied", 403),
            "iam:GetRole",
        ),
        (
            "service-linked",
            refusal("UpdateAssumeRolePolicy", "UnmodifiableEntity", 400),
            "service-linked",
        ),
        (
            "malformed",
            refusal("UpdateAssumeRolePolicy", "MalformedPolicyDocument", 400),
            "IAM checks the whole document",
        ),
    ] {
        sandbox.fault(rule);
        let error = grant(&context, "payments", &wanted, &[], LONG)
            .await
            .unwrap_err();
        assert_eq!(error.summary, CHANGING, "{name}");
        assert!(error.detail.contains(expected), "{name}: {}", error.detail);
        sandbox.clear_faults();
    }
    let error = grant(&context, "nobody", &wanted, &[], LONG)
        .await
        .unwrap_err();
    assert!(
        error.detail.contains("no IAM role \"nobody\""),
        "{}",
        error.detail
    );

    // The quota: 2,048 characters, of which the old document takes nearly all.
    let subjects: Vec<String> = (0..35)
        .map(|n| format!("\"system:serviceaccount:payments:api-number-{n:02}\""))
        .collect();
    write(&sandbox, &irsa(&format!("[{}]", subjects.join(","))));
    let error = grant(&context, "payments", &wanted, &[], LONG)
        .await
        .unwrap_err();
    for part in [
        "would have 2",
        "IAM allows 2048",
        "L-C07B4B0D",
        "trust.scope",
    ] {
        assert!(error.detail.contains(part), "{part}: {}", error.detail);
    }

    let untagged = Grant {
        session_tags: false,
        ..wanted
    };
    let error = grant(&context, "payments", &untagged, &[], LONG)
        .await
        .unwrap_err();
    assert!(
        error.detail.contains("without session tags"),
        "{}",
        error.detail
    );
    let cluster = Grant {
        scope: Scope::Cluster,
        ..untagged
    };
    write(&sandbox, &plain());
    assert!(ours(
        &grant(&context, "payments", &cluster, &[], LONG)
            .await
            .unwrap()
    ));
}

#[tokio::test]
async fn a_principal_that_was_deleted_is_named() {
    let sandbox = sandbox(&plain());
    create(&sandbox, "friend", &plain());
    let mut trust: Value = serde_json::from_str(&plain()).unwrap();
    let friend = json!({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:role/friend"}, "Action": "sts:AssumeRole"});
    trust["Statement"].as_array_mut().unwrap().push(friend);
    write(&sandbox, &trust.to_string());
    sandbox
        .call("iam", "DeleteRole", json!({"RoleName": "friend"}))
        .unwrap();
    let context = context(&sandbox).await;
    let error = grant(&context, "payments", &grant_for("api"), &[], LONG)
        .await
        .unwrap_err();
    assert!(
        error.detail.contains("were deleted: AROA"),
        "{}",
        error.detail
    );
}

#[tokio::test]
async fn verifying_waits_for_somebody_else_and_then_says_what_is_missing() {
    let sandbox = sandbox(&plain());
    let context = context(&sandbox).await;
    let wanted = grant_for("api");
    let error = verify(&context, "payments", &wanted, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert_eq!(error.summary, NOT_TRUSTED);
    for part in [
        "trust.mode = \"manage\"",
        "provider::podidentity::merge_trust_policy",
        "\"Service\": \"pods.eks.amazonaws.com\"",
        CLUSTER,
    ] {
        assert!(error.detail.contains(part), "{part}: {}", error.detail);
    }
    assert_eq!(count(&sandbox, "UpdateAssumeRolePolicy"), 0);
    let theirs = with_grant(&plain(), &wanted);
    let (verified, ()) = tokio::join!(verify(&context, "payments", &wanted, LONG), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        write(&sandbox, &theirs);
    });
    assert_eq!(verified.unwrap().after, theirs);
}

#[tokio::test]
async fn ten_on_one_role_lose_no_update() {
    // Scenario 2. The issue asks for fifty repetitions of each: see `many_processes_on_one_role_lose_no_update` for the
    // rest, in time that does not pass.
    repeat_ten_on_one_role(3).await;
}

/// Ten grants at once, in one process and in ten, `repetitions` times each. Prints how many calls they took.
async fn repeat_ten_on_one_role(repetitions: usize) {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let one = context(&sandbox).await;
    let ten: Vec<_> = join_all((0..10).map(|_| context(&sandbox))).await;
    for processes in [1, 10] {
        let began = std::time::Instant::now();
        sandbox.clear_requests();
        for repetition in 0..repetitions {
            let role = format!("shared-{processes}-{repetition}");
            create(&sandbox, &role, &plain());
            let grants: Vec<_> = (0..10).map(|n| grant_for(&format!("api-{n}"))).collect();
            let results = join_all(grants.iter().enumerate().map(|(n, wanted)| {
                let context = if processes == 1 { &one } else { &ten[n] };
                grant(context, &role, wanted, &[], LONG)
            }))
            .await;
            let after = current(&one, &role).await.unwrap().unwrap();
            let document = Document::parse(&after.assume_role_policy).unwrap();
            assert_eq!(
                document.statements().len(),
                2,
                "{}",
                after.assume_role_policy
            );
            for (n, result) in results.into_iter().enumerate() {
                let granted = result.unwrap_or_else(|d| panic!("{}", d.detail));
                assert!(ours(&granted), "{n}");
                assert!(
                    trusts(&after.assume_role_policy, &format!("api-{n}")),
                    "processes {processes}, repetition {repetition}: api-{n} was lost"
                );
            }
            // And all of them out again, at once.
            let results = join_all(grants.iter().enumerate().map(|(n, wanted)| {
                let context = if processes == 1 { &one } else { &ten[n] };
                revoke(
                    context,
                    &role,
                    std::slice::from_ref(wanted),
                    &not_needed,
                    LONG,
                )
            }))
            .await;
            assert!(results.into_iter().all(|result| result.is_ok()));
            let after = current(&one, &role).await.unwrap().unwrap();
            assert!(
                crate::policy::equivalent_json(&after.assume_role_policy, &plain()),
                "{}",
                after.assume_role_policy
            );
        }
        let writes = count(&sandbox, "UpdateAssumeRolePolicy");
        let reads = count(&sandbox, "GetRole");
        eprintln!(
            "{repetitions} times ten grants and ten revocations on one role in {processes} processes: {writes} writes, {reads} reads, \
             0 lost, {:?}",
            began.elapsed()
        );
        if processes == 1 {
            assert_eq!(
                writes,
                20 * repetitions,
                "the lock lets one through at a time"
            );
        }
    }
}

#[tokio::test]
async fn former_statements_go_once_the_new_one_is_in_use() {
    let sandbox = sandbox(&plain());
    let context = context(&sandbox).await;
    let wide = Grant {
        scope: Scope::Cluster,
        ..grant_for("api")
    };
    let narrow = grant_for("api");
    grant(&context, "payments", &wide, &[], LONG).await.unwrap();
    let former = [wide.clone()];
    let beside = grant(&context, "payments", &narrow, &former, LONG)
        .await
        .unwrap();
    assert!(beside.written.is_some());
    let document = Document::parse(&beside.after).unwrap();
    assert_eq!(document.statements().len(), 3, "{}", beside.after);
    let replaced = replace(&context, "payments", &narrow, &former, LONG)
        .await
        .unwrap();
    assert!(trusts(&replaced.after, "api") && !trusts(&replaced.after, "web"));

    // Others who came to need a wide statement keep it, the narrow one goes.
    grant(
        &context,
        "payments",
        &wide,
        std::slice::from_ref(&narrow),
        LONG,
    )
    .await
    .unwrap();
    let all = [wide, narrow];
    let kept = revoke(&context, "payments", &all, &|| true, LONG)
        .await
        .unwrap();
    assert!(kept.changed && trusts(&kept.after, "web"), "{}", kept.after);
    let gone = revoke(&context, "payments", &all, &not_needed, LONG)
        .await
        .unwrap();
    assert!(
        crate::policy::equivalent_json(&gone.after, &plain()),
        "{}",
        gone.after
    );
}

#[tokio::test]
async fn holding_waits_for_what_was_written_a_moment_ago() {
    let sandbox = sandbox(&plain());
    let context = context(&sandbox).await;
    let wanted = grant_for("api");
    let apart = Duration::from_secs(2);
    let granted = grant(&context, "payments", &wanted, &[], LONG)
        .await
        .unwrap();
    assert!(granted.written.is_some());
    // How long granting itself has taken since does not count here.
    let written = Instant::now();
    sandbox.clear_requests();
    let known = Some(written);
    let held = hold(&context, "payments", &wanted, &[], known, apart, LONG)
        .await
        .unwrap();
    assert!(written.elapsed() >= apart && held.written.is_none());
    assert_eq!(count(&sandbox, "GetRole"), 2);
    assert_eq!(count(&sandbox, "UpdateAssumeRolePolicy"), 0);
    // Lost meanwhile.
    write(&sandbox, &plain());
    let context = self::context(&sandbox).await;
    let held = hold(
        &context,
        "payments",
        &wanted,
        &[],
        None,
        Duration::ZERO,
        LONG,
    )
    .await
    .unwrap();
    assert!(held.written.is_some() && trusts(&held.after, "api"));
}
