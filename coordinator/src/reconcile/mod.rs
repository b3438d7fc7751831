//! One duty a file. Each function runs in one transaction, takes `now` as an argument, and may run at any time and any
//! number of times: what it finds done it leaves.
pub mod attribution;
pub mod multipart;
pub mod planner;
pub mod rates;
pub mod recovery;
pub mod rescuer;
pub mod retention;
pub mod retrier;
pub mod sequencer;
pub mod settlement;
pub mod splitter;
pub mod tombstones;
pub mod worker_orders;
