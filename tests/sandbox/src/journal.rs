//! The journal of requests, as tests count and inspect them.

use serde::Serialize;
use serde_json::{Map, Value};

/// One request, in the order of arrival.
#[derive(Clone, Debug, Serialize)]
pub struct JournalEntry {
    /// Counts up from 1 and is never used twice, whatever is cleared.
    pub id: u64,
    /// Arrival, RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// `eks`, `iam`, `sts` or `kubernetes`.
    pub service: String,
    /// Operation as in the API reference, such as `CreateAddon`; for Kubernetes verb and resource, such as `list serviceaccounts`.
    pub operation: String,
    /// Path, query and body parameters by their names in the API reference.
    pub parameters: Map<String, Value>,
    /// HTTP status of the answer; 0 while the request is being processed or if it was dropped before.
    pub status: u16,
    /// Error code of an answer that is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// `before` or `after` if a fault closed the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<&'static str>,
    /// Whether a fault withholds, or withheld, the answer to a call that has been processed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Account of the signing key; empty if the request was not authenticated.
    pub account_id: String,
    /// Region of the signature's scope; for Kubernetes that of the cluster.
    pub region: String,
    /// ARN of the caller; empty if the request was not authenticated.
    pub caller_arn: String,
    /// Request id of the answer.
    pub request_id: String,
    /// HTTP method.
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// `User-Agent` as sent.
    pub user_agent: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    entries: Vec<JournalEntry>,
    last: u64,
}

impl Journal {
    /// Records an arrival and returns its id.
    pub(crate) fn begin(&mut self, mut entry: JournalEntry) -> u64 {
        self.last += 1;
        entry.id = self.last;
        self.entries.push(entry);
        self.last
    }

    /// Completes an entry, unless it was cleared meanwhile.
    pub(crate) fn finish(&mut self, id: u64, complete: impl FnOnce(&mut JournalEntry)) {
        // Ids are given in order, so the list is sorted by id.
        if let Ok(index) = self.entries.binary_search_by_key(&id, |entry| entry.id) {
            complete(&mut self.entries[index]);
        }
    }

    pub(crate) fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
