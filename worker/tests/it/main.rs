//! Tasks against real files, processes, programs and the reference tools.
mod archives;
mod fixture;
mod mhl;
mod nested;
mod qc;
mod release;
mod storage;
mod transfer;
