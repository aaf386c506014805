//! How it is proven that new pods get their credentials the way they should: attributes that several objects have.

use std::time::Duration;

use crate::framework::model::Attr;
use crate::framework::schema::Attribute;
use crate::framework::timeouts::parse_duration;
use crate::framework::validators;
use crate::migration::steps::injection::Propagation;

crate::model! {
    /// The attributes.
    pub(crate) struct PropagationModel {
        pub(crate) consecutive: Attr<i64>,
        pub(crate) interval: Attr<String>,
        pub(crate) timeout: Attr<String>,
    }
}

/// Attributes of the nested object.
pub(crate) fn attributes() -> Vec<Attribute> {
    vec![
        Attribute::number(
            "consecutive",
            "How many dry-run pods in a row must get the right credentials: every API server has a webhook of its own."
        )
        .default(5)
        .validate(validators::between(1, 100)),
        Attribute::string("interval", "The pause between two dry-run pods.")
            .default("2s")
            .validate(validators::duration()),
        Attribute::string("timeout", "How long to go on.")
            .default("5m")
            .validate(validators::duration()),
    ]
}

impl PropagationModel {
    /// What is meant, with the defaults for what is not set.
    pub(crate) fn resolve(&self) -> Propagation {
        let default = Propagation::default();
        let duration = |value: &Attr<String>, default: Duration| {
            let parsed = value.as_deref().and_then(|text| parse_duration(text).ok());
            parsed.unwrap_or(default)
        };
        let consecutive = self.consecutive.known().copied();
        Propagation {
            consecutive: consecutive
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(default.consecutive),
            interval: duration(&self.interval, default.interval),
            timeout: duration(&self.timeout, default.timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_are_those_of_the_step() {
        let defaults = PropagationModel {
            consecutive: Attr::Known(5),
            interval: "2s".into(),
            timeout: "5m".into(),
        };
        assert_eq!(defaults.resolve(), Propagation::default());
        assert_eq!(
            PropagationModel::default().resolve(),
            Propagation::default()
        );
        let set = PropagationModel {
            consecutive: Attr::Known(2),
            interval: "10ms".into(),
            timeout: "1m30s".into(),
        };
        let expected = Propagation {
            consecutive: 2,
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(90),
        };
        assert_eq!(set.resolve(), expected);
    }
}
