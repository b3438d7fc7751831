//! Result of a command that has ended.
use serde_json::Value;

/// Result of a command that has ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command, for messages.
    pub line: String,
    /// Its exit code; negative for a signal.
    pub code: i32,
    /// Text on stdout.
    pub stdout: String,
    /// Text on stderr.
    pub stderr: String,
}

impl Ran {
    /// Requires this exit code.
    ///
    /// # Panics
    /// With another one, showing what was printed.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Ran {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Requires that stderr contains each of these.
    ///
    /// # Panics
    /// When one is missing, showing what was printed.
    #[track_caller]
    pub fn expect_said(&self, words: &[&str]) -> &Ran {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word:?} was not said: {self:#?}"
            );
        }
        self
    }

    /// Stdout as one JSON document.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self:#?}"))
    }

    /// Stdout as one id on one line.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn name(&self) -> String {
        let mut lines = self.stdout.lines();
        let name = lines.next().unwrap_or_default().to_owned();
        assert!(
            !name.is_empty() && !name.contains(' ') && lines.next().is_none(),
            "not one id: {self:#?}"
        );
        name
    }
}
