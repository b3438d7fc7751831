//! Work on the assets of a unit, several at a time.
use super::TaskContext;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::unit::Unit;
use std::future::Future;

/// Number of assets at the same time.
const AT_ONCE: usize = 8;

/// Runs `work` for every asset of a unit; results in their order. `None` when the unit was revoked.
pub(super) async fn each<'a, T, F, Fut>(
    unit: &'a Unit,
    context: &TaskContext,
    work: F,
) -> Option<Vec<(&'a Asset, Result<T, Failure>)>>
where
    F: Fn(&'a Asset) -> Fut,
    Fut: Future<Output = Result<T, Failure>> + Send + 'a,
    T: Send + 'a,
{
    // Boxed one by one and collected by hand: the compiler does not prove more to be `Send` over borrowed assets.
    let work: Vec<BoxFuture<'a, Result<T, Failure>>> = unit.assets.iter().map(|asset| work(asset).boxed()).collect();
    let all = async {
        let (mut work, mut done) = (stream::iter(work).buffered(AT_ONCE), Vec::with_capacity(unit.assets.len()));
        while let Some(one) = work.next().await {
            done.push(one);
        }
        done
    };
    let done = context.cancel.run_until_cancelled(all).await?;
    Some(unit.assets.iter().zip(done).collect())
}
