//! One connection, whatever the form of the server behind it.
use crate::once;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

/// A connection.
#[derive(Clone)]
pub enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To the nodes of a cluster; it follows slots that move, and says again what was not answered.
    Cluster(Box<ClusterConnection>),
    /// The same, but nothing is said twice that may have been heard.
    Once(Box<ClusterConnection>),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Link::One(one) => one.req_packed_command(cmd),
            Link::Cluster(cluster) => cluster.req_packed_command(cmd),
            Link::Once(cluster) => Box::pin(once::say((**cluster).clone(), cmd.clone())),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Link::One(one) => one.req_packed_commands(pipeline, offset, count),
            Link::Cluster(cluster) => Box::pin(slot_by_slot(cluster, pipeline)),
            Link::Once(cluster) => Box::pin(once::say_each(cluster, pipeline)),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Link::One(one) => one.get_db(),
            Link::Cluster(_) | Link::Once(_) => 0,
        }
    }
}

/// What decides the slot of a command: its key, or what stands in the key's first braces. Of our commands only XGROUP and
/// XINFO have a word before their key.
fn tag(command: &Cmd) -> Vec<u8> {
    let words = command.args_iter().filter_map(|arg| match arg {
        redis::Arg::Simple(word) => Some(word),
        _ => None,
    });
    let words: Vec<&[u8]> = words.take(3).collect();
    let at = if matches!(words.first(), Some(&(b"XGROUP" | b"XINFO"))) { 2 } else { 1 };
    let key = words.get(at).copied().unwrap_or_default();
    let open = key.iter().position(|byte| *byte == b'{');
    let tagged = open.and_then(|open| {
        let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open + 1..open + 1 + length])
    });
    tagged.unwrap_or(key).to_vec()
}

/// A cluster takes a pipeline of one slot: one of several is sent in as many parts, in the order in which their first
/// commands stand, so that what is said first is done first.
async fn slot_by_slot(cluster: &mut ClusterConnection, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
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

/// Whether a connection is of no more use after this: it broke, it went silent, or the server behind it is no longer the
/// one to talk to.
pub fn is_broken(error: &RedisError) -> bool {
    let gone = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
    gone || error.is_unrecoverable_error() || error.code().is_some_and(is_wrong_server)
}

/// Answers of a server that is not, or not yet, the one to talk to, or that no longer knows us.
pub fn is_wrong_server(code: &str) -> bool {
    matches!(code, "READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH" | "WRONGPASS" | "NOPERM")
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
        assert_eq!(of(&["XACK", "sr:{qc}:units:urgent", "workers", "1-1"]), "qc");
        assert_eq!(of(&["XGROUP", "CREATE", "sr:{qc}:units:bulk", "workers", "0"]), "qc");
        assert_eq!(of(&["XINFO", "CONSUMERS", "sr:{qc}:units:bulk", "workers"]), "qc");
        assert_eq!(of(&["XADD", "sr:reports", "*", "b", "{x}"]), "sr:reports");
        assert_eq!(of(&["SET", "a{}b", "1"]), "a{}b");
    }
}
