//! `/api/v1/events`: one stream of server-sent events about everything that runs, for dashboards.
use crate::http::State;
use crate::http::connections::{Place, Shares};
use crate::http::problem::{Problem, Refused};
use crate::leader::event_stream::Event;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use utoipa_actix_web::service_config::ServiceConfig;

/// Listeners at once.
pub const LISTENERS_MAX: usize = 128;
/// Listeners of one client at once, so that one client does not take every place.
pub const LISTENERS_PER_CLIENT: usize = 64;
/// After this long without news, a comment says that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Source of events, with a limit on the number of listeners.
#[derive(Clone)]
pub(super) struct Events {
    seats: Arc<Semaphore>,
    clients: Shares,
    source: watch::Sender<Event>,
}

impl Events {
    /// A source without listeners.
    pub(super) fn new(source: watch::Sender<Event>) -> Events {
        Events {
            seats: Arc::new(Semaphore::new(LISTENERS_MAX)),
            clients: Shares::new(LISTENERS_PER_CLIENT),
            source,
        }
    }
}

struct Listener {
    source: watch::Receiver<Event>,
    /// Given back when the client is gone and the stream is dropped.
    _seat: OwnedSemaphorePermit,
    _place: Option<Place>,
}

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(events);
}

/// Streams the progress of jobs, workers and slots: at most two events a second of at most 2 kB, a comment every 15 s.
#[utoipa::path(
    tag = "cluster",
    responses((status = 200, description = "events without end", body = String, content_type = "text/event-stream"), Refused)
)]
#[get("/api/v1/events")]
async fn events(
    request: HttpRequest,
    state: Data<State>,
    events: Data<Events>,
) -> Result<HttpResponse, Problem> {
    let full = |limit: usize, of: &str| {
        Problem::new("too_many", format!("{limit} streams{of} are open already"))
            .hint("close one, or poll /api/v1/jobs")
    };
    let place = match request.peer_addr() {
        Some(peer) => {
            let place = events.clients.take(peer.ip());
            Some(place.ok_or_else(|| full(LISTENERS_PER_CLIENT, " of this client"))?)
        }
        None => None,
    };
    let seat = Arc::clone(&events.seats)
        .try_acquire_owned()
        .map_err(|_| full(LISTENERS_MAX, ""))?;
    state.read(|tx| Ok(tx.jobs(true, 1)?)).await?;
    let mut source = events.source.subscribe();
    source.mark_changed();
    let stream = stream::unfold(
        Listener {
            source,
            _seat: seat,
            _place: place,
        },
        |mut listener| async move {
            let news = tokio::time::timeout(KEEP_ALIVE, listener.source.changed()).await;
            let text = match news {
                // The source is gone: so is this process, soon.
                Ok(Err(_)) => return None,
                Err(_) => ": still here\n\n".to_owned(),
                Ok(Ok(())) => {
                    let event = listener.source.borrow_and_update().clone();
                    if event.is_last() {
                        return None;
                    }
                    if event.id == 0 {
                        ": listening\n\n".to_owned()
                    } else {
                        format!(
                            "id: {}\nevent: progress\ndata: {}\n\n",
                            event.id, event.text
                        )
                    }
                }
            };
            Some((Ok::<Bytes, Infallible>(Bytes::from(text)), listener))
        },
    );
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_ENCODING, "identity"))
        .streaming(stream))
}
