//! An entry of a stream that this build cannot read.
use protocol::wire::keys;

/// One such entry.
pub(super) struct Unreadable {
    pub(super) stream: String,
    pub(super) entry: String,
    pub(super) body: Vec<u8>,
    /// The run of the server it was added to.
    pub(super) run: Option<Vec<u8>>,
    /// The coordinator's signature.
    pub(super) signature: Option<Vec<u8>>,
    /// How many workers have tried before.
    pub(super) tries: u32,
    pub(super) why: String,
}

/// The value of a field of an entry.
pub(super) fn field<'a>(fields: &'a [Vec<u8>], name: &str) -> Option<&'a Vec<u8>> {
    fields
        .chunks(2)
        .find(|pair| pair[0] == name.as_bytes())
        .and_then(|pair| pair.get(1))
}

/// How many workers have tried an entry with these fields.
pub(super) fn tries(fields: &[Vec<u8>]) -> u32 {
    field(fields, keys::TRIES)
        .and_then(|number| std::str::from_utf8(number).ok()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_and_absent_in_what_the_coordinator_writes() {
        let fields = |words: &[&str]| {
            words
                .iter()
                .map(|word| word.as_bytes().to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(tries(&fields(&["b", "x"])), 0);
        assert_eq!(tries(&fields(&["b", "t", "t", "3"])), 3);
        assert_eq!(tries(&fields(&["b", "x", "t", "many"])), 0);
        assert_eq!(tries(&fields(&["t"])), 0);
    }
}
