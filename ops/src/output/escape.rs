//! Characters that steer a terminal or turn the direction of text.
use std::borrow::Cow;

/// Text of several lines for people: characters that steer a terminal or turn the direction of text are escaped.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// Text of one line for people, as a cell of a table; line breaks are escaped too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A line of JSON with the same value: characters that JSON leaves as they are and a terminal obeys are escaped.
pub fn json_line(text: &str) -> Cow<'_, str> {
    // All of them are in the basic plane, and outside of strings there are only spaces and line ends.
    replaced(
        text,
        |c| steers(c) && c >= '\u{7f}',
        |c, out| out.push_str(&format!("\\u{:04x}", u32::from(c))),
    )
}

/// Whether a character is a C0 or C1 control or one of the bidirectional controls of Unicode TR 36 §2.5.
fn steers(c: char) -> bool {
    let bidi = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Escapes what steers and `kept` does not keep.
fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    replaced(
        text,
        |c| steers(c) && !kept(c),
        |c, out| out.extend(c.escape_default()),
    )
}

fn replaced(
    text: &str,
    matches: impl Fn(char) -> bool,
    replace: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.contains(&matches) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if matches(c) {
            replace(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_steers_a_terminal_is_escaped() {
        assert!(matches!(
            text("Crème brûlée é 日本 \u{200d}🎬\n"),
            Cow::Borrowed(_)
        ));
        assert_eq!(text("a\u{1b}]0;x\u{7}b\r\n"), "a\\u{1b}]0;x\\u{7}b\\r\n");
        assert_eq!(
            line("a\nb\u{202e}gpj.exe\u{9b}2J"),
            "a\\nb\\u{202e}gpj.exe\\u{9b}2J"
        );
    }
}
