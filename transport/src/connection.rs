//! One connection to Redis, whatever the form of the server.
use crate::at_most_once;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

/// A connection to one server or to a cluster.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To the nodes of a cluster. It follows slots that move, and repeats commands without a reply.
    Cluster(Box<ClusterConnection>),
    /// To the nodes of a cluster, without repeating a command that may have been executed.
    AtMostOnce(Box<ClusterConnection>),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::Single(server) => server.req_packed_command(cmd),
            Connection::Cluster(cluster) => cluster.req_packed_command(cmd),
            Connection::AtMostOnce(cluster) => {
                Box::pin(at_most_once::send((**cluster).clone(), cmd.clone()))
            }
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::Single(server) => server.req_packed_commands(pipeline, offset, count),
            Connection::Cluster(cluster) => Box::pin(slot_by_slot(cluster, pipeline)),
            Connection::AtMostOnce(cluster) => Box::pin(at_most_once::send_each(cluster, pipeline)),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::Single(server) => server.get_db(),
            Connection::Cluster(_) | Connection::AtMostOnce(_) => 0,
        }
    }
}

/// A command or a pipeline.
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    Pipeline {
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    },
}

impl Request<'_> {
    /// Sends the request and returns one value for a command, one per command of a pipeline.
    pub(crate) async fn send(
        self,
        connection: &mut impl ConnectionLike,
    ) -> RedisResult<Vec<Value>> {
        match self {
            Request::Command(command) => Ok(vec![connection.req_packed_command(command).await?]),
            Request::Pipeline {
                commands,
                offset,
                count,
            } => {
                connection
                    .req_packed_commands(commands, offset, count)
                    .await
            }
        }
    }
}

/// Implements `ConnectionLike` through `exchange(&mut self, Request) -> RedisResult<Vec<Value>>` of the type, so that a type
/// inspects its replies in one place.
macro_rules! connection_like {
    ($type:ty) => {
        impl redis::aio::ConnectionLike for $type {
            fn req_packed_command<'a>(
                &'a mut self,
                cmd: &'a redis::Cmd,
            ) -> redis::RedisFuture<'a, redis::Value> {
                Box::pin(async move {
                    let replies = self.exchange(Request::Command(cmd)).await?;
                    Ok(replies.into_iter().next().unwrap_or(redis::Value::Nil))
                })
            }

            fn req_packed_commands<'a>(
                &'a mut self,
                commands: &'a redis::Pipeline,
                offset: usize,
                count: usize,
            ) -> redis::RedisFuture<'a, Vec<redis::Value>> {
                Box::pin(self.exchange(Request::Pipeline {
                    commands,
                    offset,
                    count,
                }))
            }

            fn get_db(&self) -> i64 {
                0
            }
        }
    };
}
pub(crate) use connection_like;

/// The part of a key that decides the slot of a command: the text in the first braces of the key, or the whole key. Of our
/// commands only XGROUP and XINFO have a word before their key.
fn tag(command: &Cmd) -> Vec<u8> {
    let words = command.args_iter().filter_map(|arg| match arg {
        redis::Arg::Simple(word) => Some(word),
        _ => None,
    });
    let words: Vec<&[u8]> = words.take(3).collect();
    let at = if matches!(words.first(), Some(&(b"XGROUP" | b"XINFO"))) {
        2
    } else {
        1
    };
    let key = words.get(at).copied().unwrap_or_default();
    let open = key.iter().position(|byte| *byte == b'{');
    let tagged = open.and_then(|open| {
        let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open + 1..open + 1 + length])
    });
    tagged.unwrap_or(key).to_vec()
}

/// Sends a pipeline in one part per slot, since a cluster accepts only pipelines of one slot. Parts follow the order of their
/// first commands.
async fn slot_by_slot(
    cluster: &mut ClusterConnection,
    pipeline: &Pipeline,
) -> RedisResult<Vec<Value>> {
    let mut parts: Vec<(Vec<u8>, Vec<usize>, Pipeline)> = Vec::new();
    for (index, command) in pipeline.cmd_iter().enumerate() {
        let tag = tag(command);
        let known = parts.iter().position(|(of, ..)| *of == tag);
        let at = known.unwrap_or_else(|| {
            parts.push((tag, Vec::new(), Pipeline::new()));
            parts.len() - 1
        });
        parts[at].1.push(index);
        parts[at].2.add_command(command.clone());
    }
    let mut replies = vec![Value::Nil; pipeline.len()];
    for (_, indices, part) in parts {
        let values = cluster.req_packed_commands(&part, 0, part.len()).await?;
        for (index, value) in indices.into_iter().zip(values) {
            replies[index] = value;
        }
    }
    Ok(replies)
}

/// Whether a connection is unusable after this error: it broke, timed out, or leads to the wrong server.
pub fn is_broken(error: &RedisError) -> bool {
    let gone = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
    gone || error.is_unrecoverable_error() || error.code().is_some_and(is_wrong_server)
}

/// Error codes of a server that is not, or not yet, the one to use, or that rejects the login.
pub fn is_wrong_server(code: &str) -> bool {
    matches!(
        code,
        "READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH" | "WRONGPASS" | "NOPERM"
    )
}

/// The error after which a connection is unusable: of the request itself, or the first one among the replies.
pub(crate) fn unusable(reply: &RedisResult<Vec<Value>>) -> Option<RedisError> {
    match reply {
        Err(error) => is_broken(error).then(|| error.clone()),
        Ok(values) => values.iter().find_map(|value| match value {
            Value::ServerError(error) if is_wrong_server(error.code()) => {
                Some(RedisError::from(error.clone()))
            }
            _ => None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::cmd;

    #[test]
    fn commands_of_one_tag_go_together() {
        let of = |words: &[&str]| {
            let mut command = cmd(words[0]);
            command.arg(&words[1..]);
            String::from_utf8(tag(&command)).expect("a tag of these is text")
        };
        assert_eq!(
            of(&["XACK", "sr:{qc}:units:urgent", "workers", "1-1"]),
            "qc"
        );
        assert_eq!(
            of(&["XGROUP", "CREATE", "sr:{qc}:units:bulk", "workers", "0"]),
            "qc"
        );
        assert_eq!(
            of(&["XINFO", "CONSUMERS", "sr:{qc}:units:bulk", "workers"]),
            "qc"
        );
        assert_eq!(of(&["XADD", "sr:reports", "*", "b", "{x}"]), "sr:reports");
        assert_eq!(of(&["SET", "a{}b", "1"]), "a{}b");
    }
}
