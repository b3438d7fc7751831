//! Measurements of whole jobs, of transfers and QC beside other tools, and of single parts: `bench NAME [ARGUMENT]...`. The
//! head of each module describes what it measures and its arguments.
mod bucket;
mod carry;
mod cluster;
mod job;
mod message;
mod qc;
mod scan;
mod slices;
mod store;
mod transfer;

use std::error::Error;

const USAGE: &str =
    "bench bucket|carry|cluster|job|message|qc|scan|slices|store|transfer [ARGUMENT]...";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or(USAGE)?;
    let rest: Vec<String> = arguments.collect();
    match name.as_str() {
        "bucket" => bucket::run(&rest),
        "carry" => carry::run(&rest),
        "cluster" => Ok(cluster::run(&rest)?),
        "job" => Ok(job::run(&rest)?),
        "message" => message::run(&rest),
        "qc" => qc::run(&rest).map_err(|fault| -> Box<dyn Error> { fault }),
        "scan" => scan::run(&rest),
        "slices" => slices::run(&rest),
        "store" => store::run(&rest),
        "transfer" => transfer::run(&rest),
        _ => Err(USAGE.into()),
    }
}
