//! The inventory as Markdown, for a pull request. Pure: the same inventory gives the same text.
//!
//! It says nothing of numbers of pods, nor of what runs and ends by itself: an output of it would change with every step of an autoscaler and
//! every run of a CronJob.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::migration::facts::Restart;
use crate::migration::finding::Finding;
use crate::migration::phase::Phase;
use crate::migration::preflight::workloads::passing;

use super::markdown::{code, text};
use super::survey::{AssociationOwner, Entry, Inventory, Standing, Via, Workload};

/// Characters that the report has at most: GitHub takes 65,536 in one comment, and a few words should fit around it.
const LIMIT: usize = 60_000;
/// Of these, what the lists after the namespaces may need.
const RESERVED: usize = 12_000;
/// Most rows of lists other than those of service accounts.
const MOST_ROWS: usize = 100;

/// How many service accounts are how far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    /// All.
    pub(super) service_accounts: usize,
    /// Those that a migration takes, or has taken.
    pub(super) migratable: usize,
    /// Those of them that no migration has begun with and that have not come to Pod Identity otherwise.
    pub(super) ready: usize,
    /// Those with a role and with blockers that no migration has begun with.
    pub(super) blocked: usize,
    /// Those that a migration has begun with, some pods of which still use IRSA.
    pub(super) in_progress: usize,
    /// Those with every pod on Pod Identity.
    pub(super) migrated: usize,
    /// Those without the annotation.
    pub(super) without_annotation: usize,
    /// Those that only a trust policy names.
    pub(super) trust_only: usize,
    /// Distinct roles that annotations name, or named before a migration removed them.
    pub(super) roles: usize,
    /// Those of them that several service accounts share.
    pub(super) shared_roles: usize,
    /// Pods.
    pub(super) pods: usize,
    /// Those of them on Pod Identity.
    pub(super) pods_on_pod_identity: usize,
}

impl Totals {
    /// Counts.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut totals = Self::default();
        let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in entries {
            totals.service_accounts += 1;
            totals.migratable += usize::from(entry.migratable);
            totals.without_annotation += usize::from(!entry.has_annotation);
            *match entry.standing() {
                Standing::Done => &mut totals.migrated,
                Standing::UnderWay => &mut totals.in_progress,
                Standing::Ready => &mut totals.ready,
                Standing::Blocked => &mut totals.blocked,
                Standing::TrustOnly => &mut totals.trust_only,
            } += 1;
            for workload in &entry.workloads {
                totals.pods += workload.pods;
                totals.pods_on_pod_identity += workload.pods_on_pod_identity;
            }
            if let Some(arn) = entry.role_arn.as_deref().filter(|_| entry.is_named) {
                *roles.entry(arn).or_default() += 1;
            }
        }
        totals.roles = roles.len();
        totals.shared_roles = roles.values().filter(|count| **count > 1).count();
        totals
    }
}

/// The report.
pub(super) fn markdown(inventory: &Inventory) -> String {
    let totals = Totals::of(&inventory.entries);
    let mut report = format!(
        "# From IRSA to EKS Pod Identity: cluster {}\n\n",
        code(&inventory.cluster)
    );
    if inventory.entries.is_empty() {
        report.push_str(
            "No service account uses IRSA: none has the annotation `eks.amazonaws.com/role-arn`.\n",
        );
    } else {
        summary(&mut report, &totals);
    }
    cluster(&mut report, &inventory.cluster_findings);
    let namespaces = by_namespace(inventory);
    overview(&mut report, &namespaces);
    let known: BTreeSet<&Finding> = inventory.cluster_findings.iter().collect();
    let mut omitted = 0;
    for (name, entries) in &namespaces {
        omitted += namespace(&mut report, name, entries, &known);
    }
    if omitted > 0 {
        writeln!(
            report,
            "\n{} left out, because forges limit the size of a comment. All of them are in the attribute `service_accounts`.",
            count(omitted, "more service account is", "more service accounts are")
        )
        .ok();
    }
    shared_roles(&mut report, inventory);
    if !inventory.entries.is_empty() {
        next_steps(&mut report, inventory, &namespaces);
    }
    report
}

type Namespaces<'a> = BTreeMap<&'a str, Vec<&'a Entry>>;

fn by_namespace(inventory: &Inventory) -> Namespaces<'_> {
    let mut namespaces = Namespaces::new();
    for entry in &inventory.entries {
        namespaces.entry(&entry.namespace).or_default().push(entry);
    }
    namespaces
}

