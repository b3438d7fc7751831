//! Frames decoded, and how much they differ in length.

/// What the detector counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Frames {
    /// Number of frames that were decoded.
    pub decoded: u64,
    /// Frames that lasted longer or shorter than the first.
    pub odd: u64,
    /// Ticks between the longest and the shortest frame.
    pub spread: u64,
}

/// Filter for picture `n` that counts frames of differing length.
pub(crate) fn filter(n: usize) -> String {
    format!("vfrdet@v{n}")
}

/// Reads `VFR:0.050251 (10/189) min: 512 max: 5632 avg: 3072`. The graph is built once before anything is decoded, and
/// that first copy reports nothing at all: only a copy that saw frames counts.
pub(crate) fn read_line(text: &str) -> Option<Frames> {
    let (counts, _) = text.split_once('(')?.1.split_once(')')?;
    let (odd, even) = counts.split_once('/')?;
    let (odd, even) = (odd.parse::<u64>().ok()?, even.parse::<u64>().ok()?);
    let decoded = odd
        .checked_add(even)?
        .checked_add(1)
        .filter(|decoded| *decoded > 1)?;
    let word = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    };
    let spread = word("max:")
        .unwrap_or(0)
        .saturating_sub(word("min:").unwrap_or(0));
    Some(Frames {
        decoded,
        odd,
        spread,
    })
}
