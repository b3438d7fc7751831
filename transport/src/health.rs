//! Settings of a server that endanger streams.

/// Reads from `INFO memory` whether a server may evict streams. Returns a message with the remedy.
pub fn eviction(info: &str) -> Option<String> {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
    };
    let policy = field("maxmemory_policy").filter(|policy| *policy != "noeviction")?;
    // Without a limit nothing is evicted yet; the policy takes effect as soon as a limit is set.
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
    fn only_noeviction_gives_no_message() {
        assert_eq!(
            eviction("maxmemory:0\r\nmaxmemory_policy:noeviction\r\n"),
            None
        );
        assert_eq!(eviction("used_memory:1\r\n"), None);
        let message =
            eviction("maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\n").expect("a message");
        assert!(
            message.contains("allkeys-lru") && message.contains("CONFIG SET"),
            "{message}"
        );
    }
}
