//! Readers and writers of formats that others define. Pure: text in, nouns of ours out.
//!
//! - [`umdp`]: media delivery profiles, as delivery specs
pub mod umdp;
