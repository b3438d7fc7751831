//! Whose a transport is. The streams of a Redis belong to one database: a coordinator of another one would take the
//! reports meant for the first and hand out units under the same numbers.

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// Nobody's: it is new, was wiped, or was restored from before it was marked. The leader marks it.
    Unmarked,
    /// This deployment's.
    Own,
    /// Another deployment's: hands off.
    Foreign {
        /// Its id.
        found: String,
    },
}

/// Judges a transport that is marked with `found`, for the deployment `own`.
pub fn judge(own: &str, found: Option<&str>) -> Belonging {
    match found {
        None => Belonging::Unmarked,
        Some(found) if found == own => Belonging::Own,
        Some(found) => Belonging::Foreign { found: found.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_without_a_mark_is_free_and_one_with_another_is_foreign() {
        assert_eq!(judge("a", None), Belonging::Unmarked);
        assert_eq!(judge("a", Some("a")), Belonging::Own);
        assert_eq!(judge("a", Some("")), Belonging::Foreign { found: String::new() });
        assert_eq!(judge("a", Some("b")), Belonging::Foreign { found: "b".into() });
    }
}
