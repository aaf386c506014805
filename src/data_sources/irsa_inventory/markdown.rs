//! Text that comes from elsewhere, made safe for GitHub-flavoured Markdown: it can neither break a table nor mention anybody.

/// As text.
pub(super) fn text(text: &str) -> String {
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
