//! Commands for a cluster that must not be done twice, as adding an entry is. The client sends a whole pipeline again when
//! one of its commands is redirected, those included that have been done, and everything again when a connection broke.
//! So each command goes by itself over a connection that repeats nothing, and only what a server refused follows its slot.
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::aio::ConnectionLike;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value, cmd, pipe};

/// Commands under way at a time: what a pipeline would have saved in round trips.
const TOGETHER: usize = 256;
/// Redirections that one command follows: to where the slot is, and to where it is moving.
const FOLLOWED: usize = 3;

/// Says one command. What a server refused was not done and comes back as [`Value::ServerError`]; after an error it may
/// have been done.
pub(crate) async fn say(mut cluster: ClusterConnection, command: Cmd) -> RedisResult<Value> {
    let mut answer = cluster.req_packed_command(&command).await;
    for _ in 0..FOLLOWED {
        let Err(refused) = &answer else { break };
        let Some(place) = redirection(refused) else { break };
        answer = elsewhere(&mut cluster, &command, place).await;
    }
    answer.or_else(|error| match error.clone().into_server_errors().as_deref() {
        Some([(_, refusal)]) => Ok(Value::ServerError(refusal.clone())),
        _ => Err(error),
    })
}

/// Where the slot of a refused command is, or is moving to.
fn redirection(refused: &RedisError) -> Option<SingleNodeRoutingInfo> {
    let (address, _slot) = refused.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: port.parse().ok()? })
}

/// Says a command to another node: one to which its slot is only moving answers what is asked for.
async fn elsewhere(cluster: &mut ClusterConnection, command: &Cmd, node: SingleNodeRoutingInfo) -> RedisResult<Value> {
    let mut asked = pipe();
    asked.add_command(cmd("ASKING")).add_command(command.clone());
    let answers = cluster.route_pipeline(asked, 1, 1, node).await?;
    answers.into_iter().next().unwrap_or(Value::Nil).extract_error()
}

/// Says each command of a pipeline; replies in its order.
pub(crate) async fn say_each(cluster: &ClusterConnection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    let commands: Vec<Cmd> = pipeline.cmd_iter().cloned().collect();
    let said = commands.into_iter().map(|command| say(cluster.clone(), command));
    stream::iter(said).buffered(TOGETHER).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::make_extension_error;

    #[test]
    fn only_redirections_are_followed() {
        let place = |code: &str, detail: &str| {
            let said = format!("-{code} {detail}\r\n");
            let value = redis::parse_redis_value(said.as_bytes()).expect("a reply");
            redirection(&value.extract_error().expect_err("a refusal"))
        };
        let node = |host: &str| Some(SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: 7001 });
        assert_eq!(place("MOVED", "3999 10.0.0.1:7001"), node("10.0.0.1"));
        assert_eq!(place("ASK", "3999 2001:db8::1:7001"), node("2001:db8::1"));
        assert_eq!(place("ASK", "3999"), None);
        assert_eq!(place("TRYAGAIN", "Multiple keys request during rehashing of slot"), None);
        assert_eq!(redirection(&make_extension_error("OOM".into(), Some("1 10.0.0.1:7001".into()))), None);
    }
}
