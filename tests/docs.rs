//! The registry's documentation is generated from the schemas and `examples/`, and kept in step by this test.
//!
//! `make docs` (`UPDATE_DOCS=1 cargo test --test docs`) rewrites it; without the variable a difference fails. The layout is the
//! one registry.terraform.io displays: `docs/index.md`, `docs/resources/<name>.md` and so on, each with front matter, an example,
//! the schema as nested lists, and how to import; `docs/functions/<name>.md` have signature and arguments instead. Pages under `docs/guides` and `docs/ARCHITECTURE.md` are written by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use podidentity::cty::{Type, Value};
use podidentity::framework::function::{Function, Parameter};
use podidentity::framework::provider::Provider as _;
use podidentity::framework::schema::{
    Attribute, AttributeType, Block, NestedBlock, Nesting, PlanModifier, Schema,
};
use podidentity::migration::finding::{Code, Weight};
use podidentity::provider::PodIdentityProvider;

/// Prefix of every type name, and the provider's name in titles.
const PROVIDER: &str = "podidentity";

/// What the generator owns under `docs/`.
const GENERATED: [&str; 3] = ["resources", "data-sources", "functions"];

#[test]
fn documentation_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = pages(root);
    if env::var_os("UPDATE_DOCS").is_some() {
        for directory in GENERATED {
            let _ = fs::remove_dir_all(root.join("docs").join(directory));
        }
        for (path, text) in &pages {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    let on_disk: BTreeSet<PathBuf> = GENERATED
        .iter()
        .filter_map(|directory| fs::read_dir(root.join("docs").join(directory)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    let stale: Vec<&PathBuf> = on_disk
        .iter()
        .filter(|path| !pages.contains_key(*path))
        .collect();
    assert!(
        stale.is_empty(),
        "run `make docs`: nothing generates {stale:?} any more"
    );
    for (path, text) in &pages {
        let found = fs::read_to_string(path).unwrap_or_default();
        if let Some((number, (expected, found))) = lines(text)
            .zip(lines(&found))
            .enumerate()
            .find(|(_, (a, b))| a != b)
        {
            panic!(
                "run `make docs`: {}, line {}\n  is        {found:?}\n  should be {expected:?}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn every_description_is_a_sentence() {
    let mut faults = Vec::new();
    for (name, schema) in objects() {
        check_block(&name, &schema.block, &mut faults);
    }
    for function in PodIdentityProvider::new().functions() {
        let name = function.name();
        let definition = function.definition();
        check_sentence(name, &definition.summary, &mut faults);
        check_sentence(name, &definition.description, &mut faults);
        for parameter in definition
            .parameters
            .iter()
            .chain(&definition.variadic_parameter)
        {
            let at = format!("{name}({})", parameter.name);
            check_sentence(&at, &parameter.description, &mut faults);
        }
    }
    assert!(
        faults.is_empty(),
        "descriptions are documentation: {faults:#?}"
    );
}

/// Lines, then endless `None`, so that the shorter text differs too.
fn lines(text: &str) -> impl Iterator<Item = Option<&str>> {
    text.lines()
        .map(Some)
        .chain(std::iter::repeat(None))
        .take(100_000)
}

fn objects() -> Vec<(String, Schema)> {
    let provider = PodIdentityProvider::new();
    let mut objects = vec![(PROVIDER.to_owned(), provider.schema())];
    objects.extend(
        provider
            .resources()
            .iter()
            .map(|r| (r.type_name().to_owned(), r.schema())),
    );
    objects.extend(
        provider
            .data_sources()
            .iter()
            .map(|d| (d.type_name().to_owned(), d.schema())),
    );
    objects
}

fn check_block(at: &str, block: &Block, faults: &mut Vec<String>) {
    check_sentence(at, &block.description, faults);
    check_attributes(at, &block.attributes, faults);
    for nested in &block.blocks {
        check_block(&format!("{at}.{}", nested.name), &nested.block, faults);
    }
}

fn check_attributes(at: &str, attributes: &[Attribute], faults: &mut Vec<String>) {
    for attribute in attributes {
        let at = format!("{at}.{}", attribute.name);
        check_sentence(&at, &attribute.description, faults);
        if let AttributeType::Nested { attributes, .. } = &attribute.ty {
            check_attributes(&at, attributes, faults);
        }
    }
}

fn check_sentence(at: &str, text: &str, faults: &mut Vec<String>) {
    let starts = text.starts_with(|c: char| c.is_uppercase() || c == '`');
    if !starts || !text.trim_end().ends_with(['.', '`', ')']) {
        faults.push(format!("{at}: {text:?}"));
    }
}

/// Every generated page by its path.
fn pages(root: &Path) -> BTreeMap<PathBuf, String> {
    let provider = PodIdentityProvider::new();
    let mut pages = BTreeMap::new();
    let mut add = |path: &str, text: String| pages.insert(root.join("docs").join(path), text);
    add("index.md", provider_page(root, &provider.schema()));
    for resource in provider.resources() {
        let name = resource.type_name();
        let mut text = object_page(root, "resources", "Resource", name, &resource.schema());
        if name == "podidentity_irsa_migration" {
            add_codes(&mut text);
        }
        add(&format!("resources/{}.md", short(name)), text);
    }
    for data_source in provider.data_sources() {
        let name = data_source.type_name();
        let text = object_page(
            root,
            "data-sources",
            "Data Source",
            name,
            &data_source.schema(),
        );
        add(&format!("data-sources/{}.md", short(name)), text);
    }
    for function in provider.functions() {
        let text = function_page(root, &*function);
        add(&format!("functions/{}.md", function.name()), text);
    }
    pages
}

/// The codes of blockers and warnings, which are part of the interface.
fn add_codes(page: &mut String) {
    page.push_str(
        "\n## Blockers and warnings\n\nBlockers stop a migration unless `ignore_blockers` names them; warnings do not. Their codes never change.\n",
    );
    for (title, weight) in [("Blocker", Weight::Blocker), ("Warning", Weight::Warning)] {
        write!(page, "\n| {title} | Meaning |\n|---|---|\n").unwrap();
        for code in Code::ALL.iter().filter(|code| code.weight() == weight) {
            writeln!(page, "| `{code}` | {} |", code.description()).unwrap();
        }
    }
}

fn short(type_name: &str) -> &str {
    type_name
        .strip_prefix(PROVIDER)
        .unwrap()
        .trim_start_matches('_')
}

fn provider_page(root: &Path, schema: &Schema) -> String {
    let mut page = front_matter("podidentity Provider", &schema.block.description);
    write!(
        page,
        "# podidentity Provider\n\n{}\n",
        schema.block.description
    )
    .unwrap();
    add_example(&mut page, &root.join("examples/provider/provider.tf"));
    add_schema(&mut page, schema);
    page
}

fn object_page(root: &Path, folder: &str, kind: &str, name: &str, schema: &Schema) -> String {
    let description = &schema.block.description;
    let mut page = front_matter(&format!("{name} {kind} - {PROVIDER}"), description);
    write!(page, "# {name} ({kind})\n\n{description}\n").unwrap();
    let examples = root.join("examples").join(folder).join(name);
    let file = if folder == "resources" {
        "resource.tf"
    } else {
        "data-source.tf"
    };
    add_example(&mut page, &examples.join(file));
    add_schema(&mut page, schema);
    let import = examples.join("import.sh");
    if folder == "resources" {
        page.push_str("\n## Import\n\n");
        let block = examples.join("import-by-string-id.tf");
        if block.exists() {
            page.push_str("In Terraform 1.5 and later, an [`import` block](https://developer.hashicorp.com/terraform/language/import) imports by `id`:\n\n");
            write!(page, "```terraform\n{}```\n\n", read(&block)).unwrap();
        }
        page.push_str("The [`terraform import` command](https://developer.hashicorp.com/terraform/cli/commands/import) does the same:\n\n");
        write!(page, "```shell\n{}```\n", read(&import)).unwrap();
    }
    page
}

/// Signature and arguments as the registry shows them for every provider.
fn function_page(root: &Path, function: &dyn Function) -> String {
    let name = function.name();
    let definition = function.definition();
    let mut page = front_matter(
        &format!("{name} function - {PROVIDER}"),
        &definition.summary,
    );
    write!(page, "# function: {name}\n\n{}\n", definition.description).unwrap();
    add_example(
        &mut page,
        &root
            .join("examples/functions")
            .join(name)
            .join("function.tf"),
    );
    let mut parameters: Vec<String> = definition
        .parameters
        .iter()
        .map(|parameter| format!("{} {}", parameter.name, parameter.ty))
        .collect();
    if let Some(variadic) = &definition.variadic_parameter {
        parameters.push(format!("{} {}...", variadic.name, variadic.ty));
    }
    write!(
        page,
        "\n## Signature\n\n```text\n{name}({}) {}\n```\n\n## Arguments\n\n",
        parameters.join(", "),
        definition.result
    )
    .unwrap();
    for parameter in &definition.parameters {
        add_parameter(&mut page, parameter, false);
    }
    if let Some(variadic) = &definition.variadic_parameter {
        add_parameter(&mut page, variadic, true);
    }
    page
}

fn add_parameter(page: &mut String, parameter: &Parameter, variadic: bool) {
    let mut notes = words(&parameter.ty);
    if variadic {
        notes.insert_str(0, "Variadic, ");
    }
    if parameter.allow_null {
        notes.push_str(", Nullable");
    }
    writeln!(
        page,
        "1. `{}` ({notes}) {}",
        parameter.name,
        one_line(&parameter.description)
    )
    .unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The registry shows the first paragraph of the description in its lists.
fn front_matter(title: &str, description: &str) -> String {
    let summary = description
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    format!(
        "---\n# generated by `make docs` from the schema and examples/; do not edit\npage_title: \"{title}\"\nsubcategory: \"\"\ndescription: |-\n  {summary}\n---\n\n"
    )
}

fn add_example(page: &mut String, path: &Path) {
    write!(
        page,
        "\n## Example Usage\n\n```terraform\n{}```\n",
        read(path)
    )
    .unwrap();
}

/// A nested schema that is described after the list that names it.
struct Pending<'a> {
    anchor: String,
    path: String,
    attributes: &'a [Attribute],
    blocks: &'a [NestedBlock],
}

fn add_schema(page: &mut String, schema: &Schema) {
    page.push_str("\n## Schema\n");
    let mut pending = Vec::new();
    add_body(
        page,
        "### ",
        "",
        &schema.block.attributes,
        &schema.block.blocks,
        &mut pending,
    );
    // Depth first: a nested schema stands right after its parent's.
    while let Some(next) = (!pending.is_empty()).then(|| pending.remove(0)) {
        write!(
            page,
            "\n<a id=\"{}\"></a>\n### Nested Schema for `{}`\n",
            next.anchor, next.path
        )
        .unwrap();
        let mut inner = Vec::new();
        let path = format!("{}.", next.path);
        add_body(page, "", &path, next.attributes, next.blocks, &mut inner);
        inner.append(&mut pending);
        pending = inner;
    }
}

fn add_body<'a>(
    page: &mut String,
    heading: &str,
    path: &str,
    attributes: &'a [Attribute],
    blocks: &'a [NestedBlock],
    pending: &mut Vec<Pending<'a>>,
) {
    let colon = if heading.is_empty() { ":" } else { "" };
    let mut groups: [(&str, Vec<String>); 3] = [
        ("Required", vec![]),
        ("Optional", vec![]),
        ("Read-Only", vec![]),
    ];
    for attribute in attributes {
        let group = match (attribute.required, attribute.optional) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        };
        let mut line = format!("- `{}` ({})", attribute.name, notes(attribute));
        let text = attribute_text(attribute);
        if !text.is_empty() {
            write!(line, " {text}").unwrap();
        }
        if let AttributeType::Nested { attributes, .. } = &attribute.ty {
            let path = format!("{path}{}", attribute.name);
            let anchor = format!("nestedatt--{}", path.replace('.', "--"));
            write!(line, " (see [below for nested schema](#{anchor}))").unwrap();
            pending.push(Pending {
                anchor,
                path,
                attributes,
                blocks: &[],
            });
        }
        groups[group].1.push(line);
    }
    for nested in blocks {
        let group = usize::from(nested.min_items == 0);
        let path = format!("{path}{}", nested.name);
        let anchor = format!("nestedblock--{}", path.replace('.', "--"));
        groups[group].1.push(format!(
            "- `{}` ({}) {} (see [below for nested schema](#{anchor}))",
            nested.name,
            block_notes(nested),
            one_line(&nested.block.description)
        ));
        pending.push(Pending {
            anchor,
            path,
            attributes: &nested.block.attributes,
            blocks: &nested.block.blocks,
        });
    }
    for (title, mut lines) in groups {
        if lines.is_empty() {
            continue;
        }
        // By name: the back quote that ends it sorts after an underscore.
        lines.sort_unstable_by_key(|line| line.split('`').nth(1).map(str::to_owned));
        write!(page, "\n{heading}{title}{colon}\n\n{}\n", lines.join("\n")).unwrap();
    }
}

/// Type and properties, as in `String, Sensitive`.
fn notes(attribute: &Attribute) -> String {
    let mut notes = match &attribute.ty {
        AttributeType::Plain(ty) => words(ty),
        AttributeType::Nested { nesting, .. } => match nesting {
            Nesting::Single | Nesting::Group => "Attributes".to_owned(),
            Nesting::List => "Attributes List".to_owned(),
            Nesting::Set => "Attributes Set".to_owned(),
            Nesting::Map => "Attributes Map".to_owned(),
        },
    };
    for (holds, note) in [
        (attribute.sensitive, ", Sensitive"),
        (attribute.write_only, ", Write-only"),
        (attribute.deprecation_message.is_some(), ", Deprecated"),
    ] {
        if holds {
            notes.push_str(note);
        }
    }
    notes
}

/// A type as the registry writes it: `Map of String`.
fn words(ty: &Type) -> String {
    let text = ty.to_string();
    let words = text.split(' ').map(|word| match word {
        "of" => "of".to_owned(),
        "bool" => "Boolean".to_owned(),
        other => capitalised(other),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn block_notes(block: &NestedBlock) -> String {
    let kind = match block.nesting {
        Nesting::Single | Nesting::Group => "Block",
        Nesting::List => "Block List",
        Nesting::Set => "Block Set",
        Nesting::Map => "Block Map",
    };
    let min = (block.min_items > 0).then(|| format!(", Min: {}", block.min_items));
    let max = (block.max_items > 0).then(|| format!(", Max: {}", block.max_items));
    format!(
        "{kind}{}{}",
        min.unwrap_or_default(),
        max.unwrap_or_default()
    )
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// The description, and what the code knows besides: the default, the constraints, what a change does.
fn attribute_text(attribute: &Attribute) -> String {
    let mut text = one_line(&attribute.description);
    let mut add = |sentence: String| {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&sentence);
    };
    if let Some(message) = &attribute.deprecation_message {
        add(format!("**Deprecated:** {}", one_line(message)));
    }
    // Descriptions that editors show tell it themselves.
    if let Some(default) = attribute.default.as_ref().and_then(literal)
        && !attribute.description.contains("Default: ")
    {
        add(format!("Default: `{default}`."));
    }
    let rules: Vec<String> = attribute
        .validators
        .iter()
        .map(|v| v.description())
        .filter(|d| !d.is_empty())
        .collect();
    if !rules.is_empty() {
        add(format!("Constraints: {}.", rules.join("; ")));
    }
    if attribute.plan_modifiers.iter().any(|modifier| {
        matches!(
            modifier,
            PlanModifier::RequiresReplace | PlanModifier::RequiresReplaceIfConfigured
        )
    }) {
        add("A change replaces the object.".to_owned());
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A default as one would write it in HCL; `None` for what has no short form.
fn literal(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(format!("\"{text}\""));
    }
    if let Some(truth) = value.as_bool() {
        return Some(truth.to_string());
    }
    value.as_number().map(ToString::to_string)
}

#[test]
fn a_schema_becomes_nested_lists() {
    let schema = Schema::new("Manages a thing.")
        .attribute(
            Attribute::string("name", "The name.")
                .required()
                .requires_replace(),
        )
        .attribute(
            Attribute::map("tags", Type::String, "Tags.")
                .optional()
                .deprecated("Use labels."),
        )
        .attribute(
            Attribute::nested(
                "trust",
                Nesting::Single,
                vec![
                    Attribute::nested(
                        "inner",
                        Nesting::List,
                        vec![
                            Attribute::bool("on", "Whether.")
                                .optional()
                                .computed()
                                .default(true),
                        ],
                        "Inner.",
                    )
                    .optional(),
                ],
                "Who.",
            )
            .optional(),
        )
        .attribute(
            Attribute::string("secret", "A secret.")
                .computed()
                .sensitive(),
        )
        .nested_block(
            NestedBlock::list(
                "endpoints",
                Block::new("Where.").attribute(Attribute::string("eks", "EKS.").optional()),
            )
            .items(0, 1),
        );
    let mut page = String::new();
    add_schema(&mut page, &schema);
    let expected = r#"
## Schema

### Required

- `name` (String) The name. A change replaces the object.

### Optional

- `endpoints` (Block List, Max: 1) Where. (see [below for nested schema](#nestedblock--endpoints))
- `tags` (Map of String, Deprecated) Tags. **Deprecated:** Use labels.
- `trust` (Attributes) Who. (see [below for nested schema](#nestedatt--trust))

### Read-Only

- `secret` (String, Sensitive) A secret.

<a id="nestedatt--trust"></a>
### Nested Schema for `trust`

Optional:

- `inner` (Attributes List) Inner. (see [below for nested schema](#nestedatt--trust--inner))

<a id="nestedatt--trust--inner"></a>
### Nested Schema for `trust.inner`

Optional:

- `on` (Boolean) Whether. Default: `true`.

<a id="nestedblock--endpoints"></a>
### Nested Schema for `endpoints`

Optional:

- `eks` (String) EKS.
"#;
    assert_eq!(page, expected);
}
