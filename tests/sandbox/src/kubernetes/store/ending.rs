//! Pods that are deleted and take their time to end.

use time::{Duration, OffsetDateTime};

use super::{Key, Kind, Store, timestamp};
use crate::kubernetes::kinds::built_in;

/// Seconds that a pod is given to end.
const GRACE_PERIOD: i64 = 30;

impl Store {
    /// Changes how long pods take to end, from the next one on.
    pub(in crate::kubernetes) fn set_termination(&mut self, ms: u64) {
        self.termination = Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX));
    }

    /// Whether pods are ending.
    pub(in crate::kubernetes) fn has_ending(&self) -> bool {
        !self.ending.is_empty()
    }

    /// Removes the pods that have ended, with `settle` all that are about to.
    pub(in crate::kubernetes) fn reap(&mut self, settle: bool, now: OffsetDateTime) {
        let due = |at: &OffsetDateTime| settle || *at <= now;
        let ended: Vec<Key> = self
            .ending
            .iter()
            .filter(|(_, at)| due(at))
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            self.ending.remove(&key);
            self.vanish(built_in("pods"), key, now);
        }
    }

    /// Removes an object; a pod that runs goes when it has ended.
    pub(super) fn remove(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        now: OffsetDateTime,
    ) {
        let key = Self::key(kind, namespace, name);
        if self.termination.is_zero() || (kind.group, kind.plural) != ("", "pods") {
            return self.vanish(kind, key, now);
        }
        let Some(old) = self.objects.get(&key).cloned() else {
            return;
        };
        let over = ["Succeeded", "Failed"]
            .iter()
            .any(|p| old["status"]["phase"] == *p);
        if over || old["spec"]["nodeName"].is_null() {
            return self.vanish(kind, key, now);
        }
        if old["metadata"]["deletionTimestamp"].is_null() {
            let mut ending = old.clone();
            let at = now + Duration::seconds(GRACE_PERIOD);
            ending["metadata"]["deletionTimestamp"] = timestamp(at).into();
            ending["metadata"]["deletionGracePeriodSeconds"] = GRACE_PERIOD.into();
            self.ending.insert(key.clone(), now + self.termination);
            self.put(kind, key, Some(&old), &mut ending, now);
        }
    }
}