fn summary(report: &mut String, totals: &Totals) {
    let Totals {
        service_accounts,
        ready,
        blocked,
        in_progress,
        migrated,
        trust_only,
        roles,
        shared_roles,
        ..
    } = totals;
    writeln!(
        report,
        "| | |\n|---|---:|\n\
         | Service accounts | {service_accounts} |\n\
         | Ready to be migrated | {ready} |\n\
         | Blocked | {blocked} |\n\
         | In progress | {in_progress} |\n\
         | On Pod Identity with all pods | {migrated} |\n\
         | Named by trust policies only | {trust_only} |\n\
         | Roles, of which shared | {roles}, {shared_roles} |"
    )
    .ok();
}

/// What holds for the whole cluster stands once, not in every row.
fn cluster(report: &mut String, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    report.push_str("\n## Cluster\n\n");
    let mut lines = String::new();
    for (index, finding) in findings.iter().enumerate() {
        let before = lines.len();
        lines.push_str("- ");
        words_of(&mut lines, finding, true);
        if index >= MOST_ROWS || lines.len() > RESERVED {
            lines.truncate(before);
            let left = findings.len() - index;
            writeln!(
                lines,
                "- {} left out.",
                count(left, "more finding is", "more findings are")
            )
            .ok();
            break;
        }
    }
    report.push_str(&lines);
}

fn overview(report: &mut String, namespaces: &Namespaces<'_>) {
    if namespaces.len() < 2 {
        return;
    }
    report.push_str("\n## Namespaces\n\n| Namespace | Service accounts | Ready | Blocked | In progress | Migrated |\n|---|---:|---:|---:|---:|---:|\n");
    for (name, entries) in namespaces.iter().take(MOST_ROWS) {
        let totals = Totals::of(entries.iter().copied());
        writeln!(
            report,
            "| {} | {} | {} | {} | {} | {} |",
            code(name),
            totals.service_accounts,
            totals.ready,
            totals.blocked,
            totals.in_progress,
            totals.migrated
        )
        .ok();
    }
    rest(report, namespaces.len(), "namespace");
}

/// Adds the section of a namespace and returns how many service accounts did not fit.
fn namespace(
    report: &mut String,
    name: &str,
    entries: &[&Entry],
    known: &BTreeSet<&Finding>,
) -> usize {
    let head = format!(
        "\n## Namespace {}\n\n| Service account | Role | Trust | Workloads | Phase | Verdict |\n|---|---|---|---|---|---|\n",
        code(name)
    );
    let mut rows = String::new();
    let mut details = String::new();
    let mut shown = 0;
    for entry in entries {
        let row = row(entry, known);
        let detail = detail(entry, known);
        let size = [report.as_str(), &head, &rows, &details, &row, &detail]
            .iter()
            // Bytes are at least as many as characters, and need not be counted.
            .map(|part| part.len())
            .sum::<usize>();
        if size > LIMIT - RESERVED {
            break;
        }
        rows.push_str(&row);
        details.push_str(&detail);
        shown += 1;
    }
    if shown > 0 {
        report.push_str(&head);
        report.push_str(&rows);
        if !details.is_empty() {
            report.push('\n');
            report.push_str(&details);
        }
    }
    entries.len() - shown
}

fn row(entry: &Entry, known: &BTreeSet<&Finding>) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        code(&entry.name),
        role(entry),
        trust(entry),
        workloads(&entry.workloads),
        words(entry.phase),
        verdict(entry, known),
    )
}

fn role(entry: &Entry) -> String {
    match (&entry.role_arn, entry.role()) {
        (None, _) => "–".to_owned(),
        // A name says it all, unless the role is elsewhere: then the finding names the ARN.
        (Some(_), Some(role)) => code(&role.name),
        (Some(text), None) => code(text),
    }
}

fn trust(entry: &Entry) -> String {
    let Some(trust) = entry.trust else {
        return "–".to_owned();
    };
    use crate::policy::irsa::Access::{Allowed, NotAllowed, Unknown};
    let irsa = match (trust.irsa, trust.via) {
        (NotAllowed, _) => "no IRSA",
        (Unknown, _) => "IRSA unclear",
        (Allowed, Some(Via::Pattern)) => "IRSA by pattern",
        (Allowed, Some(Via::Cluster)) => "IRSA for the whole cluster",
        (Allowed, Some(Via::Other)) => "IRSA by exclusion",
        (Allowed, Some(Via::Exact) | None) => "IRSA",
    };
    let pod_identity = match trust.pod_identity {
        Allowed => ", Pod Identity",
        NotAllowed => "",
        Unknown => ", Pod Identity unclear",
    };
    format!("{irsa}{pod_identity}")
}

