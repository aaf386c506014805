//! Where in a configuration a position lies.
//!
//! Releases of Terraform differ in how exactly they point: at an attribute, or at the element of it that is wrong. So tests ask
//! which attributes and blocks *enclose* the position.

/// The names of the blocks, attributes and elements around byte `position` of `text`, outermost first:
/// `resource`, `trust`, `namespaces`. Heredocs, comments and strings are skipped, except that a string can be a key.
pub(crate) fn enclosing(text: &str, position: usize) -> Vec<String> {
    let mut scan = Scan::default();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if at >= position {
            break;
        }
        match c {
            '"' => {
                let mut content = String::new();
                while let Some((_, c)) = rest.next() {
                    match c {
                        '"' => break,
                        '\\' => {
                            rest.next();
                        }
                        c => content.push(c),
                    }
                }
                scan.word(content);
            }
            '#' => while rest.next_if(|(_, c)| *c != '\n').is_some() {},
            '/' if rest.peek().is_some_and(|(_, c)| *c == '/') => {
                while rest.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            '<' if text[at..].starts_with("<<") => {
                let end = heredoc_end(text, at);
                while rest.next_if(|(at, _)| *at < end).is_some() {}
                // A position inside belongs to what the heredoc is the value of.
                if end >= position {
                    break;
                }
            }
            '=' if rest.peek().is_some_and(|(_, c)| *c == '=') => {
                rest.next();
            }
            '=' | ':' => scan.assign(),
            '{' | '[' | '(' => scan.open(),
            '}' | ']' | ')' => scan.close(),
            '\n' | ',' => scan.end_item(),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                let mut content = c.to_string();
                while let Some((_, c)) =
                    rest.next_if(|(_, c)| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
                {
                    content.push(c);
                }
                scan.word(content);
            }
            _ => {}
        }
    }
    scan.stack
        .into_iter()
        .chain([scan.item])
        .flatten()
        .collect()
}

#[derive(Debug, Default)]
struct Scan {
    /// What each open bracket is the value or the body of.
    stack: Vec<Option<String>>,
    /// The attribute or element whose value is being read.
    item: Option<String>,
    /// First and last word of the item so far.
    first: Option<String>,
    last: Option<String>,
}

impl Scan {
    fn word(&mut self, word: String) {
        self.first.get_or_insert_with(|| word.clone());
        self.last = Some(word);
    }

    fn assign(&mut self) {
        if self.item.is_none() {
            self.item = self.last.take();
        }
    }

    fn open(&mut self) {
        // Without an equals sign it is a block, named by its first word, or a list's element, which has no name.
        let name = self.item.take().or_else(|| self.first.take());
        self.stack.push(name);
        self.end_item();
    }

    fn close(&mut self) {
        self.end_item();
        self.item = self.stack.pop().flatten();
    }

    fn end_item(&mut self) {
        (self.item, self.first, self.last) = (None, None, None);
    }
}

/// The end of the heredoc that starts at `at`.
fn heredoc_end(text: &str, at: usize) -> usize {
    let line = text[at..]
        .split_once('\n')
        .map_or(&text[at..], |(line, _)| line);
    let marker = line.trim_start_matches(['<', '-']).trim();
    let mut end = at + line.len() + 1;
    for line in text.get(end..).unwrap_or_default().split_inclusive('\n') {
        end += line.len();
        if line.trim() == marker {
            // The line break ends the attribute.
            return end.saturating_sub(1);
        }
    }
    text.len()
}

#[test]
fn a_position_is_enclosed_by_blocks_attributes_and_elements() {
    let text = r#"
# a = {
resource "podidentity_role" "this" {
  name = "NAME" // b = {
  trust = {
    namespaces = ["one", "TWO"]
    target_of  = { role_arn = "ARN" }
  }
  inline_policies = {
    "bad name" = jsonencode({ Version = "VERSION" })
  }
  tags = { "aws:x" = "TAG", y = "OTHER" }
  timeouts { create = "SOON" }
  policy = <<-EOT
    { "Statement": "INSIDE" }
  EOT
  max_session_duration = LAST
}
"#;
    for (mark, expected) in [
        ("\"NAME\"", "resource name"),
        ("\"TWO\"", "resource trust namespaces"),
        ("\"ARN\"", "resource trust target_of role_arn"),
        ("\"VERSION\"", "resource inline_policies bad name Version"),
        ("\"TAG\"", "resource tags aws:x"),
        ("\"OTHER\"", "resource tags y"),
        ("\"SOON\"", "resource timeouts create"),
        ("INSIDE", "resource policy"),
        ("LAST", "resource max_session_duration"),
    ] {
        assert_eq!(
            enclosing(text, text.find(mark).unwrap()).join(" "),
            expected,
            "{mark}"
        );
    }
}
