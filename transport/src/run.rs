//! Which run of which server a connection leads to. It is another one after a restart and after a promotion: then entries
//! may be there again that had been dealt with, and only what was added since is to be trusted.
use crate::link::Link;
use redis::cmd;
use std::sync::Arc;

/// What a server calls this run of its process.
pub type Run = Arc<str>;

/// Asks. Nothing where it cannot be told: in a cluster slots move between servers, and a user may be denied `INFO`.
pub async fn of(link: &mut Link) -> Option<Run> {
    if matches!(link, Link::Cluster(_) | Link::Once(_)) {
        return None;
    }
    let info: String = cmd("INFO").arg("server").query_async(link).await.ok()?;
    parse(&info)
}

fn parse(info: &str) -> Option<Run> {
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim();
    // Half of its 160 bits tell servers apart as well, and every entry carries them.
    run.get(..20).map(Run::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_say_is_not_known() {
        let said =
            "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\ntcp_port:1\r\n";
        assert_eq!(parse(said).as_deref(), Some("0123456789abcdef0123"));
        for nothing in ["", "# Server\r\nrun_id:\r\n", "run_id:ü0123456789012345678é"] {
            assert!(parse(nothing).is_none_or(|run| run.len() == 20), "{nothing:?}");
        }
    }
}
