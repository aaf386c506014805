//! Watches: what has changed, and who wants to hear of it.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::kinds::Kind;
use super::selector::Selector;
use super::table;

/// Changes that are kept for watches that start in the past.
const KEPT: usize = 8_192;
/// Time between bookmarks of one watch.
const BOOKMARKS: Duration = Duration::seconds(10);

/// A change of one object.
#[derive(Clone, Debug)]
struct Change {
    revision: u64,
    kind: &'static Kind,
    old: Option<Value>,
    new: Option<Value>,
}

/// What a watch wants.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) kind: &'static Kind,
    /// Empty for all namespaces.
    pub(super) namespace: String,
    pub(super) selector: Selector,
    pub(super) bookmarks: bool,
    /// `Accept` of the request, for tables.
    pub(super) accept: String,
}

#[derive(Debug)]
struct Watcher {
    wish: Wish,
    sender: UnboundedSender<Bytes>,
    last_bookmark: OffsetDateTime,
}

impl Wish {
    fn selects(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || object["metadata"]["namespace"] == *self.namespace)
            && self.selector.selects(object)
    }

    fn frame(&self, event: &str, object: Value, now: OffsetDateTime) -> Bytes {
        let object = table::shape(object, &self.accept, now);
        let mut text = json!({"type": event, "object": object}).to_string();
        text.push('\n');
        text.into()
    }

    /// What a change looks like to this watch: leaving the selection is a deletion, entering it an addition.
    fn event(&self, change: &Change, now: OffsetDateTime) -> Option<Bytes> {
        if !std::ptr::eq(self.kind, change.kind) {
            return None;
        }
        let selected = |object: &Option<Value>| object.clone().filter(|o| self.selects(o));
        let (before, after) = (selected(&change.old), selected(&change.new));
        match (before, after) {
            (None, None) => None,
            (None, Some(new)) => Some(self.frame("ADDED", new, now)),
            (Some(_), Some(new)) => Some(self.frame("MODIFIED", new, now)),
            (Some(mut old), None) => {
                old["metadata"]["resourceVersion"] = change.revision.to_string().into();
                Some(self.frame("DELETED", old, now))
            }
        }
    }

    fn bookmark(&self, revision: u64, initial: bool, now: OffsetDateTime) -> Bytes {
        let mut object = json!({
            "kind": self.kind.kind,
            "apiVersion": self.kind.api_version(),
            "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
        });
        if initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.frame("BOOKMARK", object, now)
    }
}

/// The changes of a cluster.
#[derive(Debug, Default)]
pub(super) struct Log {
    changes: VecDeque<Change>,
    /// Changes up to this revision are forgotten.
    compacted: u64,
    watchers: Vec<Watcher>,
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// With all objects there are, then from now on; `true` to mark the end of the first part.
    Everything(bool),
    /// After this revision.
    After(u64),
}

impl Log {
    /// A log of a store that is at this revision.
    pub(super) fn at(revision: u64) -> Self {
        Self {
            compacted: revision,
            ..Self::default()
        }
    }

    /// Records a change and tells who watches.
    pub(super) fn record(
        &mut self,
        revision: u64,
        kind: &'static Kind,
        old: Option<&Value>,
        new: Option<&Value>,
        now: OffsetDateTime,
    ) {
        let change = Change {
            revision,
            kind,
            old: old.cloned(),
            new: new.cloned(),
        };
        self.watchers
            .retain(|watcher| match watcher.wish.event(&change, now) {
                Some(frame) => watcher.sender.send(frame).is_ok(),
                None => !watcher.sender.is_closed(),
            });
        self.changes.push_back(change);
        if self.changes.len() > KEPT
            && let Some(forgotten) = self.changes.pop_front()
        {
            self.compacted = forgotten.revision;
        }
    }

    /// Forgets all changes, as the compaction of etcd does.
    pub(super) fn compact(&mut self, revision: u64) {
        self.changes.clear();
        self.compacted = revision;
    }

    /// Starts a watch. A start that is forgotten ends at once with the event that says so.
    pub(super) fn watch<'o>(
        &mut self,
        wish: Wish,
        start: Start,
        revision: u64,
        objects: impl Iterator<Item = &'o Value>,
        now: OffsetDateTime,
    ) -> UnboundedReceiver<Bytes> {
        let (sender, receiver) = unbounded_channel();
        // The receiver is at hand, so sending cannot fail.
        let send = |frame: Bytes| {
            let _ = sender.send(frame);
        };
        match start {
            Start::After(after) if after < self.compacted => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Expired", "code": 410,
                    "message": format!("too old resource version: {after} ({})", self.compacted),
                });
                let mut text = json!({"type": "ERROR", "object": status}).to_string();
                text.push('\n');
                send(text.into());
                return receiver;
            }
            Start::After(after) => {
                for change in self.changes.iter().filter(|c| c.revision > after) {
                    if let Some(frame) = wish.event(change, now) {
                        send(frame);
                    }
                }
            }
            Start::Everything(marked) => {
                for object in objects.filter(|o| wish.selects(o)) {
                    send(wish.frame("ADDED", object.clone(), now));
                }
                if marked {
                    send(wish.bookmark(revision, true, now));
                }
            }
        }
        self.watchers.push(Watcher {
            wish,
            sender,
            last_bookmark: now,
        });
        receiver
    }

    /// Sends the bookmarks that are due.
    pub(super) fn bookmark(&mut self, revision: u64, now: OffsetDateTime) {
        for watcher in self.watchers.iter_mut().filter(|w| w.wish.bookmarks) {
            if now - watcher.last_bookmark >= BOOKMARKS {
                watcher.last_bookmark = now;
                let _ = watcher
                    .sender
                    .send(watcher.wish.bookmark(revision, false, now));
            }
        }
    }
}
