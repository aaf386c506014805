//! Rules P1 to P8: what a provider may plan for a configuration.

use podidentity::cty::{Path, Step, Value};

use crate::rules::Violation;
use crate::schema::{Attribute, Block, Kind, NestedBlock, Nesting};

/// Every way in which `planned` is no valid plan for `config`, given `prior`.
pub(crate) fn assert_plan_valid(
    schema: &Block,
    prior: &Value,
    config: &Value,
    planned: &Value,
) -> Vec<Violation> {
    let mut checker = Checker(Vec::new());
    checker.block(schema, prior, config, planned, &Path::root());
    checker.0
}

struct Checker(Vec<Violation>);

impl Checker {
    fn fault(&mut self, rule: &'static str, path: &Path, message: impl std::fmt::Display) {
        self.0.push(Violation::at(rule, path, message));
    }

    /// P1. Answers whether there is anything more to compare.
    fn presence(&mut self, config: &Value, planned: &Value, path: &Path) -> bool {
        if planned.is_null() && !config.is_null() {
            self.fault("P1", path, "planned for absence but config wants existence");
        } else if config.is_null() && !planned.is_null() {
            self.fault("P1", path, "planned for existence but config wants absence");
        }
        !planned.is_null() && !config.is_null()
    }

    fn block(
        &mut self,
        schema: &Block,
        prior: &Value,
        config: &Value,
        planned: &Value,
        path: &Path,
    ) {
        if schema.computed && config.is_null() {
            return; // Terraform 1.16: the provider decides about the whole block.
        }
        if !self.presence(config, planned, path) {
            return;
        }
        self.attributes(&schema.attributes, prior, config, planned, path);
        for nested in &schema.blocks {
            let name = &nested.name;
            self.nested_block(
                nested,
                prior.get(name),
                config.get(name),
                planned.get(name),
                &path.attribute(name),
            );
        }
    }

    fn nested_block(
        &mut self,
        nested: &NestedBlock,
        prior: &Value,
        config: &Value,
        planned: &Value,
        path: &Path,
    ) {
        let schema = &nested.block;
        if nested.nesting == Nesting::Single || nested.nesting == Nesting::Group {
            if config.is_unknown() {
                if !planned.is_unknown() {
                    self.fault(
                        "P8",
                        path,
                        format!("planned value {planned:?} for unknown dynamic block"),
                    );
                }
            } else if planned.is_unknown() {
                self.fault("P8", path, "planned unknown value for configured block");
            } else if nested.nesting == Nesting::Group && planned.is_null() {
                self.fault("P8", path, not_null(nested.nesting));
            } else {
                self.block(schema, prior, config, planned, path);
            }
            return;
        }
        if planned.is_null() {
            self.fault("P8", path, not_null(nested.nesting));
            return;
        }
        if config.is_unknown() {
            if !planned.is_unknown() {
                self.fault(
                    "P8",
                    path,
                    format!("planned value {planned:?} for unknown dynamic block"),
                );
            }
            return;
        }
        if planned.is_unknown() {
            self.fault("P8", path, "planned unknown value for non-computed block");
            return;
        }
        match (config, planned) {
            (Value::List(config), Value::List(planned)) => {
                if !self.same_block_count(planned.len(), config.len(), path) {
                    return;
                }
                let before = prior.as_elements().unwrap_or_default();
                for (index, (config, planned)) in config.iter().zip(planned).enumerate() {
                    let path = path.index(index);
                    if self.known_element(planned, &path) {
                        let prior = before.get(index).unwrap_or(&Value::Null);
                        self.block(schema, prior, config, planned, &path);
                    }
                }
            }
            (Value::Map(config), Value::Map(planned)) => {
                for key in planned.keys().filter(|key| !config.contains_key(*key)) {
                    self.fault(
                        "P8",
                        path,
                        format!("block key {key:?} from plan is not present in config"),
                    );
                }
                for (key, config) in config {
                    let Some(planned) = planned.get(key) else {
                        self.fault(
                            "P8",
                            path,
                            format!("block key {key:?} from config is not present in plan"),
                        );
                        continue;
                    };
                    let path = path.key(key);
                    if self.known_element(planned, &path) {
                        self.block(schema, prior.get(key), config, planned, &path);
                    }
                }
            }
            (Value::Set(config), Value::Set(planned)) => {
                // Elements of a set have no identity, so Core trusts them beyond their number.
                self.same_block_count(planned.len(), config.len(), path);
                for planned in planned {
                    self.known_element(planned, path);
                }
            }
            _ => self.fault(
                "P9",
                path,
                format!("{} for a block that is {}", planned.kind(), config.kind()),
            ),
        }
    }

