//! Plans, dispatches, settles and sequences work units, and owns the truth in SQL. Opens no library, media file or bucket.
//!
//! - [`store`]: the truth, over SQLite, PostgreSQL or memory
//! - [`graph`]: transitions of units and what follows from them in the workflow
//! - [`review`]: verdicts, waivers and the tasks of people
//! - [`reconcile`]: one duty a file, each safe to run any number of times
//! - [`dispatch`]: which units are claimed next, and for whom
//! - [`command`], [`query`]: what operators ask for
//! - [`queue`]: what is handed to workers and comes back
//! - [`refusal`]: why reports of workers are refused
//! - [`leader`]: the process around them: election, the turn, reports, heartbeats
//! - [`http`]: the routes of the API
pub mod audit;
pub mod clock;
pub mod command;
pub mod dispatch;
pub mod error;
pub mod field_change;
pub mod graph;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod paging;
pub mod query;
pub mod queue;
pub mod reconcile;
pub mod refusal;
pub mod review;
pub mod rows;
pub mod workflows;

pub use store;
use store::failpoint;
