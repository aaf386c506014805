//! `Marker` and `MaxItems`: pages of a list in a stable order.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::IamError;
use super::form::PageRequest;
use super::xml::Xml;
use crate::context::RequestContext;

/// One page and what follows it.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// The items of this page.
    pub(super) items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a page out of `items`, which are sorted by their keys. `list` names the operation and what else a marker belongs to.
    ///
    /// Markers hold the last key shown, so items that come or go between two calls neither repeat nor hide others; they are
    /// signed, so that a made-up marker or one of another list is refused.
    ///
    /// # Errors
    ///
    /// `ValidationError` for a marker that was not given out by this list.
    pub(super) fn cut(
        context: &RequestContext,
        list: &str,
        request: &PageRequest,
        items: Vec<(String, T)>,
    ) -> Result<Self, IamError> {
        let after = match &request.marker {
            Some(marker) => Some(
                read(context, list, marker)
                    .ok_or_else(|| IamError::validation("Invalid Marker."))?,
            ),
            None => None,
        };
        let mut rest = items
            .into_iter()
            .skip_while(|(key, _)| after.as_ref().is_some_and(|after| key <= after))
            .peekable();
        let mut page = Vec::new();
        let mut last = String::new();
        while page.len() < request.max_items
            && let Some((key, item)) = rest.next()
        {
            last = key;
            page.push(item);
        }
        let next = rest.peek().is_some().then(|| write(context, list, &last));
        Ok(Self { items: page, next })
    }

    /// Writes `IsTruncated` and, if there is more, `Marker`.
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.scalar("IsTruncated", self.next.is_some());
        if let Some(next) = &self.next {
            xml.text("Marker", next);
        }
    }
}

/// A key for items that have a position but no name short enough for a marker.
pub(super) fn position_key(index: usize) -> String {
    format!("{index:08}")
}

fn signature(context: &RequestContext, list: &str, key: &str) -> [u8; 9] {
    let digest = Sha256::digest(format!("{}\n{list}\n{key}", context.account_id).as_bytes());
    std::array::from_fn(|index| digest[index])
}

fn write(context: &RequestContext, list: &str, key: &str) -> String {
    let mut bytes = signature(context, list, key).to_vec();
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read(context: &RequestContext, list: &str, marker: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok()?;
    let (signed, key) = bytes.split_at_checked(9)?;
    let key = std::str::from_utf8(key).ok()?;
    (signature(context, list, key) == signed).then(|| key.to_owned())
}
