//! Taints of nodes and the tolerations of pods.

/// A taint that keeps pods from a node unless they tolerate it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, often empty.
    pub value: String,
    /// `NoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A toleration of a pod.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Toleration {
    /// The key; `None` stands for all.
    pub key: Option<String>,
    /// Whether any value will do (operator `Exists`). So it is taken for operators that are not known, too.
    pub any_value: bool,
    /// The value, if not any.
    pub value: String,
    /// The effect; `None` stands for all.
    pub effect: Option<String>,
}

impl Toleration {
    /// Whether it puts up with a taint. Source: "Taints and Tolerations" in the Kubernetes documentation.
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.as_ref().is_none_or(|e| *e == taint.effect);
        let key = match &self.key {
            Some(key) => *key == taint.key,
            // Without a key only the operator Exists is valid.
            None => self.any_value,
        };
        effect && key && (self.any_value || self.value == taint.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_about_key_value_and_effect() {
        let taint = Taint {
            key: "dedicated".to_owned(),
            value: "gpu".to_owned(),
            effect: "NoSchedule".to_owned(),
        };
        let toleration = |key: &str, any_value, value: &str, effect: &str| Toleration {
            key: (!key.is_empty()).then(|| key.to_owned()),
            any_value,
            value: value.to_owned(),
            effect: (!effect.is_empty()).then(|| effect.to_owned()),
        };
        for (toleration, expected) in [
            (toleration("dedicated", false, "gpu", "NoSchedule"), true),
            (toleration("dedicated", false, "gpu", ""), true),
            (toleration("dedicated", true, "", "NoSchedule"), true),
            (toleration("", true, "", ""), true),
            (toleration("", false, "", ""), false),
            (toleration("dedicated", false, "", ""), false),
            (toleration("dedicated", false, "gpu", "NoExecute"), false),
            (toleration("other", true, "", ""), false),
        ] {
            assert_eq!(toleration.tolerates(&taint), expected, "{toleration:?}");
        }
    }
}