    fn same_block_count(&mut self, planned: usize, config: usize, path: &Path) -> bool {
        if planned != config {
            self.fault(
                "P8",
                path,
                format!(
                    "block count in plan ({planned}) disagrees with count in config ({config})"
                ),
            );
        }
        planned == config
    }

    fn known_element(&mut self, planned: &Value, path: &Path) -> bool {
        if planned.is_unknown() {
            self.fault(
                "P8",
                path,
                "element representing nested block must not be unknown itself; set nested attribute values to unknown instead",
            );
        }
        !planned.is_unknown()
    }

    fn attributes(
        &mut self,
        attributes: &[Attribute],
        prior: &Value,
        config: &Value,
        planned: &Value,
        path: &Path,
    ) {
        for attribute in attributes {
            let name = &attribute.name;
            self.attribute(
                attribute,
                prior.get(name),
                config.get(name),
                planned.get(name),
                &path.attribute(name),
            );
        }
    }

    fn attribute(
        &mut self,
        attribute: &Attribute,
        prior: &Value,
        config: &Value,
        planned: &Value,
        path: &Path,
    ) {
        // P2. A write-only value is not planned even though it is configured.
        if !attribute.write_only
            && (planned == config || (planned == prior && !prior.is_null() && !config.is_null()))
        {
            return;
        }
        if attribute.write_only {
            if !planned.is_null() {
                self.fault(
                    "P3",
                    path,
                    "planned value for write-only attribute is not null",
                );
            }
            return;
        }
        if attribute.computed && (!attribute.optional || config.is_null()) {
            return; // P4
        }
        if config.is_null() {
            self.fault(
                "P5",
                path,
                if attribute.sensitive {
                    "sensitive planned value for a non-computed attribute".to_owned()
                } else {
                    format!("planned value {planned:?} for a non-computed attribute")
                },
            );
            return;
        }
        if let Kind::Nested(nesting, nested) = &attribute.kind {
            self.nested_attribute(*nesting, nested, [prior, config, planned], path);
            return;
        }
        self.differs(attribute.sensitive, [prior, config, planned], path);
    }

    /// P7.
    fn differs(&mut self, sensitive: bool, [prior, config, planned]: [&Value; 3], path: &Path) {
        let message = match (sensitive, prior.is_null()) {
            (false, true) => {
                format!("planned value {planned:?} does not match config value {config:?}")
            }
            (false, false) => format!(
                "planned value {planned:?} does not match config value {config:?} nor prior value {prior:?}"
            ),
            (true, true) => "sensitive planned value does not match config value".to_owned(),
            (true, false) => {
                "sensitive planned value does not match config value nor prior value".to_owned()
            }
        };
        self.fault("P7", path, message);
    }

    /// P6.
    fn nested_attribute(
        &mut self,
        nesting: Nesting,
        nested: &[Attribute],
        [prior, config, planned]: [&Value; 3],
        path: &Path,
    ) {
        if !self.presence(config, planned, path) {
            return;
        }
        if planned.is_unknown() {
            self.fault("P6", path, "planned unknown for configured value");
            return;
        }
        match (nesting, config, planned) {
            (Nesting::Single, _, _) => self.attributes(nested, prior, config, planned, path),
            (_, Value::List(config), Value::List(planned)) => {
                if !self.same_count(planned.len(), config.len(), path) {
                    return;
                }
                let before = prior.as_elements().unwrap_or_default();
                for (index, (config, planned)) in config.iter().zip(planned).enumerate() {
                    let prior = before.get(index).unwrap_or(&Value::Null);
                    self.nested_attribute(
                        Nesting::Single,
                        nested,
                        [prior, config, planned],
                        &path.index(index),
                    );
                }
            }
            (_, Value::Map(config), Value::Map(planned)) => {
                for key in planned.keys().filter(|key| !config.contains_key(*key)) {
                    self.fault(
                        "P6",
                        path,
                        format!("map key {key:?} from plan is not present in config"),
                    );
                }
                for (key, config) in config {
                    match planned.get(key) {
                        Some(planned) => self.nested_attribute(
                            Nesting::Single,
                            nested,
                            [prior.get(key), config, planned],
                            &path.key(key),
                        ),
                        None => self.fault(
                            "P6",
                            path,
                            format!("map key {key:?} from config is not present in plan"),
                        ),
                    }
                }
            }
            (_, Value::Set(config), Value::Set(planned)) => {
                self.same_count(planned.len(), config.len(), path);
            }
            _ => self.differs(false, [prior, config, planned], path),
        }
    }

    fn same_count(&mut self, planned: usize, config: usize, path: &Path) -> bool {
        if planned != config {
            self.fault(
                "P6",
                path,
                format!("count in plan ({planned}) disagrees with count in config ({config})"),
            );
        }
        planned == config
    }
}

