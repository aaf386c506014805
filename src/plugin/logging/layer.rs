//! Writes events as the JSON lines that go-plugin reads from a plugin's standard error.

use std::{
    error::Error,
    fmt,
    io::Write,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    level::{Levels, Speaker, hclog_name},
    mask::{MASK, is_secret_name, mask},
};

/// Longest line, line feed included. go-plugin reads lines of at most 64 KiB; what is longer arrives in pieces that are no
/// JSON.
const MAX_LINE: usize = (64 << 10) - 1;

/// Room kept in a line for the count of the fields that found none, and for the line feed.
const LEFT_OUT_ROOM: usize = 64;

/// Longest text of one field, before JSON escapes, which make a byte at most six.
const MAX_FIELD: usize = 8 << 10;

/// Exactly six digits and a zone, or go-plugin does not take the line for a log entry.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Keys whose value must be a string: go-plugin panics inside core on anything else.
const RESERVED: [&str; 4] = ["@level", "@message", "@timestamp", "@module"];

/// A [`Layer`] that writes to `W`.
pub(super) struct HclogLayer<W> {
    levels: Levels,
    output: Mutex<W>,
    now: fn() -> OffsetDateTime,
}

impl<W: Write> HclogLayer<W> {
    /// Writes what `levels` lets through. `now` gives the time in UTC.
    pub(super) fn new(levels: Levels, output: W, now: fn() -> OffsetDateTime) -> Self {
        Self {
            levels,
            output: Mutex::new(output),
            now,
        }
    }
}

impl<S, W> Layer<S> for HclogLayer<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: Write + 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.levels.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _ctx: Context<'_, S>) -> bool {
        self.levels.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.levels.highest())
    }

    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Fields::default();
            attrs.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in ctx
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.extend(of_span);
            }
        }
        event.record(&mut fields);
        let line = line(event.metadata(), (self.now)(), fields);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // One write per line, so that lines of other writers cannot fall into it. A log that cannot be written has nowhere
        // to complain, and must not stop the work.
        let _ = output.write_all(&line).and_then(|()| output.flush());
    }
}

/// The line with its line feed.
fn line(metadata: &Metadata<'_>, now: OffsetDateTime, fields: Fields) -> Vec<u8> {
    let module = match Speaker::of(metadata.target()) {
        Speaker::Provider => "provider".to_owned(),
        Speaker::Protocol => "sdk.proto".to_owned(),
        Speaker::Crate(name) => format!("provider.{name}"),
    };
    let mut entry = Map::new();
    entry.insert("@level".into(), hclog_name(*metadata.level()).into());
    entry.insert("@message".into(), fields.message.into());
    // The format has only what every date has, so it cannot fail.
    let timestamp = now.format(TIMESTAMP).unwrap_or_default();
    entry.insert("@timestamp".into(), timestamp.into());
    entry.insert("@module".into(), module.into());
    let mut length = encoded_length(&entry);
    let mut left_out = 0_usize;
    for (name, value) in fields.fields {
        if RESERVED.contains(&name.as_str()) {
            continue;
        }
        // Whole fields go, and the rest of the line stays readable. The keys above alone always fit.
        let added = encoded_length(&name) + encoded_length(&value) + "\"\":,".len();
        if length + added > MAX_LINE - LEFT_OUT_ROOM {
            left_out += 1;
        } else {
            length += added;
            entry.insert(name, value);
        }
    }
    if left_out > 0 {
        entry.insert("fields_left_out".into(), left_out.into());
    }
    // A map of strings and plain values always serializes.
    let mut line = serde_json::to_vec(&entry).unwrap_or_default();
    line.push(b'\n');
    line
}

