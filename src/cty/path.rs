//! Paths into values, as diagnostics and plans name them.

use std::fmt;

/// One step of a [`Path`].
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum Step {
    /// An attribute or block of an object.
    Attribute(String),
    /// An element of a map.
    Key(String),
    /// An element of a list or tuple, from 0.
    Index(usize),
}

/// Where a value stands inside a configuration or state object.
///
/// There is no step for an element of a set: a path ends at the set itself, because Terraform's `AttributePath` has no
/// selector for set elements.
#[derive(Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// The whole object.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// A top-level attribute or block.
    #[must_use]
    pub fn attribute_of_root(name: impl Into<String>) -> Self {
        Self::root().attribute(name)
    }

    /// This path followed by an attribute.
    #[must_use]
    pub fn attribute(&self, name: impl Into<String>) -> Self {
        self.step(Step::Attribute(name.into()))
    }

    /// This path followed by a map key.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.step(Step::Key(key.into()))
    }

    /// This path followed by a list index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// This path followed by `step`.
    #[must_use]
    pub fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The path without its last step; `None` for the whole object.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// Whether this path leads to `prefix` or into it.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// Goes one step further, in place.
    pub fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    /// Goes one step back, in place.
    pub fn pop(&mut self) -> Option<Step> {
        self.0.pop()
    }

    /// Whether this is the whole object.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the attribute or block that the first step names, if any.
    #[must_use]
    pub fn first_attribute(&self) -> Option<&str> {
        match self.0.first() {
            Some(Step::Attribute(name)) => Some(name),
            _ => None,
        }
    }
}

impl From<&str> for Path {
    /// A top-level attribute.
    fn from(name: &str) -> Self {
        Self::attribute_of_root(name)
    }
}

impl FromIterator<Step> for Path {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl fmt::Display for Path {
    /// As a Terraform author writes it: `trust.cluster_arns[0]`, `tags["team"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if position == 0 => write!(f, "{name}")?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn reads_as_a_terraform_author_writes() {
        let path = Path::from("trust").attribute("cluster_arns").index(0);
        assert_eq!(path.to_string(), "trust.cluster_arns[0]");
        assert_eq!(
            Path::from("tags").key("a \"b\"").to_string(),
            r#"tags["a \"b\""]"#
        );
        assert_eq!(Path::root().to_string(), "");
        assert!(path.starts_with(&Path::from("trust")));
        assert!(path.starts_with(&Path::root()));
        assert!(!Path::from("trust").starts_with(&path));
        assert_eq!(
            path.parent(),
            Some(Path::from("trust").attribute("cluster_arns"))
        );
        assert_eq!(Path::root().parent(), None);
    }
}
