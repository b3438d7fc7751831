//! Members of answers that are cut off at their maximum.

/// Names of the members of an answer that are cut off at their maximum.
pub(super) fn truncated<const N: usize>(members: [(&str, bool); N]) -> Vec<String> {
    let cut_off = members.into_iter().filter(|(_, is_cut_off)| *is_cut_off);
    cut_off.map(|(name, _)| name.to_owned()).collect()
}