fn workloads(workloads: &[Workload]) -> String {
    let lasting: Vec<&Workload> = workloads
        .iter()
        .filter(|workload| passing(&workload.id.kind).is_none())
        .collect();
    if lasting.is_empty() {
        return "–".to_owned();
    }
    let texts: Vec<String> = lasting
        .iter()
        .take(5)
        .map(|workload| {
            let mut label = format!("{} {}", text(&workload.id.kind), code(&workload.id.name));
            match workload.pods_on_pod_identity {
                0 => {}
                on if on == workload.pods => label.push_str(" (on Pod Identity)"),
                _ => label.push_str(" (partly on Pod Identity)"),
            }
            if let Restart::Manual(why) = &workload.restart {
                write!(label, ", not restarted: {}", text(why)).ok();
            }
            label
        })
        .collect();
    let more = lasting.len() - texts.len();
    let mut joined = texts.join("<br>");
    if more > 0 {
        write!(joined, "<br>and {more} more").ok();
    }
    joined
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::NotStarted => "not started",
        Phase::TrustAdded => "role is ready",
        Phase::Associated => "associated",
        Phase::Propagated => "new pods on Pod Identity",
        Phase::RolledOut => "restarted as far as possible",
        Phase::Verified => "all pods on Pod Identity",
        Phase::Retired => "annotation retired",
    }
}

fn verdict(entry: &Entry, known: &BTreeSet<&Finding>) -> String {
    let codes: BTreeSet<&str> = entry
        .blockers()
        .filter(|finding| !known.contains(finding))
        .map(|finding| finding.code.as_str())
        .collect();
    let codes: Vec<String> = codes.into_iter().map(code).collect();
    let word = match (entry.standing(), entry.association_owner()) {
        (Standing::Done, Some(AssociationOwner::Addon | AssociationOwner::Other)) => {
            "on Pod Identity already, not by a migration"
        }
        (Standing::Done, _) => "done",
        (Standing::UnderWay, _) => "under way",
        (Standing::Ready, _) => "migratable",
        (Standing::Blocked, _) if entry.trust.is_none() && codes.is_empty() => {
            "**blocked**: the role could not be read"
        }
        (Standing::Blocked, _) => "**blocked**",
        (Standing::TrustOnly, _) => "only named by a trust policy",
    };
    if codes.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {}", codes.join(", "))
    }
}

fn detail(entry: &Entry, known: &BTreeSet<&Finding>) -> String {
    let mut lines = String::new();
    let own = |finding: &&Finding| !known.contains(finding);
    for finding in entry
        .blockers()
        .filter(own)
        .chain(entry.warnings().filter(own))
    {
        write!(lines, "- {}: ", code(&entry.name)).ok();
        // What has come to Pod Identity is blocked by nothing.
        words_of(&mut lines, finding, entry.standing() != Standing::Done);
    }
    lines
}

fn words_of(report: &mut String, finding: &Finding, stops: bool) {
    use crate::migration::finding::Weight;
    let weight = match finding.weight() {
        Weight::Blocker if stops => "**blocker** ",
        _ => "",
    };
    writeln!(
        report,
        "{weight}{}: {}",
        code(finding.code.as_str()),
        text(&finding.message)
    )
    .ok();
}

fn shared_roles(report: &mut String, inventory: &Inventory) {
    let mut roles: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for entry in inventory
        .entries
        .iter()
        .filter(|entry| entry.is_named && !entry.shared_with.is_empty())
    {
        if let Some(arn) = &entry.role_arn {
            let sharing = roles.entry(arn).or_default();
            sharing.insert(entry.key());
            sharing.extend(entry.shared_with.iter().cloned());
        }
    }
    if roles.is_empty() {
        return;
    }
    report.push_str(
        "\n## Shared roles\n\nEach service account is migrated on its own; the others keep what they have.\n\n| Role | Service accounts |\n|---|---|\n",
    );
    let start = report.len();
    for (index, (arn, accounts)) in roles.iter().enumerate() {
        if index >= MOST_ROWS || report.len() - start > RESERVED / 2 {
            writeln!(
                report,
                "\n{} left out.",
                count(roles.len() - index, "more role is", "more roles are")
            )
            .ok();
            return;
        }
        let names: Vec<String> = accounts.iter().take(8).map(|name| code(name)).collect();
        let more = match accounts.len() - names.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(report, "| {} | {}{more} |", code(arn), names.join(", ")).ok();
    }
}

