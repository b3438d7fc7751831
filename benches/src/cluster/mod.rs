//! The cluster, measured end to end with PostgreSQL and Redis on the same machine.
//!
//! `bench cluster [throughput] [latency] [scale] [recovery] [--quick]` prints a table for people and one JSON line a case.
//! - throughput: submit → every result durable → job barrier open, units of zero length
//! - latency: from the end of a unit's last dependency to its start, at 200 units a second
//! - scale: units of 5 ms over 1, 2, 4 and 8 workers
//! - recovery: a killed worker, a killed leader, a wiped Redis
//!
//! `bench cluster edges [titles] [one-title] [failures] [workers] [--units N] [--workers 300,1000] [--limit 10m]
//! [--autovacuum off]` measures the edges: a barrier for each title, one title with everything, nothing but failures,
//! hundreds of workers. `SHOWRUNNER_BINARY` names another binary than the one beside the benchmark.
mod edges;
mod kit;
mod latency;
mod recovery;
mod scale;
mod throughput;

/// Runs the cases that are named, or all of them.
pub(crate) fn run(args: &[String]) -> std::io::Result<()> {
    if args.first().is_some_and(|arg| arg == "edges") {
        return edges::run(&args[1..]);
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let chosen = |name: &str| {
        args.iter().all(|arg| arg.starts_with("--")) || args.iter().any(|arg| arg == name)
    };
    if chosen("throughput") {
        throughput::run(quick)?;
    }
    if chosen("latency") {
        latency::run()?;
    }
    if chosen("scale") {
        scale::run()?;
    }
    if chosen("recovery") {
        recovery::run()?;
    }
    Ok(())
}
