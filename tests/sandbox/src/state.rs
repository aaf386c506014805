//! All state of a sandbox, behind one lock.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use time::OffsetDateTime;

use crate::context::RequestContext;
use crate::credentials::{CredentialReport, Watcher};
use crate::eks::catalog::Catalog;
use crate::eks::cluster::{Cluster, ClusterKey};
use crate::eks::idempotency::Idempotency;
use crate::eks::paging::Pager;
use crate::endpoints::Endpoints;
use crate::faults::{Fault, Faults, Visibility};
use crate::iam::{Iam, RoleView};
use crate::ids::Ids;
use crate::journal::Journal;
use crate::sigv4::AccessKey;

/// Account and region of the default key pair and cluster.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    pub(crate) account_id: String,
    pub(crate) region: String,
    /// Names of the clusters that a reset brings back.
    pub(crate) clusters: Vec<String>,
}

/// Who calls and from where; `context` is what the IAM state machine sees of it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) context: RequestContext,
    pub(crate) region: String,
    pub(crate) user_id: String,
    /// Temporary keys may not be chained beyond an hour.
    pub(crate) temporary: bool,
}

/// The partition of a region, by its prefix.
pub(crate) fn partition(region: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 8] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
        ("", "aws"),
    ];
    PREFIXES
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| partition)
}

pub(crate) struct State {
    pub(crate) defaults: Defaults,
    pub(crate) iam: BTreeMap<String, Iam>,
    pub(crate) clusters: BTreeMap<ClusterKey, Cluster>,
    pub(crate) catalog: Catalog,
    pub(crate) keys: HashMap<String, AccessKey>,
    pub(crate) idempotency: Idempotency,
    pub(crate) pager: Pager,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) ids: Ids,
    pub(crate) endpoints: Endpoints,
    pub(crate) credentials: Watcher,
    /// How often EKS has looked at a role or trust policy that is not yet visible.
    looks: HashMap<String, u64>,
    /// The trust policy EKS last saw of a role, by the role's unique id.
    seen_trusts: HashMap<String, Value>,
}

/// How a role looks to EKS.
pub(crate) enum SeenRole {
    /// It does not exist, or not yet.
    Missing,
    /// It exists; its trust policy is not yet visible.
    Untrusted,
    /// As it is.
    Visible(RoleView),
}

impl State {
    pub(crate) fn new(defaults: Defaults, endpoints: Endpoints) -> Self {
        let mut ids = Ids::random();
        let pager = Pager::new(&ids.secret());
        let mut state = Self {
            defaults,
            iam: BTreeMap::new(),
            clusters: BTreeMap::new(),
            catalog: Catalog::built_in(),
            keys: HashMap::new(),
            idempotency: Idempotency::default(),
            pager,
            faults: Faults::default(),
            journal: Journal::default(),
            ids,
            endpoints,
            credentials: Watcher::default(),
            looks: HashMap::new(),
            seen_trusts: HashMap::new(),
        };
        let account = state.defaults.account_id.clone();
        state.add_key("test", "test", &account);
        state.add_key("test2", "test2", SECOND_ACCOUNT);
        state
    }

    /// Forgets everything but the network endpoints, which running clients may hold on to.
    pub(crate) fn reset(&mut self) {
        let mut journal = std::mem::take(&mut self.journal);
        journal.clear();
        *self = Self::new(self.defaults.clone(), self.endpoints.clone());
        self.journal = journal;
    }

    /// Adds a long-term key pair of a user of `account_id`.
    pub(crate) fn add_key(&mut self, id: &str, secret: &str, account_id: &str) {
        let partition = partition(&self.defaults.region);
        let key = AccessKey {
            secret: secret.into(),
            session_token: None,
            expires: None,
            account_id: account_id.into(),
            caller_arn: format!("arn:{partition}:iam::{account_id}:user/sandbox"),
            user_id: self.ids.access_key("AIDA").chars().take(21).collect(),
        };
        self.keys.insert(id.into(), key);
    }

    pub(crate) fn iam(&mut self, account_id: &str) -> &mut Iam {
        self.iam.entry(account_id.to_owned()).or_default()
    }

    /// A caller with all rights in an account, for seeding and direct calls.
    pub(crate) fn operator(
        &mut self,
        account_id: &str,
        region: &str,
        now: OffsetDateTime,
    ) -> Caller {
        let partition = partition(region).to_owned();
        Caller {
            context: RequestContext {
                account_id: account_id.into(),
                caller_arn: format!("arn:{partition}:iam::{account_id}:user/sandbox"),
                partition,
                now,
                request_id: self.ids.uuid(),
            },
            region: region.into(),
            user_id: "AIDASANDBOXOPERATOR".into(),
            temporary: false,
        }
    }

