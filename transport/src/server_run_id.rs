//! Identifies the running server process behind a connection. The id changes after a restart and after a promotion. Then
//! streams may hold entries again that were already processed, and only entries added since are valid.
use crate::connection::Connection;
use redis::cmd;
use std::sync::Arc;

/// The first half of the server's `run_id`.
pub type ServerRunId = Arc<str>;

/// Reads the run id. `None` where there is none to compare: slots of a cluster move between servers, and a user may lack
/// the right to `INFO`.
pub async fn read(connection: &mut Connection) -> Option<ServerRunId> {
    if matches!(
        connection,
        Connection::Cluster(_) | Connection::AtMostOnce(_)
    ) {
        return None;
    }
    let info: String = cmd("INFO")
        .arg("server")
        .query_async(connection)
        .await
        .ok()?;
    parse(&info)
}

fn parse(info: &str) -> Option<ServerRunId> {
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("run_id:"))?
        .trim();
    // 80 of the 160 bits distinguish servers as well, and every entry carries the id.
    id.get(..20).map(ServerRunId::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_id_is_read_from_info_or_absent() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\ntcp_port:1\r\n";
        assert_eq!(parse(info).as_deref(), Some("0123456789abcdef0123"));
        for nothing in [
            "",
            "# Server\r\nrun_id:\r\n",
            "run_id:ü0123456789012345678é",
        ] {
            assert!(
                parse(nothing).is_none_or(|id| id.len() == 20),
                "{nothing:?}"
            );
        }
    }
}
