use super::*;
use crate::data_sources::irsa_inventory::survey::Trust;
use crate::migration::facts::{AssociationFacts, MIGRATION_TAG, WorkloadId};
use crate::migration::finding::Code;
use crate::policy::irsa::Access;

const ACCOUNT: &str = "123456789012";

fn entry(namespace: &str, name: &str) -> Entry {
    Entry {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        exists: true,
        has_annotation: true,
        is_named: true,
        role_arn: Some(format!(
            "arn:aws:iam::{ACCOUNT}:role/team/{namespace}-{name}"
        )),
        trust: Some(Trust {
            irsa: Access::Allowed,
            via: Some(Via::Exact),
            pod_identity: Access::NotAllowed,
        }),
        migratable: true,
        ..Entry::default()
    }
}

fn workload(kind: &str, name: &str, pods: usize, on: usize, restart: Restart) -> Workload {
    Workload {
        id: WorkloadId {
            kind: kind.to_owned(),
            name: name.to_owned(),
        },
        pods,
        pods_on_pod_identity: on,
        restart,
    }
}

fn blocked(mut entry: Entry, code: Code, message: &str) -> Entry {
    entry.findings.push(Finding::new(code, message));
    entry.migratable = false;
    entry
}

/// One of each kind.
fn inventory() -> Inventory {
    let api = Entry {
        workloads: vec![
            workload(
                "CronJob",
                "cleanup",
                0,
                0,
                Restart::Manual("ends by itself".into()),
            ),
            workload("Deployment", "api", 2, 0, Restart::Rolling),
        ],
        findings: vec![Finding::new(
            Code::AnnotationOwned,
            "The Helm release \"api\" manages the annotation.",
        )],
        ..entry("payments", "api")
    };
    let ledger = Entry {
        association: Some(AssociationFacts {
            id: "a-1".into(),
            tags: [(MIGRATION_TAG.to_owned(), "true".to_owned())].into(),
            ..AssociationFacts::default()
        }),
        phase: Phase::Verified,
        workloads: vec![workload("Deployment", "ledger", 1, 1, Restart::Rolling)],
        ..entry("payments", "ledger")
    };
    let worker = Entry {
        association: Some(AssociationFacts {
            id: "a-2".into(),
            tags: [(MIGRATION_TAG.to_owned(), "true".to_owned())].into(),
            ..AssociationFacts::default()
        }),
        phase: Phase::Propagated,
        workloads: vec![workload("StatefulSet", "worker", 3, 1, Restart::Rolling)],
        trust: Some(Trust {
            irsa: Access::Allowed,
            via: Some(Via::Exact),
            pod_identity: Access::Allowed,
        }),
        ..entry("payments", "worker")
    };
    let shared = |name: &str, other: &str| Entry {
        role_arn: Some(format!("arn:aws:iam::{ACCOUNT}:role/orders")),
        shared_with: vec![format!("orders/{other}")],
        ..entry("orders", name)
    };
    let odd = blocked(
        Entry {
            role_arn: Some("not|an\n`arn` @team".into()),
            trust: None,
            ..entry("orders", "odd")
        },
        Code::AnnotationInvalid,
        "\"not|an\\n`arn` @team\" is not the ARN of a role, see #12 and <b>.",
    );
    let named = blocked(
        Entry {
            exists: false,
            has_annotation: false,
            is_named: false,
            trusted_by: vec![format!("arn:aws:iam::{ACCOUNT}:role/orders")],
            role_arn: Some(format!("arn:aws:iam::{ACCOUNT}:role/orders")),
            ..entry("orders", "gone")
        },
        Code::ServiceAccountMissing,
        "There is no service account orders/gone.",
    );
    let foreign = blocked(
        Entry {
            association: Some(AssociationFacts {
                id: "a-3".into(),
                ..AssociationFacts::default()
            }),
            phase: Phase::Verified,
            ..entry("payments", "foreign")
        },
        Code::AssociationExists,
        "payments/foreign has the association a-3 with the same role and settings.",
    );
    let unread = Entry {
        trust: None,
        migratable: false,
        ..entry("payments", "unread")
    };
    let mut entries = vec![
        foreign,
        unread,
        named,
        odd,
        shared("consumer", "web"),
        shared("web", "consumer"),
        api,
        ledger,
        worker,
    ];
    entries.sort_by_key(Entry::key);
    Inventory {
        cluster: "demo".into(),
        cluster_findings: vec![],
        entries,
    }
}

fn golden(name: &str, expected: &str, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = format!(
            "{}/src/data_sources/irsa_inventory/report/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::write(path, found).unwrap();
        return;
    }
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(found, expected, "{name}");
}

