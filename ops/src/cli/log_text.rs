//! Text of log lines. Names of files, titles and answers of servers are in them: what steers a terminal or turns the
//! direction of text is escaped, as in tables.
use crate::output;
use std::fmt;
use std::io::{self, Write};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

/// Writes the fields of an event on one line. Colours of the line's head are not among them.
#[derive(Debug, Default)]
pub(super) struct LogFields(DefaultFields);

impl<'writer> FormatFields<'writer> for LogFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut plain = String::new();
        self.0.format_fields(Writer::new(&mut plain), fields)?;
        writer.write_str(&output::line(&plain))
    }
}

/// Writes log lines in JSON. JSON escapes control characters below U+0020 alone; what else steers is escaped here.
pub(super) struct JsonLog<W>(pub(super) W);

impl<W: Write> Write for JsonLog<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(output::json_line(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Lines;

        fn make_writer(&'a self) -> Lines {
            self.clone()
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("one thread").clone()).expect("UTF-8")
        }
    }

    /// A name that sets the title of a terminal, turns its end around and begins a line of its own.
    const NAME: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}gpj\nWARN forged";

    fn log() {
        let path = std::path::Path::new(NAME);
        tracing::warn!(name = NAME, path = %path.display(), debug = ?path, "left out: {NAME}");
    }

    #[test]
    fn names_in_log_lines_steer_no_terminal() {
        for ansi in [false, true] {
            let lines = Lines::default();
            let builder = tracing_subscriber::fmt()
                .with_writer(lines.clone())
                .with_ansi(ansi);
            tracing::subscriber::with_default(
                builder.fmt_fields(LogFields::default()).finish(),
                log,
            );
            let text = lines.text();
            assert_eq!(
                (text.lines().count(), text.contains("\\u{202e}gpj")),
                (1, true),
                "{text:?}"
            );
            for steering in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}"] {
                assert!(!text.contains(steering), "{text:?}");
            }
        }
    }

    #[test]
    fn names_in_json_log_lines_keep_their_value_and_steer_no_terminal() {
        let lines = Lines::default();
        let inside = lines.clone();
        let builder = tracing_subscriber::fmt()
            .json()
            .with_writer(move || JsonLog(inside.clone()));
        tracing::subscriber::with_default(builder.finish(), log);
        let text = lines.text();
        assert!(
            !text.trim_end().contains(char::is_control) && !text.contains('\u{202e}'),
            "{text:?}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).expect("one document");
        assert_eq!(value["fields"]["name"], NAME);
    }
}
