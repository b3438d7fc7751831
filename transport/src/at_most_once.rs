//! Cluster commands that must not be executed twice, such as XADD. The client of a cluster sends a whole pipeline again when
//! one of its commands is redirected, and everything again when a connection breaks. Here each command is sent alone over
//! a connection without retries, and only a rejected command follows its slot.
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::aio::ConnectionLike;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value, cmd, pipe};

/// Concurrent commands of one pipeline. They replace the round trips that a pipeline saves.
const CONCURRENCY: usize = 256;
/// Redirections that one command follows: to the node of the slot, and to the node it is migrating to.
const REDIRECTIONS_MAX: usize = 3;

/// Sends a command without retry. A rejected command was not executed and is returned as [`Value::ServerError`]; after any
/// other error it is unknown whether the command was executed.
pub(crate) async fn send(mut cluster: ClusterConnection, command: Cmd) -> RedisResult<Value> {
    let mut reply = cluster.req_packed_command(&command).await;
    for _ in 0..REDIRECTIONS_MAX {
        let Err(rejected) = &reply else { break };
        let Some(node) = redirection(rejected) else {
            break;
        };
        reply = send_to(&mut cluster, &command, node).await;
    }
    reply.or_else(
        |error| match error.clone().into_server_errors().as_deref() {
            Some([(_, rejection)]) => Ok(Value::ServerError(rejection.clone())),
            _ => Err(error),
        },
    )
}

/// The node that a redirection names: the owner of the slot, or the node that the slot is migrating to.
fn redirection(rejected: &RedisError) -> Option<SingleNodeRoutingInfo> {
    let (address, _slot) = rejected.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

/// Sends a command to one node. ASKING makes a node accept commands for a slot that is still migrating to it.
async fn send_to(
    cluster: &mut ClusterConnection,
    command: &Cmd,
    node: SingleNodeRoutingInfo,
) -> RedisResult<Value> {
    let mut asking = pipe();
    asking
        .add_command(cmd("ASKING"))
        .add_command(command.clone());
    let replies = cluster.route_pipeline(asking, 1, 1, node).await?;
    replies
        .into_iter()
        .next()
        .unwrap_or(Value::Nil)
        .extract_error()
}

/// Sends each command of a pipeline; replies are in its order.
pub(crate) async fn send_each(
    cluster: &ClusterConnection,
    pipeline: &Pipeline,
) -> RedisResult<Vec<Value>> {
    let commands: Vec<Cmd> = pipeline.cmd_iter().cloned().collect();
    let replies = commands
        .into_iter()
        .map(|command| send(cluster.clone(), command));
    stream::iter(replies)
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::make_extension_error;

    #[test]
    fn only_redirections_are_followed() {
        let node_of = |code: &str, detail: &str| {
            let reply = format!("-{code} {detail}\r\n");
            let value = redis::parse_redis_value(reply.as_bytes()).expect("a reply");
            redirection(&value.extract_error().expect_err("a rejection"))
        };
        let node = |host: &str| {
            Some(SingleNodeRoutingInfo::ByAddress {
                host: host.to_owned(),
                port: 7001,
            })
        };
        assert_eq!(node_of("MOVED", "3999 10.0.0.1:7001"), node("10.0.0.1"));
        assert_eq!(node_of("ASK", "3999 2001:db8::1:7001"), node("2001:db8::1"));
        assert_eq!(node_of("ASK", "3999"), None);
        assert_eq!(
            node_of("TRYAGAIN", "Multiple keys request during rehashing of slot"),
            None
        );
        assert_eq!(
            redirection(&make_extension_error(
                "OOM".into(),
                Some("1 10.0.0.1:7001".into())
            )),
            None
        );
    }
}
