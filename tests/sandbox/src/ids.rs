//! Random identifiers in the forms that AWS and Kubernetes use.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A splitmix64 generator: identifiers need to look right and differ, not to be secret.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    state: u64,
}

const LOWER_ALPHANUMERIC: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const UPPER_ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8] = b"0123456789abcdef";

impl Ids {
    /// A generator whose sequence is fixed by `seed`.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator that differs per process.
    pub(crate) fn random() -> Self {
        Self::seeded(RandomState::new().build_hasher().finish())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn fraction(&mut self) -> f64 {
        // 53 bits: every value is exactly representable.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn text(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length)
            .map(|_| char::from(alphabet[(self.next() % alphabet.len() as u64) as usize]))
            .collect()
    }

    /// `a-` and 17 lower-case alphanumerics.
    pub(crate) fn association(&mut self) -> String {
        format!("a-{}", self.text(17, LOWER_ALPHANUMERIC))
    }

    /// A random version 4 UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.text(30, HEX);
        let variant = [b'8', b'9', b'a', b'b'][(self.next() % 4) as usize];
        format!(
            "{}-{}-4{}-{}{}-{}",
            &hex[0..8],
            &hex[8..12],
            &hex[12..15],
            char::from(variant),
            &hex[15..18],
            &hex[18..30]
        )
    }

    /// An upper-case identifier with a prefix such as `ASIA`, twenty characters in all.
    pub(crate) fn access_key(&mut self, prefix: &str) -> String {
        format!(
            "{prefix}{}",
            self.text(20_usize.saturating_sub(prefix.len()), UPPER_ALPHANUMERIC)
        )
    }

    /// A secret access key: 40 characters.
    pub(crate) fn secret(&mut self) -> String {
        self.text(40, BASE64)
    }

    /// A session token.
    pub(crate) fn session_token(&mut self) -> String {
        format!("IQoJ{}", self.text(252, BASE64))
    }

    /// 32 upper-case hexadecimal digits, as in an OIDC issuer.
    pub(crate) fn issuer(&mut self) -> String {
        self.text(32, HEX).to_uppercase()
    }

    /// Five characters as Kubernetes appends them to `generateName`.
    pub(crate) fn name_suffix(&mut self) -> String {
        self.text(5, b"bcdfghjklmnpqrstvwxz2456789")
    }
}
