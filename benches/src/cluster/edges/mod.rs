//! Jobs at the edges: as many titles as assets, one title with all of them, nothing but failures, hundreds of workers. Each figure is compared with that of a plain job of as many units in the same cluster.
mod crowd;
mod failures;
mod gauge;
mod shapes;

use std::time::Duration;

/// Sizes of the cases.
pub(crate) struct Size {
    /// Assets of a job.
    units: usize,
    /// Numbers of simulated workers.
    workers: Vec<usize>,
    /// Limit for one job; its progress at the limit is printed.
    limit: Duration,
    /// Settings of the database server besides those of all benchmarks.
    settings: Vec<&'static str>,
}

const CASES: [&str; 4] = ["titles", "one-title", "failures", "workers"];

fn wrong(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, what.to_owned())
}

/// Reads the arguments: names of cases and the size.
fn parse(args: &[String]) -> std::io::Result<(Vec<&str>, Size)> {
    let mut size = Size {
        units: 1_000_000,
        workers: vec![300, 1_000],
        limit: Duration::from_secs(600),
        settings: Vec::new(),
    };
    let (mut names, mut rest) = (Vec::new(), args.iter().map(String::as_str));
    while let Some(arg) = rest.next() {
        if CASES.contains(&arg) {
            names.push(arg);
            continue;
        }
        let value = rest
            .next()
            .ok_or_else(|| wrong(&format!("{arg} is no case and has no value")))?;
        let number = |text: &str| {
            text.replace([',', '_'], "")
                .parse()
                .map_err(|_| wrong(&format!("{arg} {text}")))
        };
        match arg {
            "--units" => size.units = number(value)?,
            "--workers" => size.workers = value.split(',').map(number).collect::<Result<_, _>>()?,
            "--limit" => {
                size.limit = protocol::quantity::Span::parse(value)
                    .map_err(|e| wrong(&e.to_string()))?
                    .0
            }
            "--autovacuum" if value == "off" => size.settings.push("autovacuum=off"),
            _ => {
                return Err(wrong(&format!(
                    "{arg} {value}: cases are {}",
                    CASES.join(" ")
                )));
            }
        }
    }
    Ok((
        if names.is_empty() {
            CASES.to_vec()
        } else {
            names
        },
        size,
    ))
}

/// Runs the cases that are named, or all of them.
pub(crate) fn run(args: &[String]) -> std::io::Result<()> {
    let (names, size) = parse(args)?;
    println!("binary: {}", testkit::command::binary().display());
    for name in names {
        match name {
            "titles" => shapes::run(&size, "titles", 1)?,
            "one-title" => shapes::run(&size, "one-title", size.units)?,
            "failures" => failures::run(&size)?,
            _ => size
                .workers
                .iter()
                .try_for_each(|workers| crowd::run(&size, *workers))?,
        }
    }
    Ok(())
}
