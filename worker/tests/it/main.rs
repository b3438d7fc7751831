//! Tasks against real files, processes and the reference tools.
mod fixture;
mod mhl;
mod transfer;
