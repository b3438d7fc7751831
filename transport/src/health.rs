//! What a server says about itself that operators must know.

/// Whether a server may drop streams when its memory is used up, by its `INFO memory`, and what to do about it.
pub fn eviction(info: &str) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let policy = field("maxmemory_policy").filter(|policy| *policy != "noeviction")?;
    // Without a limit nothing is dropped today; with one set tomorrow it would be.
    let limit = match field("maxmemory").and_then(|limit| limit.parse::<u64>().ok()) {
        Some(0) => "as soon as maxmemory is set",
        _ => "when memory is used up",
    };
    Some(format!(
        "maxmemory-policy is {policy}: Redis drops streams {limit}, and their units run again late; \
         set it to noeviction (redis-cli CONFIG SET maxmemory-policy noeviction, and in its configuration file)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_noeviction_is_silent() {
        assert_eq!(eviction("maxmemory:0\r\nmaxmemory_policy:noeviction\r\n"), None);
        assert_eq!(eviction("used_memory:1\r\n"), None);
        let said = eviction("maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n").expect("it is said");
        assert!(said.contains("allkeys-lru") && said.contains("CONFIG SET"), "{said}");
    }
}