fn next_steps(report: &mut String, inventory: &Inventory, namespaces: &Namespaces<'_>) {
    use crate::migration::finding::Weight;
    let mut steps: Vec<String> = Vec::new();
    let all = || inventory.entries.iter();
    if inventory
        .cluster_findings
        .iter()
        .any(|finding| finding.weight() == Weight::Blocker)
    {
        steps.push("Make the cluster ready: see the blockers under *Cluster*. Until then nothing can be migrated.".to_owned());
    }
    let waiting = |entry: &&Entry| entry.standing() == Standing::Ready;
    // Where least is to be minded, and least is restarted.
    let first = namespaces
        .iter()
        .filter(|(_, entries)| entries.iter().copied().any(|entry| waiting(&entry)))
        .min_by_key(|(name, entries)| {
            let wave = || entries.iter().copied().filter(waiting);
            let warnings = wave().flat_map(Entry::warnings).count();
            let workloads = wave()
                .flat_map(|entry| &entry.workloads)
                .filter(|workload| passing(&workload.id.kind).is_none())
                .count();
            (warnings, workloads, **name)
        });
    if let Some((first, _)) = first {
        steps.push(format!(
            "Migrate in waves, {} to begin with. Everything of IRSA stays in place until `retire` says otherwise, and `terraform destroy` of a wave leads back:\n\n{}",
            code(first),
            indent(&hint(&inventory.cluster, first))
        ));
    }
    let any = |standing| all().any(|entry| entry.standing() == standing);
    if any(Standing::Blocked) {
        steps.push("Resolve the blockers above, or, where you know better, name their codes in `ignore_blockers`.".to_owned());
    }
    if any(Standing::UnderWay) {
        steps.push("Restart what is in progress: with `rollout = { strategy = \"restart\" }`, or by hand where the table says *not restarted*.".to_owned());
    }
    if all().any(|entry| {
        entry.phase == Phase::Verified
            && entry.association_owner() == Some(AssociationOwner::Migration)
    }) {
        steps.push("Where all pods are on Pod Identity and nothing reads the annotation any more, retire IRSA: `retire = { annotation = true, trust = true }`.".to_owned());
    }
    if any(Standing::TrustOnly) {
        steps.push("Look at service accounts that only a trust policy names: either their pods bring a token of their own and need `role_arn` in their migration, or the trust is a leftover to remove.".to_owned());
    }
    if steps.is_empty() {
        return;
    }
    report.push_str("\n## Next steps\n\n");
    for (index, step) in steps.iter().enumerate() {
        writeln!(report, "{}. {step}", index + 1).ok();
    }
}

/// The configuration of a first wave.
fn hint(cluster: &str, namespace: &str) -> String {
    format!(
        r#"```hcl
data "podidentity_irsa_inventory" "this" {{
  cluster_name = {cluster}
}}

resource "podidentity_irsa_migration" "wave1" {{
  for_each = {{
    for key, account in data.podidentity_irsa_inventory.this.service_accounts : key => account
    if account.migratable && contains([{namespace}], account.namespace)
  }}
  cluster_name    = {cluster}
  namespace       = each.value.namespace
  service_account = each.value.name
  rollout         = {{ strategy = "restart" }}
}}
```"#,
        cluster = hcl(cluster),
        namespace = hcl(namespace),
    )
}

/// A string of HCL. Names of clusters and namespaces need no more than quotes; anything else is no name.
fn hcl(text: &str) -> String {
    format!("{text:?}")
        .replace("${", "$${")
        .replace("%{", "%%{")
}

/// Makes a block part of a numbered item.
fn indent(block: &str) -> String {
    block
        .lines()
        .map(|line| {
            if line.is_empty() {
                String::new()
            } else {
                format!("   {line}")
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn rest(report: &mut String, all: usize, thing: &str) {
    if all > MOST_ROWS {
        let left = all - MOST_ROWS;
        writeln!(
            report,
            "\n{} left out.",
            count(
                left,
                &format!("more {thing} is"),
                &format!("more {thing}s are")
            )
        )
        .ok();
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
