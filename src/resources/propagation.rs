//! How it is proven that new pods get their credentials the way they should: attributes that several objects have.

use std::time::Duration;

use crate::cty::{Path, Value};
use crate::framework::Diagnostics;
use crate::framework::model::{Attr, FromValue};
use crate::framework::schema::Attribute;
use crate::framework::timeouts::{format_duration, parse_duration};
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

/// Refuses a `timeout` within which so many answers can never come.
pub(crate) fn validate(config: &Value, attribute: &'static str, diagnostics: &mut Diagnostics) {
    let Ok(model) = PropagationModel::from_value(config.get(attribute), &Path::from(attribute))
    else {
        return;
    };
    if model.consecutive.is_unknown() || model.interval.is_unknown() || model.timeout.is_unknown() {
        return;
    }
    let wanted = model.resolve();
    let least = wanted
        .interval
        .saturating_mul(wanted.consecutive.saturating_sub(1));
    if wanted.timeout <= least {
        diagnostics.attribute_error(
            Path::from(attribute).attribute("timeout"),
            "Timeout is too short to prove anything",
            format!(
                "{} dry-run pods with pauses of {} take longer than {}, so this can never succeed. Set timeout to more than {}, \
                 or ask for fewer pods.",
                wanted.consecutive,
                format_duration(wanted.interval),
                format_duration(wanted.timeout),
                format_duration(least)
            ),
        );
    }
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
    fn a_timeout_that_is_too_short_is_refused() {
        for (consecutive, interval, timeout, refused) in [
            (Value::Null, Value::Null, Value::Null, false),
            (Value::from(5), Value::from("1s"), Value::from("4s"), true),
            (Value::from(5), Value::from("1s"), Value::from("5s"), false),
            (Value::from(1), Value::from("1m"), Value::from("1s"), false),
            // Against the defaults: 5 answers, 2 seconds apart, within 5 minutes.
            (Value::Null, Value::Null, Value::from("8s"), true),
            (Value::from(100), Value::from("4s"), Value::Null, true),
            (Value::unknown(), Value::Null, Value::from("1s"), false),
            (Value::from(5), Value::Null, Value::unknown(), false),
        ] {
            let config = Value::object([(
                "propagation",
                Value::object([
                    ("consecutive", consecutive),
                    ("interval", interval),
                    ("timeout", timeout),
                ]),
            )]);
            let mut diagnostics = Diagnostics::new();
            validate(&config, "propagation", &mut diagnostics);
            assert_eq!(diagnostics.has_errors(), refused, "{config:?}");
        }
        let mut diagnostics = Diagnostics::new();
        for missing in [Value::Null, Value::unknown()] {
            let config = Value::object([("propagation", missing)]);
            validate(&config, "propagation", &mut diagnostics);
        }
        assert!(!diagnostics.has_errors());
    }

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
