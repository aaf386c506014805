//! The provider as a process under Terraform: interruption, secrets, logs.

#![cfg(unix)]

use podidentity_sandbox::Fault;

use crate::harness::Case;

const AGENT: &str =
    "resource \"podidentity_agent\" \"this\" {\n  cluster_name = \"{{cluster}}\"\n}\n";

/// The one write that matters is on the wire when Ctrl-C comes: its answer is awaited, so that the object is not lost.
#[test]
fn an_interrupted_write_is_not_abandoned() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.fault(Fault {
        operation: Some("CreateRole".into()),
        hold: true,
        ..Fault::default()
    });
    case.config("resource \"podidentity_role\" \"this\" {\n  name = \"{{name}}\"\n}\n");
    let running = case.start_apply();
    let outcome = case.interrupt_while_held(running);
    assert!(
        case.state().attributes("podidentity_role.this").is_some(),
        "{}",
        outcome.report()
    );
    case.destroy();
    assert_eq!(case.calls().get("iam:DeleteRole"), Some(&1));
}

/// Neither the access keys nor a token in a setting reach the log at its most talkative, the output, the plan or the state.
#[test]
fn secrets_are_nowhere() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    // Temporary credentials, for they have a token too.
    let aws = case.aws();
    let name = format!("{}-caller", case.name());
    let trust = case.fill(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"{{account_id}}"},"Action":"sts:AssumeRole"}]}"#);
    let role = aws.wait(
        aws.iam
            .create_role()
            .role_name(&name)
            .assume_role_policy_document(trust)
            .send(),
    );
    let arn = role.role().map(|role| role.arn().to_owned()).unwrap();
    let session = aws.wait(
        aws.sts
            .assume_role()
            .role_arn(arn)
            .role_session_name("test")
            .send(),
    );
    let credentials = session.credentials().unwrap();

    case.environment("TF_LOG", "TRACE")
        .environment("AWS_ACCESS_KEY_ID", credentials.access_key_id())
        .environment("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key())
        .environment("AWS_SESSION_TOKEN", credentials.session_token())
        .config("provider \"podidentity\" {\n  https_proxy = \"http://user:PROXYSECRET@127.0.0.1:9\"\n}\n".to_owned() + AGENT);
    let outcome = case.try_apply(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    assert!(
        outcome.stderr.contains("tf_rpc"),
        "there is a log to look at"
    );
    let plan = case.try_plan(&[]);
    let shown = case.run(&["show", "-json", "tfplan"]);
    for (place, text) in [
        ("log of apply", &outcome.stderr),
        ("output of apply", &outcome.stdout),
        ("log of plan", &plan.stderr),
        ("plan", &shown.stdout),
        ("state", &case.state().text()),
    ] {
        for (what, secret) in [
            ("secret key", credentials.secret_access_key()),
            ("session token", credentials.session_token()),
        ] {
            assert!(!text.contains(secret), "the {what} is in the {place}");
        }
        // Terraform itself keeps the configuration in the plan.
        assert!(
            place == "plan" || !text.contains("PROXYSECRET"),
            "the proxy's password is in the {place}"
        );
    }
}
