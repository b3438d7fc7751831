//! A search for planted secrets in everything that the product prints and answers in a test. Tests plant the word in
//! passwords, signatures of locations and files that may not be read; each process has it in its environment.

/// What planted secrets contain.
const WORDS: [&str; 2] = ["canary", "CANARY"];
/// A variable that no program needs: it shows where a program prints its environment.
pub(crate) const VARIABLE: (&str, &str) = ("PLANTED_SECRET", "CANARY-environment");

/// Lines that contain a planted secret.
fn lines_with_secrets(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| WORDS.iter().any(|word| line.contains(word)))
        .collect()
}

/// Requires that a text has no planted secret. A test that fails already keeps its own message.
///
/// # Panics
/// When it has one, showing the lines.
#[track_caller]
pub fn assert_absent(what: &str, text: &str) {
    let found = lines_with_secrets(text);
    assert!(
        std::thread::panicking() || found.is_empty(),
        "{what} shows a planted secret: {found:#?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planted_secrets_are_found_in_both_spellings() {
        assert_eq!(
            lines_with_secrets("one\na?sig=CANARY/x\nu:canary@h\nthree"),
            ["a?sig=CANARY/x", "u:canary@h"]
        );
        assert_absent("a text", "nothing");
    }

    #[test]
    #[should_panic(expected = "shows a planted secret")]
    fn text_with_a_planted_secret_fails_the_test() {
        assert_absent("a text", "token=CANARY");
    }
}
