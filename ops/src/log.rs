//! Where log lines go: to stderr, without the signatures and logins of the addresses in them.
use protocol::model::location::masked;
use std::io::{self, Write};

/// Writes log lines; each arrives as a whole.
pub(crate) struct Lines<W>(pub(crate) W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(masked(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The writer of one line.
pub(crate) fn stderr() -> Lines<io::Stderr> {
    Lines(io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_with_a_signed_address_is_written_masked() {
        let mut lines = Lines(Vec::new());
        let line = "WARN location=https://h/a?sig=x\u{1b}[0m is away\n";
        lines.write_all(line.as_bytes()).expect("written");
        assert_eq!(
            String::from_utf8_lossy(&lines.0),
            "WARN location=https://h/a?…\u{1b}[0m is away\n"
        );
    }
}