    /// A role of the caller's account as EKS sees it now; counts the look.
    pub(crate) fn see_role(&mut self, caller: &Caller, arn: &str) -> SeenRole {
        let Some(role) = self.iam(&caller.context.account_id).role_by_arn(arn) else {
            return SeenRole::Missing;
        };
        let visibility = self.faults.visibility();
        let now = caller.context.now;
        let exists = format!("role {}", role.unique_id);
        if self.hidden(
            exists,
            now - role.created,
            visibility.role_ms,
            visibility.role_calls,
        ) {
            return SeenRole::Missing;
        }
        let trusts = format!(
            "trust {} {}",
            role.unique_id,
            role.trust_changed.unix_timestamp_nanos()
        );
        if self.hidden(
            trusts,
            now - role.trust_changed,
            visibility.trust_ms,
            visibility.trust_calls,
        ) {
            // EKS still sees the policy it saw before, if it saw one.
            return match self.seen_trusts.get(&role.unique_id) {
                Some(trust) => SeenRole::Visible(RoleView {
                    trust: trust.clone(),
                    ..role
                }),
                None => SeenRole::Untrusted,
            };
        }
        self.seen_trusts
            .insert(role.unique_id.clone(), role.trust.clone());
        SeenRole::Visible(role)
    }

    /// Adds a rule.
    pub(crate) fn add_fault(&mut self, fault: Fault) {
        if let Some(visibility) = fault.visibility {
            self.set_visibility(visibility);
        }
        self.faults.add(fault);
    }

    /// Changes how late EKS and STS see what IAM wrote. What STS has seen it does not unsee.
    pub(crate) fn set_visibility(&mut self, visibility: Visibility) {
        if self.faults.visibility().sts_ms == 0 {
            self.iam.values_mut().for_each(Iam::settle);
        }
        self.faults.set_visibility(visibility);
    }

    /// The time whose roles and trust policies STS sees now; `None` if it sees everything at once.
    pub(crate) fn seen_by_sts(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let ms = i64::try_from(self.faults.visibility().sts_ms).unwrap_or(i64::MAX);
        (ms > 0).then(|| now.saturating_sub(time::Duration::milliseconds(ms)))
    }

    fn hidden(&mut self, what: String, age: time::Duration, ms: u64, calls: u64) -> bool {
        if age.whole_milliseconds() < i128::from(ms) {
            return true;
        }
        if calls == 0 {
            return false;
        }
        let looks = self.looks.entry(what).or_default();
        *looks += 1;
        *looks <= calls
    }

    /// Takes note of what has changed outside Kubernetes, and lets it take its course there.
    pub(crate) fn settle(&mut self, now: OffsetDateTime) {
        for cluster in self.clusters.values_mut() {
            cluster.sync_associations(false, now);
        }
        self.credentials
            .set_sts_lag(self.faults.visibility().sts_ms);
        self.credentials
            .look_outside(&self.iam, &self.clusters, now);
        self.advance(now);
    }

    /// Lets what has happened in clusters take its course, and checks the credentials of pods at every step.
    pub(crate) fn advance(&mut self, now: OffsetDateTime) {
        let Self {
            iam,
            clusters,
            credentials,
            faults,
            ..
        } = self;
        credentials.set_sts_lag(faults.visibility().sts_ms);
        credentials.expire(iam, clusters, now);
        let keys: Vec<ClusterKey> = clusters.keys().cloned().collect();
        for key in keys {
            let Some(cluster) = clusters.get_mut(&key) else {
                continue;
            };
            cluster.kubernetes.webhook.forget_what_all_know(now);
            cluster.run_controllers(false, now);
            let transitions = cluster.kubernetes.store.take_transitions();
            if !transitions.is_empty() {
                credentials.look_inside(iam, clusters, &key, &transitions, now);
            }
        }
    }

    /// Takes the state as it is for the start: everything is in effect, every pod ready, nothing to be checked against the past.
    pub(crate) fn settle_seed(&mut self, now: OffsetDateTime) {
        for cluster in self.clusters.values_mut() {
            cluster.sync_associations(true, now);
            cluster.run_controllers(true, now);
        }
        for account in self.iam.values_mut() {
            account.settle();
        }
        self.credentials
            .baseline(&self.iam, &mut self.clusters, now);
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now: OffsetDateTime) {
        self.advance(now);
        for cluster in self.clusters.values_mut() {
            cluster.kubernetes.store.bookmark(now);
        }
    }

    /// What the watcher over credentials has seen.
    pub(crate) fn credential_report(&self, now: OffsetDateTime) -> CredentialReport {
        self.credentials.report(&self.iam, &self.clusters, now)
    }

    /// Everything a test may want to see, without secrets.
    pub(crate) fn describe(&self) -> Value {
        serde_json::json!({
            "account_id": self.defaults.account_id,
            "region": self.defaults.region,
            "clusters": self.clusters.values().map(Cluster::describe_all).collect::<Vec<_>>(),
            "roles": self.iam.values().flat_map(Iam::trusts).collect::<serde_json::Map<_, _>>(),
            "faults": self.faults.list(),
        })
    }
}

/// Account of the key pair `test2`/`test2`.
pub(crate) const SECOND_ACCOUNT: &str = "210987654321";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_follow_the_region() {
        for (region, expected) in [
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition(region), expected, "{region}");
        }
    }
}