#[test]
fn the_report_says_what_is_there_what_blocks_and_what_to_do() {
    golden(
        "every_kind.md",
        include_str!("every_kind.md"),
        &markdown(&inventory()),
    );
}

#[test]
fn what_is_about_the_cluster_stands_once() {
    let missing = Finding::new(Code::AgentMissing, "There is no agent on demo.");
    let mut inventory = inventory();
    inventory.cluster_findings = vec![missing.clone()];
    for entry in &mut inventory.entries {
        entry.findings.insert(0, missing.clone());
        entry.migratable = entry.is_under_way();
    }
    let report = markdown(&inventory);
    assert_eq!(report.matches("There is no agent on demo.").count(), 1);
    assert!(
        report.contains(
            "\n## Cluster\n\n- **blocker** `agent_missing`: There is no agent on demo.\n"
        )
    );
    assert!(report.contains("1. Make the cluster ready"));
    assert!(!report.contains("wave1"), "nothing can be migrated");
    assert!(report.contains("| `ledger` | `payments-ledger` | IRSA | Deployment `ledger` (on Pod Identity) | all pods on Pod Identity | done |"));
}

#[test]
fn a_cluster_without_irsa() {
    let report = markdown(&Inventory {
        cluster: "demo".into(),
        ..Inventory::default()
    });
    assert_eq!(
        report,
        "# From IRSA to EKS Pod Identity: cluster `demo`\n\n\
         No service account uses IRSA: none has the annotation `eks.amazonaws.com/role-arn`.\n"
    );
}

#[test]
fn a_large_report_still_fits_into_a_comment() {
    for (namespaces, per_namespace) in [(1, 3_000), (300, 10), (20, 50)] {
        let entries: Vec<Entry> = (0..namespaces)
            .flat_map(|n| (0..per_namespace).map(move |a| (n, a)))
            .map(|(n, a)| Entry {
                shared_with: vec![format!("team-{n:03}/another")],
                findings: vec![Finding::new(
                    Code::RoleShared,
                    "Other service accounts use the role as well, and stay on IRSA until each is migrated by itself.",
                )],
                ..entry(&format!("team-{n:03}"), &format!("app-{a:04}"))
            })
            .collect();
        let all = entries.len();
        let report = markdown(&Inventory {
            cluster: "demo".into(),
            cluster_findings: vec![],
            entries,
        });
        let size = report.chars().count();
        assert!(size <= 65_536, "{size}");
        assert!(size > 30_000, "as much as fits: {size}");
        assert!(report.contains("## Shared roles") && report.contains("## Next steps"));
        let rows = report
            .lines()
            .filter(|line| line.starts_with("| `app-"))
            .count();
        assert!(
            report.contains(&format!(
                "{} more service accounts are left out",
                all - rows
            )),
            "{rows} of {all} rows"
        );
    }
}

#[test]
fn every_table_row_has_its_columns() {
    let report = markdown(&inventory());
    let mut columns = 0;
    for line in report.lines() {
        if !line.starts_with('|') {
            columns = 0;
            continue;
        }
        let here = line.replace("\\|", "").matches('|').count();
        if columns == 0 {
            columns = here;
        }
        assert_eq!(here, columns, "{line}");
    }
}

/// Sentences about what could not be read are many where the rights are few.
#[test]
fn findings_about_the_cluster_leave_room_for_service_accounts() {
    for length in [100, 3_000] {
        let cluster_findings: Vec<Finding> = (0..600)
            .map(|n| Finding::new(Code::NotChecked, format!("{n:04} {}", "x".repeat(length))))
            .collect();
        let entries: Vec<Entry> = (0..1_000)
            .map(|n| Entry {
                findings: cluster_findings.clone(),
                ..entry("team", &format!("app-{n:04}"))
            })
            .collect();
        let report = markdown(&Inventory {
            cluster: "demo".into(),
            cluster_findings,
            entries,
        });
        let size = report.chars().count();
        assert!(size <= 65_536, "{size}");
        let rows = |start: &str| {
            report
                .lines()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert!(rows("| `app-") > 200, "{}", rows("| `app-"));
        let shown = rows("- `not_checked`");
        assert!(
            report.contains(&format!("- {} more findings are left out.", 600 - shown)),
            "{shown}"
        );
    }
}

#[test]
fn what_is_done_has_no_blockers_to_resolve() {
    let done = blocked(
        Entry {
            association: Some(AssociationFacts::default()),
            phase: Phase::Verified,
            ..entry("payments", "foreign")
        },
        Code::AssociationExists,
        "It exists.",
    );
    let report = markdown(&Inventory {
        cluster: "demo".into(),
        cluster_findings: vec![],
        entries: vec![done],
    });
    assert!(!report.contains("blocker"), "{report}");
    assert!(!report.contains("## Next steps"), "{report}");
}
