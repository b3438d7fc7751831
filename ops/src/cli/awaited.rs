//! Says while a job is watched that it waits for decisions of people, with the commands to type.
use crate::context::Context;
use crate::embedded::Embedded;
use crate::error::CliResult;
use crate::output;
use crate::settings::Origin;
use coordinator::query::open_tasks::{OpenTask, OpenTasks, open_tasks};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::id::JobNo;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Template of the progress bar while units run.
pub(super) const ESTIMATE: &str =
    "{spinner} {msg}\n  [{bar:40}] {pos}/{len} units  {per_sec}  {elapsed}";
/// Template while tasks are open: a rate over the time that a person takes would be no rate of the machine.
const WAIT: &str =
    "{spinner} {msg}\n  [{bar:40}] {pos}/{len} units  waits for a decision  {elapsed}";

/// Tasks of the watched job that have been shown.
pub(super) struct Awaited {
    shown: BTreeSet<i64>,
    looked: Option<Instant>,
    waits: bool,
    quiet: bool,
    /// Options that lead a command in another shell to the same data directory.
    options: String,
}

impl Awaited {
    pub(super) fn new(context: &Context) -> Awaited {
        let data = &context.settings["data"];
        let options = match data.origin {
            Origin::Default => String::new(),
            _ => format!(" --data {}", data.value),
        };
        Awaited {
            shown: BTreeSet::new(),
            looked: None,
            waits: false,
            quiet: context.quiet,
            options,
        }
    }

    /// Shows tasks that have been opened since the last look.
    pub(super) async fn look(
        &mut self,
        embedded: &Embedded,
        job: JobNo,
        bar: &ProgressBar,
    ) -> CliResult<()> {
        if self.quiet || self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let open = embedded.store.write(move |tx| open_tasks(tx, job)).await?;
        let waits = !open.tasks.is_empty();
        if waits != self.waits {
            bar.set_style(style(if waits { WAIT } else { ESTIMATE }));
            self.waits = waits;
        }
        let lines = self.new_lines(&open);
        if !lines.is_empty() {
            bar.suspend(|| eprint!("{}", output::text(&lines)));
        }
        Ok(())
    }

    fn new_lines(&mut self, open: &OpenTasks) -> String {
        let mut lines = String::new();
        for task in &open.tasks {
            if self.shown.insert(task.task) {
                lines += &line(task, &self.options);
            }
        }
        if open.more && !lines.is_empty() {
            lines += &format!("and more tasks: showrunner task list{}\n", self.options);
        }
        lines
    }
}

fn line(task: &OpenTask, options: &str) -> String {
    let next = match options {
        "" => task.next.clone(),
        options => format!("{} (each with{options})", task.next),
    };
    format!("waits for {}\n    {next}\n", task.message)
}

/// The style of the bar after a template.
pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
