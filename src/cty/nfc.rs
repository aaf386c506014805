//! Unicode normalisation: Terraform's strings are NFC, so that equal text is equal bytes.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// `text` in NFC. Borrowed when it already is, which for ASCII is one pass without table look-ups.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    if is_nfc(text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// `text` in NFC, reusing its buffer when it already is.
pub(super) fn into_nfc(text: String) -> String {
    if is_nfc(&text) {
        text
    } else {
        text.nfc().collect()
    }
}

fn is_nfc(text: &str) -> bool {
    text.is_ascii()
        || match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => true,
            IsNormalized::No => false,
            IsNormalized::Maybe => unicode_normalization::is_nfc(text),
        }
}

#[cfg(test)]
mod tests {
    use super::{into_nfc, nfc};

    #[test]
    fn composes() {
        for (input, expected) in [
            ("", ""),
            ("payments", "payments"),
            ("e\u{301}", "\u{e9}"),
            ("\u{e9}", "\u{e9}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("\u{212b}", "\u{c5}"),
        ] {
            assert_eq!(nfc(input), expected, "{input:?}");
            assert_eq!(into_nfc(input.to_owned()), expected, "{input:?}");
        }
    }
}
