//! Steps against real files, processes, programs and the reference tools.
mod archives;
mod checksum;
mod fixture;
mod mhl;
mod nested;
mod qc;
mod release;
mod scenarios;
mod storage;
mod transfer;
