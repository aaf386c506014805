//! Pages with opaque tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::EksError;

/// Cuts sorted lists into pages. A token says after which key to go on, so that what is deleted meanwhile shifts nothing; it is
/// authenticated, and bound to the operation and its filters.
pub(crate) struct Pager {
    key: Hmac<Sha256>,
}

/// Bytes of the MAC a token carries.
const MAC: usize = 16;

impl Pager {
    pub(crate) fn new(secret: &str) -> Self {
        Self {
            key: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length"),
        }
    }

    fn mac(&self, scope: &str, last: &str) -> Vec<u8> {
        let mac = self
            .key
            .clone()
            .chain_update(scope)
            .chain_update([0])
            .chain_update(last)
            .finalize()
            .into_bytes();
        mac[..MAC].to_vec()
    }

    /// The page of `items`, which are sorted by their keys, and the token of the next one.
    ///
    /// `scope` names the operation and everything that selects the items.
    pub(crate) fn page<T>(
        &self,
        items: impl Iterator<Item = (String, T)>,
        scope: &str,
        size: usize,
        token: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>), EksError> {
        let after = token.map(|token| self.open(scope, token)).transpose()?;
        let mut rest = items.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
        let mut page = Vec::new();
        let mut last = None;
        for (key, item) in rest.by_ref().take(size) {
            page.push(item);
            last = Some(key);
        }
        let next = match (rest.next(), last) {
            (Some(_), Some(last)) => {
                let mut bytes = self.mac(scope, &last);
                bytes.extend(last.as_bytes());
                Some(URL_SAFE_NO_PAD.encode(bytes))
            }
            _ => None,
        };
        Ok((page, next))
    }

    fn open(&self, scope: &str, token: &str) -> Result<String, EksError> {
        let bad = || EksError::invalid_parameter("The nextToken provided is not valid.");
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
        let (mac, last) = bytes.split_at_checked(MAC).ok_or_else(bad)?;
        let last = std::str::from_utf8(last).map_err(|_| bad())?;
        if self.mac(scope, last) == mac {
            Ok(last.to_owned())
        } else {
            Err(bad())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(range: std::ops::Range<u32>) -> impl Iterator<Item = (String, u32)> {
        range.map(|n| (format!("{n:04}"), n))
    }

    #[test]
    fn pages_cover_everything_once() {
        let pager = Pager::new("k");
        let mut token = None;
        let mut all = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let (page, next) = pager.page(items(0..25), "s", 10, token.as_deref()).unwrap();
            sizes.push(page.len());
            all.extend(page);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(all, (0..25).collect::<Vec<_>>());
        assert_eq!(
            pager.page(items(0..10), "s", 10, None).unwrap().1,
            None,
            "a full last page has no token"
        );
    }

    #[test]
    fn deleting_behind_the_token_loses_nothing() {
        let pager = Pager::new("k");
        let (_, next) = pager.page(items(0..20), "s", 10, None).unwrap();
        let (page, _) = pager.page(items(5..20), "s", 10, next.as_deref()).unwrap();
        assert_eq!(page, (10..20).collect::<Vec<_>>());
    }

    #[test]
    fn foreign_tokens_are_refused() {
        let pager = Pager::new("k");
        let next = pager.page(items(0..20), "s", 10, None).unwrap().1.unwrap();
        for (name, scope, token) in [
            ("garbage", "s", "AAAA"),
            ("not base64", "s", "!"),
            ("empty", "s", ""),
            ("other list", "t", next.as_str()),
        ] {
            let error = pager
                .page(items(0..20), scope, 10, Some(token))
                .unwrap_err();
            assert_eq!(error.code, "InvalidParameterException", "{name}");
        }
        assert!(
            Pager::new("other")
                .page(items(0..20), "s", 10, Some(&next))
                .is_err(),
            "another process"
        );
    }
}