fn encoded_length(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

/// Fields of an event or a span, already masked and cut.
#[derive(Default)]
struct Fields {
    message: String,
    fields: Vec<(String, Value)>,
}

impl Fields {
    fn extend(&mut self, of_span: &Self) {
        for (name, value) in &of_span.fields {
            self.set(name, value.clone());
        }
    }

    /// The inner value of a name wins.
    fn set(&mut self, name: &str, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        let name = field.name();
        if name == "message" {
            self.message = cut(mask(text).into_owned());
        } else if is_secret_name(name) {
            self.set(name, MASK.into());
        } else {
            self.set(name, cut(mask(text).into_owned()).into());
        }
    }

    fn plain(&mut self, field: &Field, value: impl Into<Value>) {
        let value = value.into();
        match value {
            // The message is a string whatever was given.
            value if field.name() == "message" => self.message = value.to_string(),
            _ if is_secret_name(field.name()) => self.set(field.name(), MASK.into()),
            value => self.set(field.name(), value),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity; they become null.
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.text(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if is_secret_name(field.name()) {
            self.set(field.name(), MASK.into());
        } else {
            self.text(field, &format!("{value:?}"));
        }
    }
}

/// At most [`MAX_FIELD`] bytes of `text`, and how much is missing.
fn cut(mut text: String) -> String {
    if text.len() > MAX_FIELD {
        let end = text.floor_char_boundary(MAX_FIELD);
        let missing = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… ({missing} bytes left out)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use time::macros::datetime;
    use tracing_subscriber::{Registry, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `events` write with `TF_LOG` at `level`.
    fn written(level: &str, events: impl FnOnce()) -> String {
        let output = Output::default();
        let levels = Levels::read(|name| (name == "TF_LOG").then(|| level.to_owned()));
        let layer = HclogLayer::new(
            levels,
            output.clone(),
            || datetime!(2026-08-21 10:15:30.1 UTC),
        );
        tracing::subscriber::with_default(Registry::default().with(layer), events);
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn entries(text: &str) -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_what_go_plugin_parses() {
        let text = written("TRACE", || {
            let rpc = tracing::error_span!(
                target: "podidentity::rpc",
                "rpc",
                tf_rpc = "ApplyResourceChange",
                tf_req_id = tracing::field::Empty,
                attempt = 1,
            );
            rpc.record("tf_req_id", "r-1");
            let _entered = rpc.enter();
            tracing::info!(target: "podidentity::aws", attempt = 2, big = u64::MAX, ok = true, part = 0.5, "created {}", "it");
            tracing::debug!(target: "podidentity::rpc", "served");
            tracing::warn!(target: "aws_config::x", path = ?Some("a"), "careful");
        });
        assert_eq!(
            text,
            concat!(
                r#"{"@level":"info","@message":"created it","@timestamp":"2026-08-21T10:15:30.100000Z","@module":"provider","tf_rpc":"ApplyResourceChange","attempt":2,"tf_req_id":"r-1","big":18446744073709551615,"ok":true,"part":0.5}"#,
                "\n",
                r#"{"@level":"debug","@message":"served","@timestamp":"2026-08-21T10:15:30.100000Z","@module":"sdk.proto","tf_rpc":"ApplyResourceChange","attempt":1,"tf_req_id":"r-1"}"#,
                "\n",
                r#"{"@level":"warn","@message":"careful","@timestamp":"2026-08-21T10:15:30.100000Z","@module":"provider.aws_config","tf_rpc":"ApplyResourceChange","attempt":1,"tf_req_id":"r-1","path":"Some(\"a\")"}"#,
                "\n",
            )
        );
    }

    #[test]
    fn the_required_keys_are_strings_whatever_is_logged() {
        let text = written("INFO", || {
            tracing::info!(target: "podidentity", message = 7);
            tracing::info!(target: "podidentity", x = 1, "@level" = 1, "@timestamp" = true, "@message" = 2.5, "@module" = 1);
            tracing::info!(target: "podidentity", value = f64::NAN, "line\nbreak \u{1b}[0m");
        });
        let entries = entries(&text);
        assert_eq!(entries.len(), 3, "{text}");
        for entry in &entries {
            for key in RESERVED {
                assert!(entry[key].is_string(), "{key} in {entry}");
            }
        }
        assert_eq!(entries[0]["@message"], "7");
        assert_eq!(entries[1]["x"], 1);
        assert_eq!(entries[2]["@message"], "line\nbreak \u{1b}[0m");
    }

    #[test]
    fn nothing_is_formatted_that_is_not_written() {
        struct Explodes;
        impl fmt::Debug for Explodes {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("formatted although the level is off")
            }
        }
        let text = written("WARN", || {
            tracing::info!(target: "podidentity", value = ?Explodes, "info");
            tracing::error!(target: "aws_config", value = ?Explodes, "another crate");
            tracing::error!(target: "podidentity", password = ?Explodes, "masked before it is formatted");
        });
        let entries = entries(&text);
        assert_eq!(entries.len(), 1, "{text}");
        assert_eq!(entries[0]["password"], "***");
    }

    #[test]
    fn secrets_are_masked_in_messages_fields_spans_and_errors() {
        super::super::register_secret("layer-secret-value");
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("inner layer-secret-value"));
        let text = written("TRACE", || {
            let span = tracing::error_span!(target: "podidentity", "s", token = "t0k3n", region = "layer-secret-value");
            let _entered = span.enter();
            tracing::info!(
                target: "podidentity",
                secret_key = "s3cr3t",
                session_token = 12345,
                error = &error as &dyn Error,
                config = ?Some("layer-secret-value"),
                "with layer-secret-value",
            );
        });
        let entries = entries(&text);
        assert_eq!(
            entries[0],
            serde_json::json!({
                "@level": "info", "@message": "with ***", "@timestamp": "2026-08-21T10:15:30.100000Z",
                "@module": "provider", "token": "***", "region": "***", "secret_key": "***",
                "session_token": "***", "error": "outer: inner ***", "config": "Some(\"***\")",
            })
        );
    }

    #[test]
    fn lines_stay_below_64_kib() {
        let long = "x".repeat(200_000);
        // Every character becomes six bytes in JSON.
        let control = "\u{1}".repeat(200_000);
        let text = written("INFO", || {
            tracing::info!(target: "podidentity", "{long}");
            tracing::info!(target: "podidentity", a = %control, b = %control, c = 1, "{control}");
            tracing::info!(target: "podidentity", a = %long, b = %long, "short");
        });
        let entries = entries(&text);
        assert_eq!(entries.len(), 3);
        for line in text.lines() {
            assert!(line.len() + 1 < 64 << 10, "{} bytes", line.len());
        }
        let message = entries[0]["@message"].as_str().unwrap();
        assert!(
            message.ends_with("x… (191808 bytes left out)"),
            "{}",
            &message[8000..]
        );
        assert_eq!(entries[1]["fields_left_out"], 2);
        assert_eq!(entries[1]["c"], 1);
        assert_eq!(
            entries[2]["a"].as_str().unwrap().len(),
            entries[2]["b"].as_str().unwrap().len()
        );
        assert_eq!(entries[2]["fields_left_out"], Value::Null);
    }
}
