//! Ownership of a transport. The streams of a Redis belong to one database: a coordinator of another database would consume
//! its reports and publish units with the same numbers.

/// The deployment that a transport belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// No mark: the transport is new, was wiped, or was restored from an old copy. The leader marks it.
    Unmarked,
    /// The transport of this deployment.
    Own,
    /// The transport of another deployment. It must not be used.
    Foreign {
        /// Id of that deployment.
        found: String,
    },
}

/// Compares the mark `found` of a transport with the deployment `own`.
pub fn compare(own: &str, found: Option<&str>) -> Ownership {
    match found {
        None => Ownership::Unmarked,
        Some(found) if found == own => Ownership::Own,
        Some(found) => Ownership::Foreign {
            found: found.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_without_a_mark_is_free_and_one_with_another_is_foreign() {
        assert_eq!(compare("a", None), Ownership::Unmarked);
        assert_eq!(compare("a", Some("a")), Ownership::Own);
        assert_eq!(
            compare("a", Some("")),
            Ownership::Foreign {
                found: String::new()
            }
        );
        assert_eq!(
            compare("a", Some("b")),
            Ownership::Foreign { found: "b".into() }
        );
    }
}
