//! Roles that the pattern of a listed library declares. All other assets of such a library have a role by their name.
use regex::Regex;

/// Name of the capture that declares a role.
const ROLE: &str = "role";

/// A pattern with a capture for the role.
#[derive(Debug)]
pub struct RolePattern(Regex);

impl RolePattern {
    /// Compiles the pattern of a library; `None` when it declares no roles.
    pub fn new(pattern: &str) -> Option<RolePattern> {
        let compiled = Regex::new(pattern).ok()?;
        let has_role = compiled.capture_names().flatten().any(is_role);
        has_role.then_some(RolePattern(compiled))
    }

    /// Whether the pattern finds a role in the path of an asset.
    pub fn declares_role(&self, path: &str) -> bool {
        let Some(found) = self.0.captures(path) else {
            return false;
        };
        let names = self
            .0
            .capture_names()
            .flatten()
            .filter(|name| is_role(name));
        names
            .filter_map(|name| found.name(name))
            .any(|role| !role.is_empty())
    }
}

fn is_role(name: &str) -> bool {
    name.eq_ignore_ascii_case(ROLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_is_declared_where_the_pattern_captures_it() {
        assert!(
            RolePattern::new("(?<title>[^/]+)/.*").is_none() && RolePattern::new("[").is_none()
        );
        let pattern = RolePattern::new(r"(?<title>[^/]+)/(?:(?<Role>document|master)_)?.*")
            .expect("declares roles");
        assert!(pattern.declares_role("t/document_a.pdf"));
        assert!(!pattern.declares_role("t/a.pdf") && !pattern.declares_role("a.pdf"));
    }
}