fn not_null(nesting: Nesting) -> String {
    format!(
        "attribute representing a {} of nested blocks must be empty to indicate no blocks, not null",
        nesting.word()
    )
}

/// P10: the requested replacement paths that count. A path counts if the planned value there differs from the prior one
/// or is unknown, or if the attribute is write-only.
pub(crate) fn surviving_replace_paths(
    schema: &Block,
    prior: &Value,
    planned: &Value,
    requested: &[Path],
) -> Result<Vec<Path>, Vec<Violation>> {
    let mut violations = Vec::new();
    let mut surviving = Vec::new();
    for path in requested {
        match (prior.at(path), planned.at(path)) {
            (None, None) => violations.push(Violation::new(
                "P10",
                format!("\"requires replacement\" for a non-existent attribute path {path}"),
            )),
            (prior, planned) => {
                if prior != planned
                    || planned.is_some_and(|p| !p.is_wholly_known())
                    || is_write_only(schema, path)
                {
                    surviving.push(path.clone());
                }
            }
        }
    }
    if violations.is_empty() {
        Ok(surviving)
    } else {
        Err(violations)
    }
}

fn is_write_only(schema: &Block, path: &Path) -> bool {
    match path.steps() {
        [Step::Attribute(name)] => schema
            .attributes
            .iter()
            .any(|attribute| attribute.name == *name && attribute.write_only),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn thing(written: &[(&'static str, Value)]) -> Value {
        let schema = fake::schema();
        schema.block.configuration(&Value::object(written.to_vec()))
    }

    /// What the rules allow, beside planning the configuration itself.
    #[test]
    fn a_provider_may_decide() {
        let s = |text: &str| Value::from(text);
        let rule = |port: i64, id: Value| {
            Value::List(vec![Value::object([
                ("port", Value::from(port)),
                ("id", id),
            ])])
        };
        let cases: [(&str, Value, Value, Value); 9] = [
            (
                "P2: the prior value instead of one that means the same",
                thing(&[("name", s("A")), ("tags", Value::string_map([("k", "v ")]))]),
                thing(&[("name", s("a")), ("tags", Value::string_map([("k", "v")]))]),
                thing(&[("name", s("A")), ("tags", Value::string_map([("k", "v ")]))]),
            ),
            (
                "P2: an unknown value stays",
                Value::Null,
                thing(&[("size", Value::unknown())]),
                thing(&[("size", Value::unknown())]),
            ),
            (
                "P4: a computed value, known or not",
                Value::Null,
                thing(&[]),
                thing(&[("id", s("x")), ("mode", Value::unknown())]),
            ),
            (
                "P4: a computed nested attribute",
                Value::Null,
                thing(&[]),
                thing(&[(
                    "owner",
                    Value::object([("email", s("e")), ("note", s("n"))]),
                )]),
            ),
            (
                "P4 inside P6",
                thing(&[("rule", rule(1, s("r")))]),
                thing(&[("rule", rule(2, Value::Null))]),
                thing(&[("rule", rule(2, s("other")))]),
            ),
            ("P1: destroy", thing(&[]), Value::Null, Value::Null),
            (
                "P8: an unknown dynamic block stays",
                Value::Null,
                thing(&[("disk", Value::unknown())]),
                thing(&[("disk", Value::unknown())]),
            ),
            (
                "P8: elements of a set block are trusted",
                Value::Null,
                thing(&[(
                    "door",
                    Value::set_of([Value::object([("color", s("red"))])]),
                )]),
                thing(&[(
                    "door",
                    Value::set_of([Value::object([("color", s("blue"))])]),
                )]),
            ),
            (
                "P3: a write-only value is not planned",
                Value::Null,
                thing(&[("token", s("t"))]),
                thing(&[]),
            ),
        ];
        for (name, prior, config, planned) in cases {
            let found = assert_plan_valid(&fake::schema().block, &prior, &config, &planned);
            assert_eq!(found, [], "{name}");
        }
    }

    /// A requested replacement counts where something changes, or may.
    #[test]
    fn replacement_paths_that_count() {
        let schema = &fake::schema().block;
        let prior = thing(&[("name", Value::from("a")), ("size", Value::from(1))]);
        let planned = thing(&[("name", Value::from("a")), ("size", Value::unknown())]);
        let paths = ["name", "size", "token"].map(Path::from);
        let surviving = surviving_replace_paths(schema, &prior, &planned, &paths).unwrap();
        assert_eq!(surviving, ["size", "token"].map(Path::from));
        let nowhere = [Path::from("name").attribute("x"), Path::from("nothing")];
        let broken = surviving_replace_paths(schema, &prior, &planned, &nowhere).unwrap_err();
        assert_eq!(broken.len(), 2);
    }
}
