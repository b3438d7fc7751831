//! Publishes units: packed by step, signed, and sent in pipelines of bounded length, each with its own time for the reply.
use super::QueueError;
use super::redis::{RedisQueue, failed};
use super::stream_entry::StreamEntry;
use protocol::id::Kind;
use protocol::model::priority::Priority;
use protocol::wire::batch::UnitBatch;
use protocol::wire::unit::Unit;
use protocol::wire::{envelope, keys};
use redis::{Value, pipe};
use std::collections::HashMap;
use std::sync::Arc;

/// Units of light kinds packed into one entry.
const PACK_LIGHT: usize = 64;
/// Bytes of one pipeline; a longer message goes alone.
const PIPELINE_BYTES: usize = 8 << 20;

/// A batch with the bytes it is sent as.
type Message = (UnitBatch, Vec<u8>);

/// Batches with the bytes they are sent as. What is too long together goes in halves; no batch ends another's way.
fn messages(batches: Vec<UnitBatch>) -> Vec<Message> {
    let (mut messages, mut open) = (Vec::with_capacity(batches.len()), batches);
    open.reverse();
    while let Some(mut batch) = open.pop() {
        match envelope::encode(&batch) {
            Ok(body) => messages.push((batch, body)),
            Err(_) if batch.units.len() > 1 => {
                let units = batch.units.split_off(batch.units.len() / 2);
                open.extend([
                    UnitBatch {
                        units,
                        task: Arc::clone(&batch.task),
                        ..batch
                    },
                    batch,
                ]);
            }
            // Units that cannot be sent have failed before they come here.
            Err(error) => tracing::error!(%error, "a unit was not published"),
        }
    }
    messages
}

/// Messages in pipelines of which each has no more than so many bytes and those of one message.
fn pipelines(messages: Vec<Message>, bytes_max: usize) -> Vec<Vec<Message>> {
    let (mut pipelines, mut bytes): (Vec<Vec<Message>>, usize) = (Vec::new(), 0);
    for message in messages {
        let length = message.1.len();
        match pipelines.last_mut() {
            Some(pipeline) if bytes + length <= bytes_max => pipeline.push(message),
            _ => {
                pipelines.push(vec![message]);
                bytes = 0;
            }
        }
        bytes += length;
    }
    pipelines
}

/// What became of units so far.
#[derive(Default)]
struct Published {
    untaken: Vec<Unit>,
    why: Option<QueueError>,
    /// Whether some of them may have been taken although no reply came.
    unsure: bool,
}

impl Published {
    fn refused(&mut self, batch: UnitBatch, why: QueueError) {
        self.untaken.extend(batch.unpack());
        self.why = Some(why);
    }

    fn result(self) -> Result<(), QueueError> {
        match self.why {
            Some(why) if self.untaken.is_empty() => Err(why),
            Some(why) => Err(QueueError::Untaken {
                units: self.untaken,
                unsure: self.unsure,
                why: Box::new(why),
            }),
            None => Ok(()),
        }
    }
}

impl RedisQueue {
    /// Publishes units of one class.
    pub(super) async fn publish_units(
        &self,
        class: Priority,
        units: Vec<Unit>,
    ) -> Result<(), QueueError> {
        self.mark.check()?;
        let mut by_kind: HashMap<Kind, Vec<Unit>> = HashMap::new();
        for unit in units {
            by_kind.entry(unit.kind).or_default().push(unit);
        }
        let run = self.publishing.server_run_id().await.map_err(failed)?;
        let mut published = Published::default();
        for (kind, units) in by_kind {
            let pack = if matches!(kind, Kind::Noop | Kind::Sync) {
                PACK_LIGHT
            } else {
                1
            };
            let stream = keys::units(kind, class);
            for pipeline in pipelines(messages(UnitBatch::pack(units, pack)), PIPELINE_BYTES) {
                if published.unsure {
                    // The server answers no more: what was not sent yet is certainly not there.
                    published
                        .untaken
                        .extend(pipeline.into_iter().flat_map(|(batch, _)| batch.unpack()));
                    continue;
                }
                self.send(&stream, run.as_deref(), pipeline, &mut published)
                    .await;
            }
        }
        published.result()
    }

    async fn send(
        &self,
        stream: &str,
        run: Option<&str>,
        messages: Vec<Message>,
        published: &mut Published,
    ) {
        let signer = self.signer.lock().clone();
        let mut pipeline = pipe();
        let bodies = messages.iter().map(|(_, body)| body.as_slice());
        let mut proofs = signer
            .as_ref()
            .map(|signer| signer.sign(bodies))
            .unwrap_or_default()
            .into_iter();
        for (_, body) in &messages {
            let add = pipeline
                .cmd("XADD")
                .arg(stream)
                .arg("*")
                .arg(keys::BODY)
                .arg(body.as_slice());
            if let Some(run) = run {
                add.arg(keys::RUN).arg(run.as_bytes());
            }
            if let Some(proof) = proofs.next() {
                add.arg(keys::SIGNATURE).arg(proof);
            }
        }
        let mut publishing = self.publishing.clone();
        let replies: Vec<Value> = match pipeline.ignore_errors().query_async(&mut publishing).await
        {
            Ok(replies) => replies,
            Err(error) => {
                (published.unsure, published.why) = (true, Some(failed(error)));
                return;
            }
        };
        let mut places = self.places.lock();
        for ((batch, _), reply) in messages.into_iter().zip(replies) {
            let entry: String = match reply
                .extract_error()
                .and_then(|id| Ok(redis::from_redis_value(id)?))
            {
                Ok(entry) => entry,
                Err(error) => {
                    published.refused(batch, failed(error));
                    continue;
                }
            };
            for unit in &batch.units {
                let place = StreamEntry {
                    epoch: unit.epoch,
                    stream: stream.to_owned(),
                    entry: entry.clone(),
                };
                places.insert(unit.id, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo, UnitId};
    use protocol::wire::step::TaskSpec;
    use protocol::wire::step::noop::NoopTask;

    #[test]
    fn pipelines_are_cut_by_bytes_and_keep_the_order() {
        let task = Arc::new(TaskSpec::Noop(NoopTask {
            duration_min_us: 0,
            duration_max_us: 0,
            fail: 0.0,
        }));
        let unit = |part| Unit {
            id: UnitId::new(JobNo(1), StepNo(0), part),
            epoch: 1,
            attempt: 0,
            kind: Kind::Noop,
            task: Arc::clone(&task),
            assets: Vec::new(),
            deadline: None,
        };
        let message = |(part, length): (i64, usize)| {
            (
                UnitBatch::pack(vec![unit(part)], 1).remove(0),
                vec![0; length],
            )
        };
        let sizes = [4, 4, 3, 30, 1, 9, 1];
        let messages: Vec<Message> = (1..).zip(sizes).map(message).collect();
        let lengths = |pipeline: &Vec<Message>| {
            pipeline
                .iter()
                .map(|(_, body)| body.len())
                .collect::<Vec<_>>()
        };
        let cut: Vec<Vec<usize>> = pipelines(messages, 10).iter().map(lengths).collect();
        assert_eq!(cut, [vec![4, 4], vec![3], vec![30], vec![1, 9], vec![1]]);
        assert!(pipelines(Vec::new(), 10).is_empty());
    }
}
