//! Findings and workloads as diagnostics and attributes.

use crate::framework::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::framework::model::Attr;
use crate::migration::facts::{PodCredentials, Restart};
use crate::migration::finding::{Code, Finding, Weight};

use super::super::PLANNING;
use super::super::reality::Reality;
use super::super::schema::{FindingModel, Migration, WorkloadModel};
use super::super::unit::{Unit, ignores, stopping};

/// Adds an error for blockers and a warning for what else is worth knowing.
pub(in crate::resources::irsa_migration) fn report(
    unit: &Unit,
    planned: &Migration,
    findings: &[Finding],
    diagnostics: &mut Diagnostics,
) {
    stop_for(unit, planned, findings, diagnostics);
    let lines: Vec<String> = findings
        .iter()
        .filter(|finding| finding.weight() == Weight::Warning || ignores(planned, finding.code))
        .map(line)
        .collect();
    if !lines.is_empty() {
        diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::warning(
                "Before this service account is migrated",
                format!("{}:\n{}", unit.describe(), lines.join("\n")),
            )
        });
    }
}

/// Adds an error if there are blockers that are not ignored.
pub(in crate::resources::irsa_migration) fn stop_for(
    unit: &Unit,
    migration: &Migration,
    findings: &[Finding],
    diagnostics: &mut Diagnostics,
) {
    let stopping: Vec<&Finding> = stopping(findings, migration).collect();
    if let Some(first) = stopping.first() {
        let lines: Vec<String> = stopping.iter().map(|finding| line(finding)).collect();
        diagnostics.error(
            PLANNING,
            format!(
                "The {} cannot be migrated safely, and nothing is changed:\n{}\n\nMend what is found. A blocker that you know to \
                 be harmless here can be listed: ignore_blockers = [\"{}\"].",
                unit.inside(),
                lines.join("\n"),
                first.code
            ),
        );
    }
}

fn line(finding: &Finding) -> String {
    format!("  - {}: {}", finding.code, finding.message)
}

/// Blockers and warnings as attributes.
pub(in crate::resources::irsa_migration) fn finding_models(
    findings: &[Finding],
) -> (Vec<FindingModel>, Vec<FindingModel>) {
    let of = |weight: Weight| {
        findings
            .iter()
            .filter(|finding| finding.weight() == weight)
            .map(|finding| FindingModel {
                code: finding.code.as_str().into(),
                message: Attr::Known(finding.message.clone()),
            })
            .collect()
    };
    (of(Weight::Blocker), of(Weight::Warning))
}

pub(in crate::resources::irsa_migration) fn models_to_findings(
    models: &Attr<Vec<FindingModel>>,
) -> Vec<Finding> {
    models
        .known()
        .into_iter()
        .flatten()
        .filter_map(|model| {
            let code: Code = model.code.as_deref()?.parse().ok()?;
            Some(Finding::new(code, model.message.as_deref()?))
        })
        .collect()
}

/// Workloads as an attribute. In a plan, numbers that an autoscaler moves are unknown.
pub(in crate::resources::irsa_migration) fn workload_models(
    reality: &Reality,
    planning: bool,
) -> Vec<WorkloadModel> {
    let mut models: Vec<WorkloadModel> = reality
        .workloads()
        // A Job or a bare pod may be gone before the plan is applied.
        .filter(|workload| !planning || !matches!(workload.id.kind.as_str(), "Job" | "Pod"))
        .map(|workload| {
            let pods: Vec<_> = reality
                .pods()
                .filter(|pod| pod.workload == workload.id && !pod.terminating)
                .collect();
            let moved = pods
                .iter()
                .filter(|pod| pod.credentials == PodCredentials::PodIdentity)
                .count();
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            // Nodes come and go, and pods of a DaemonSet with them. What has no pods now was scaled down, and will be up.
            let autoscaled =
                matches!(workload.replicas, None | Some(0)) || workload.id.kind == "DaemonSet";
            // A run that was killed may have begun to restart it.
            let moving = reality.association.is_some() && moved < pods.len();
            WorkloadModel {
                kind: Attr::Known(workload.id.kind.clone()),
                name: Attr::Known(workload.id.name.clone()),
                pods: match workload.replicas {
                    _ if planning && autoscaled => Attr::Unknown,
                    Some(replicas) => Attr::Known(replicas),
                    None => Attr::Known(number(pods.len())),
                },
                // While nothing has moved the number is zero however many pods there are.
                pods_on_pod_identity: if planning && (moving || autoscaled && moved > 0) {
                    Attr::Unknown
                } else {
                    Attr::Known(number(moved))
                },
                restart: match &workload.restart {
                    Restart::Rolling => "rolling".into(),
                    Restart::Manual(why) => Attr::Known(why.clone()),
                    Restart::Unknown => "unknown".into(),
                },
            }
        })
        .collect();
    models.sort_by(|a, b| {
        (a.kind.as_deref(), a.name.as_deref()).cmp(&(b.kind.as_deref(), b.name.as_deref()))
    });
    models
}
