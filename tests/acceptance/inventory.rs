//! `podidentity_irsa_inventory`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use podidentity_sandbox::{Fault, seeds};
use serde_json::{Value, json};

use crate::harness::Case;

const THIS: &str = "data.podidentity_irsa_inventory.this";

fn config(arguments: &str) -> String {
    format!(
        "data \"podidentity_irsa_inventory\" \"this\" {{\n  cluster_name = \"demo\"\n  {arguments}\n}}\n"
    )
}

/// A sandbox with service accounts of many kinds.
fn demo() -> Option<Case> {
    let case = Case::sandbox_only()?;
    case.sandbox().seed(seeds::demo()).unwrap();
    Some(case)
}

fn account(case: &Case, key: &str) -> Value {
    let all = case.attribute(THIS, "service_accounts");
    all.get(key)
        .unwrap_or_else(|| panic!("{key} is not among {:?}", keys(&all)))
        .clone()
}

fn keys(accounts: &Value) -> Vec<String> {
    accounts.as_object().unwrap().keys().cloned().collect()
}

/// The codes of a list of findings, each once.
fn codes(account: &Value, list: &str) -> Vec<String> {
    let codes: BTreeSet<String> = account[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect();
    codes.into_iter().collect()
}

/// What is expected of a service account: blockers, some of its warnings, and its phase.
type Expected = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

#[test]
fn each_kind_of_service_account_gets_its_verdict() {
    let Some(mut case) = demo() else { return };
    case.config(config("") + &format!("output \"report\" {{ value = {THIS}.report_markdown }}\n"))
        .apply()
        .expect_empty_plan();

    let expected: [Expected; 16] = [
        ("analytics/etl", &["role_other_account"], &[], "not_started"),
        ("batch/runner", &["fargate"], &[], "not_started"),
        ("edge/collector", &[], &["manual_restart"], "not_started"),
        ("legacy/forgotten", &["role_not_found"], &[], "not_started"),
        (
            "legacy/reports",
            &["hard_coded_credentials"],
            &[],
            "not_started",
        ),
        ("orders/consumer", &[], &["role_shared"], "not_started"),
        ("orders/web", &[], &["role_shared"], "not_started"),
        ("payments/api", &[], &[], "not_started"),
        // Somebody else's association: not in the way of anything, since all pods are on Pod Identity.
        ("payments/ledger", &["association_exists"], &[], "verified"),
        ("payments/nightly", &[], &["manual_restart"], "not_started"),
        ("payments/worker", &[], &[], "not_started"),
        (
            "platform/deployer",
            &[],
            &["annotation_owned"],
            "not_started",
        ),
        (
            "platform/external-dns",
            &[],
            &["annotation_owned"],
            "not_started",
        ),
        (
            "platform/external-secrets",
            &[],
            &["annotation_consumers"],
            "not_started",
        ),
        (
            "preview-1/app",
            &[],
            &["wildcard_subject", "role_shared"],
            "not_started",
        ),
        (
            "preview-2/app",
            &[],
            &["wildcard_subject", "role_shared"],
            "not_started",
        ),
    ];
    let all = case.attribute(THIS, "service_accounts");
    assert_eq!(keys(&all), expected.map(|(key, ..)| key));
    for (key, blockers, warnings, phase) in expected {
        let account = &all[key];
        assert_eq!(codes(account, "blockers"), blockers, "{key}: {account:#}");
        let found = codes(account, "warnings");
        for warning in warnings {
            assert!(
                found.iter().any(|code| code == warning),
                "{key} {warning}: {found:?}"
            );
        }
        assert_eq!(account["phase"], phase, "{key}");
        assert_eq!(account["migratable"], blockers.is_empty(), "{key}");
        assert_eq!(account["has_annotation"], true, "{key}");
    }

    // Roles with a path, patterns, other accounts, owners, shared roles, associations.
    assert_eq!(all["payments/worker"]["role_name"], "payments-worker");
    assert_eq!(
        all["payments/worker"]["trust"],
        json!({"irsa": "allowed", "pod_identity": "not_allowed", "via": "exact"})
    );
    assert_eq!(all["preview-1/app"]["trust"]["via"], "pattern");
    assert_eq!(all["analytics/etl"]["account_id"], "210987654321");
    assert_eq!(all["analytics/etl"]["trust"], Value::Null);
    assert_eq!(all["platform/external-dns"]["owner"]["tool"], "helm");
    assert_eq!(all["platform/deployer"]["owner"]["tool"], "argo_cd");
    assert_eq!(all["orders/web"]["shared_with"], json!(["orders/consumer"]));
    let ledger = &all["payments/ledger"];
    assert_eq!(ledger["association_role_arn"], ledger["role_arn"]);
    assert_eq!(ledger["association_owner"], "other");
    assert_eq!(ledger["under_way"], false);
    assert_eq!(ledger["trust"]["pod_identity"], "allowed");
    assert_eq!(
        all["payments/api"]["workloads"],
        json!([{"kind": "Deployment", "name": "api", "pods": 2, "pods_on_pod_identity": 0, "restart": "rolling"}])
    );
    assert_eq!(all["edge/collector"]["workloads"][0]["kind"], "DaemonSet");
    assert_ne!(all["edge/collector"]["workloads"][0]["restart"], "rolling");

    let totals = case.attribute(THIS, "totals");
    assert_eq!(
        totals,
        json!({
            "blocked": 4, "in_progress": 0, "migratable": 11, "migrated": 1, "pods": totals["pods"], "pods_on_pod_identity": 1,
            "roles": 14, "service_accounts": 16, "shared_roles": 2, "without_annotation": 0,
        })
    );
    let report = case.output("report");
    let report = report.as_str().unwrap();
    for part in [
        "on Pod Identity already, not by a migration: `association_exists`",
        "## Namespace `payments`",
        "`hard_coded_credentials`",
        "## Shared roles",
        "podidentity_irsa_migration",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    eprintln!("{report}");

    // Nobody was written to.
    assert!(
        case.calls().keys().all(|call| {
            let operation = call.split_once(':').unwrap().1;
            ["Get", "List", "Describe", "get ", "list "]
                .iter()
                .any(|verb| operation.starts_with(verb))
        }),
        "{:?}",
        case.calls()
    );
}

#[test]
fn namespaces_and_labels_select() {
    let Some(mut case) = demo() else { return };
    case.config(config("namespaces = [\"orders\", \"preview-1\"]"))
        .apply()
        .expect_empty_plan();
    assert_eq!(
        keys(&case.attribute(THIS, "service_accounts")),
        ["orders/consumer", "orders/web", "preview-1/app"]
    );
    // Rights in the namespaces are enough.
    assert!(
        case.sandbox()
            .requests()
            .iter()
            .filter(|request| request.operation == "list serviceaccounts")
            .all(|request| request.path.contains("/namespaces/")),
    );

    case.config(config(
        "label_selector = \"app.kubernetes.io/managed-by in (Helm)\"",
    ))
    .apply();
    assert_eq!(
        keys(&case.attribute(THIS, "service_accounts")),
        ["platform/external-dns"]
    );
    // As the API server answers; the sandbox reads selectors with less care.
    let mut parameters = serde_json::Map::new();
    parameters.insert("labelSelector".into(), "a in (".into());
    case.fault(Fault {
        service: Some("kubernetes".into()),
        operation: Some("list serviceaccounts".into()),
        parameters,
        error: Some(podidentity_sandbox::FaultError {
            code: "BadRequest".into(),
            message: "unable to parse requirement: found '', expected: ',', or ')'".into(),
            status: 400,
        }),
        ..Fault::default()
    });
    case.config(config("label_selector = \"a in (\""))
        .plan_error("labels.*unable to parse.*label_selector as kubectl takes it")
        .on("label_selector");
    case.config(config("namespaces = [\"no-such-namespace\"]"))
        .apply();
    assert_eq!(
        case.attribute(THIS, "totals.service_accounts"),
        json!(0),
        "a namespace that is not there holds nothing"
    );
}

#[test]
fn a_role_that_may_not_be_read_is_told_and_the_rest_goes_on() {
    let Some(mut case) = demo() else { return };
    let mut parameters = serde_json::Map::new();
    parameters.insert("RoleName".into(), "payments-api".into());
    case.fault(Fault {
        service: Some("iam".into()),
        operation: Some("GetRole".into()),
        parameters,
        error: Some(podidentity_sandbox::FaultError {
            code: "AccessDenied".into(),
            message: "User is not authorized to perform: iam:GetRole".into(),
            status: 403,
        }),
        ..Fault::default()
    });
    case.config(config("")).apply();
    let api = account(&case, "payments/api");
    assert_eq!(api["migratable"], false);
    assert_eq!(api["trust"], Value::Null);
    assert!(codes(&api, "warnings").contains(&"not_checked".to_owned()));
    assert_eq!(account(&case, "payments/worker")["migratable"], true);
}

#[test]
fn what_cannot_be_read_at_all_is_an_error() {
    let Some(mut case) = demo() else { return };
    let _ = case
        .config("data \"podidentity_irsa_inventory\" \"this\" {}\n")
        .plan_error("Missing cluster name")
        .anywhere();
    case.config(config("").replace("demo", "no-such-cluster"))
        .plan_error("EKS cluster not found")
        .on("cluster_name");
    case.config(config(""));
    // Without them what is migrated would look as if it were not, and leave a `for_each`.
    for (service, operation, code, pattern) in [
        (
            "eks",
            "ListPodIdentityAssociations",
            "AccessDeniedException",
            "associations of the EKS cluster \"demo\" could not be read",
        ),
        (
            "eks",
            "DescribePodIdentityAssociation",
            "AccessDeniedException",
            "associations of the EKS cluster \"demo\" could not be read",
        ),
        (
            "kubernetes",
            "list serviceaccounts",
            "Forbidden",
            "(?i)service ?accounts",
        ),
    ] {
        case.sandbox().clear_faults();
        case.fault(Fault {
            service: Some(service.into()),
            operation: Some(operation.into()),
            error: Some(podidentity_sandbox::FaultError {
                code: code.into(),
                message: "not allowed".into(),
                status: 403,
            }),
            ..Fault::default()
        });
        let _ = case.plan_error(pattern).anywhere();
    }
}

/// One list per kind and 500 objects, one GetRole per distinct role, one ListPodIdentityAssociations per 100.
#[test]
fn a_thousand_service_accounts_over_three_hundred_roles() {
    let Some(mut case) = Case::sandbox_only() else {
        return;
    };
    case.sandbox().seed(seeds::large(1_000, 300)).unwrap();
    // A quarter has an association already.
    let associations: Vec<Value> = (0..250)
        .map(|n| {
            json!({"namespace": format!("team-{:02}", n % 20), "service_account": format!("app-{n:04}"),
                "role_arn": format!("arn:aws:iam::123456789012:role/app-{n:04}")})
        })
        .collect();
    case.sandbox()
        .seed(json!({"clusters": [{"name": "demo", "associations": associations}]}))
        .unwrap();
    case.config(config("")).clear_calls();
    let began = Instant::now();
    let mut running = case.start_apply();
    let mut memory = 0;
    while running.is_running() {
        memory = memory.max(running.provider_memory().unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let outcome = running.wait();
    assert_eq!(outcome.code, 0, "{}", outcome.report());
    let elapsed = began.elapsed();
    let calls: BTreeMap<String, usize> = case.calls();
    eprintln!(
        "inventory of 1000 service accounts, 300 roles: {} calls, terraform apply took {elapsed:.1?}, provider's peak memory {memory} KiB",
        calls.values().sum::<usize>()
    );
    for (call, count) in &calls {
        eprintln!("  {call}: {count}");
    }

    let totals = case.attribute(THIS, "totals");
    assert_eq!(totals["service_accounts"], 1_000);
    assert_eq!(totals["migratable"], 750);
    assert_eq!(totals["roles"], 300);
    assert_eq!(totals["shared_roles"], 300);
    assert_eq!(totals["pods"], 100);
    let report = case.text(THIS, "report_markdown");
    assert!(report.chars().count() <= 65_536);

    assert_eq!(calls["iam:GetRole"], 300);
    assert_eq!(calls["eks:ListPodIdentityAssociations"], 3);
    assert_eq!(calls["eks:DescribePodIdentityAssociation"], 250);
    // All pods, and those of the agent.
    assert_eq!(calls["kubernetes:list pods"], 2);
    // 1,000 and those named default, in pages of 500.
    for (resource, call) in [
        ("serviceaccounts", "list serviceaccounts"),
        ("deployments", "list deployments"),
        ("replicasets", "list replicasets"),
        ("statefulsets", "list statefulsets"),
        ("daemonsets", "list daemonsets"),
        ("jobs", "list jobs"),
        ("cronjobs", "list cronjobs"),
        ("networkpolicies", "list networkpolicies"),
    ] {
        let parameters = json!({"cluster": "demo", "resource": resource});
        let all = case
            .sandbox()
            .call("kubernetes", "list", parameters)
            .unwrap();
        let objects = all["items"].as_array().unwrap().len();
        assert_eq!(
            calls.get(&format!("kubernetes:{call}")).copied(),
            // The agent's pods are a list of their own.
            Some(objects.div_ceil(500).max(1) + usize::from(resource == "pods")),
            "{objects} {resource}: {calls:?}"
        );
    }
}

/// The configuration that the report proposes: what a wave has migrated stays in it.
#[test]
fn a_wave_over_the_inventory_stays_as_it_is_once_it_is_migrated() {
    let Some(mut case) = demo() else { return };
    case.config(config("") + &format!(
        "resource \"podidentity_irsa_migration\" \"wave1\" {{
  for_each        = {{ for key, account in {THIS}.service_accounts : key => account if account.migratable && account.namespace == \"payments\" }}
  cluster_name    = \"demo\"
  namespace       = each.value.namespace
  service_account = each.value.name
  propagation     = {{ consecutive = 2, interval = \"100ms\" }}
  rollout         = {{ strategy = \"restart\" }}
  retire          = {{ annotation = true, trust = true }}
}}
"
    ))
    .apply();
    // The second plan reads the inventory as the migration left it.
    case.expect_empty_plan().apply();
    for name in ["api", "nightly", "worker"] {
        let key = format!("payments/{name}");
        let found = account(&case, &key);
        assert_eq!(found["migratable"], true, "{found:#}");
        assert_eq!(found["has_annotation"], false, "{found:#}");
        assert_eq!(found["phase"], "retired", "{found:#}");
        assert_eq!(found["under_way"], true, "{found:#}");
        assert_eq!(found["association_owner"], "migration", "{found:#}");
        assert_eq!(found["trust"]["pod_identity"], "allowed", "{found:#}");
    }
    assert_eq!(case.sandbox().credential_report().violations, []);
    case.destroy();
    case.config(config("")).apply();
    assert_eq!(account(&case, "payments/api")["phase"], "not_started");
    assert_eq!(case.sandbox().credential_report().violations, []);
}
