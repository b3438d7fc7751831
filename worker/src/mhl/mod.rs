//! ASC MHL v2.0 histories and the journal they are written from.
pub mod journal;
