//! Checks of strings that must parse.

use time::OffsetDateTime;
use time::format_description::well_known;

use crate::framework::timeouts::parse_duration;

use super::{Diagnostics, Validator, ValidatorRequest, refusal};

/// A JSON object, as text: `{"a": 1}`.
#[must_use]
pub fn json_object() -> JsonObject {
    JsonObject
}

/// A time in RFC 3339: `2026-08-21T10:15:30Z`.
#[must_use]
pub fn rfc3339() -> Rfc3339 {
    Rfc3339
}

/// A duration as Terraform's timeouts write it: `30m`, `1h30m`, `45s`.
#[must_use]
pub fn duration() -> Duration {
    Duration
}

/// See [`json_object`].
#[derive(Clone, Copy, Debug)]
pub struct JsonObject;

/// See [`rfc3339`].
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339;

/// See [`duration`].
#[derive(Clone, Copy, Debug)]
pub struct Duration;

impl Validator for JsonObject {
    fn description(&self) -> String {
        "a JSON object".to_owned()
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        let Some(text) = request.value.as_str() else {
            return;
        };
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(_)) => {}
            Ok(_) => diagnostics.push(refusal(request, "a JSON object ({ … })")),
            Err(error) => {
                let mut diagnostic = refusal(request, "a JSON object");
                // The parser names line, column and what it expected, never the text itself.
                diagnostic
                    .detail
                    .push_str(&format!(" JSON error: {error}."));
                diagnostics.push(diagnostic);
            }
        }
    }
}

impl Validator for Rfc3339 {
    fn description(&self) -> String {
        "a time in RFC 3339, such as \"2026-08-21T10:15:30Z\"".to_owned()
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        if let Some(text) = request.value.as_str()
            && OffsetDateTime::parse(text, &well_known::Rfc3339).is_err()
        {
            diagnostics.push(refusal(request, &self.description()));
        }
    }
}

impl Validator for Duration {
    fn description(&self) -> String {
        "a duration, such as \"30m\" or \"1h30m\" (units: s, m, h)".to_owned()
    }

    fn validate(&self, request: &ValidatorRequest<'_>, diagnostics: &mut Diagnostics) {
        if let Some(text) = request.value.as_str()
            && parse_duration(text).is_err()
        {
            diagnostics.push(refusal(request, &self.description()));
        }
    }
}
