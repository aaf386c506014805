//! Text that comes from elsewhere, made safe for GitHub-flavoured Markdown: it can neither break a table nor mention anybody, and forges make
//! neither links nor pictures of it.

/// As text. What forges would make a link or a picture of, addresses and such as `:bank:` in the subject of a service account, becomes code.
pub(super) fn text(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let start = word.len() - word.trim_start_matches(OPENING).len();
        let (before, rest) = word.split_at(start);
        let (inner, after) = rest.split_at(rest.trim_end_matches(CLOSING).len());
        if is_link(inner) || has_picture(inner) {
            result.push_str(&plain(before));
            result.push_str(&code(inner));
            result.push_str(&plain(after));
        } else {
            result.push_str(&plain(word));
        }
        result.push_str(&plain(&piece[word.len()..]));
    }
    result
}

/// What may stand before a word.
const OPENING: [char; 3] = ['(', '"', '\''];
/// What may stand after a word.
const CLOSING: [char; 7] = [')', '"', '\'', '.', ',', ';', '!'];

fn is_link(word: &str) -> bool {
    word.contains("://") || word.to_ascii_lowercase().starts_with("www.")
}

/// Whether part of a word between two colons may be the name of a picture.
fn has_picture(word: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    let mut parts = word.split(':').skip(1).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() && is_name(part) {
            return true;
        }
    }
    false
}

/// As text without links and pictures.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let in_word = |after: Option<&char>| {
            before.is_alphanumeric() && after.is_some_and(|c| c.is_alphanumeric())
        };
        match c {
            // Within a word it stands for itself.
            '_' if in_word(characters.peek()) => escaped.push(c),
            // Without brackets of the square kind there are no links, so the round ones are harmless.
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '&' => escaped.push_str("&amp;"),
            // A backslash does not stop forges from making links of names and numbers; an empty comment does.
            '@' | '#' => {
                escaped.push(c);
                escaped.push_str("<!-- -->");
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        before = c;
    }
    escaped
}

/// As code, also inside a table.
pub(super) fn code(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    let mut inner = String::with_capacity(text.len());
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
        match c {
            // Tables are split before code is looked for.
            '|' => inner.push_str("\\|"),
            c if c.is_control() => inner.push(' '),
            c => inner.push(c),
        }
    }
    let fence = "`".repeat(longest + 1);
    let pad = if inner.is_empty() || inner.starts_with('`') || inner.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{inner}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        for (input, expected) in [
            ("plain words, 10.0%", "plain words, 10.0%"),
            ("a|b\nc", "a\\|b c"),
            ("@team #12", "@<!-- -->team #<!-- -->12"),
            (
                "[x](y) <b> `c` *d* _e_",
                "\\[x\\](y) \\<b\\> \\`c\\` \\*d\\* \\_e\\_",
            ),
            ("\\", "\\\\"),
            ("role_arn _x_ a_", "role_arn \\_x\\_ a\\_"),
            ("a & b", "a &amp; b"),
            (
                "see https://example.com/a_b_c, www.example.com.",
                "see `https://example.com/a_b_c`, `www.example.com`.",
            ),
            (
                "\"system:serviceaccount:bank:api\" and :+1: (arn:aws:iam::1:role/a)",
                "\"`system:serviceaccount:bank:api`\" and `:+1:` (`arn:aws:iam::1:role/a`)",
            ),
            ("time 10:30, a: b", "time 10:30, a: b"),
            ("a\tb\n", "a b "),
        ] {
            assert_eq!(text(input), expected);
        }
        for (input, expected) in [
            ("api", "`api`"),
            ("a|b", "`a\\|b`"),
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("", "`  `"),
            ("a\r\nb", "`a  b`"),
        ] {
            assert_eq!(code(input), expected);
        }
    }
}
