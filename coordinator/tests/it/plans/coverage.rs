//! Nothing is left out: each method of the store and each public function over a transaction has a question, or a reason why
//! it has none.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the questions are.
const QUESTIONS: &str = concat!(
    include_str!("reads.rs"),
    include_str!("queries.rs"),
    include_str!("settlements.rs"),
    include_str!("turns.rs")
);

/// Why a method or a function has no question of its own: it is part of another one, or its cost is that of its caller.
const EXEMPT: &[(&str, &str)] = &[
    ("activity::put_activity", "the tick of workers does it"),
    (
        "adoption::adopt_page",
        "a new leader asks for it page by page",
    ),
    ("approvals::redrive", "a retry brings units back with it"),
    ("approvals::sync_step", "a settlement and a release do it"),
    ("attempt::put_attempts", "a settlement and a release do it"),
    ("attribution::attribute", "a settlement and a release do it"),
    ("audit::record", "a decision does it"),
    (
        "barrier::barriers_open",
        "the explanation of a job counts by key with it",
    ),
    ("listing::listed_asset", "it reads one row by key"),
    (
        "open_tasks::open_tasks",
        "an answer about a job is made of it",
    ),
    (
        "barrier::add_to_barrier",
        "a QC failure is split off with it",
    ),
    ("cached_facts::attach", "units are handed out with it"),
    ("cause::add_to_causes", "a settlement and a release do it"),
    ("cause::put_waiver", "a decision does it"),
    ("costs::read", "the gauges and the forecast ask for it"),
    ("history::note", "a settlement and a release do it"),
    ("job::insert_job", "a submission does it"),
    ("job_forecast::of", "an answer about a job is made of it"),
    ("job_forecast::read", "an answer about a job is made of it"),
    (
        "jobs::progress_of",
        "an answer about a job or a unit is made of it",
    ),
    (
        "listing::count_rows",
        "the planner does it at the end of a listing",
    ),
    (
        "loss::put_losses",
        "a unit that is lost is recorded with it",
    ),
    (
        "slice::give_up",
        "it is about one unit and its slices, by key",
    ),
    (
        "multipart::open",
        "it is about one unit and its slices, by key",
    ),
    (
        "multipart::reopen",
        "it is about one unit and its slices, by key",
    ),
    (
        "slice::settle",
        "it is about one unit and its slices, by key",
    ),
    (
        "slice::take_back",
        "it is about one unit and its slices, by key",
    ),
    (
        "operation::put_operation_input",
        "a retry brings units back with it",
    ),
    (
        "operation::update_operation",
        "a retry brings units back with it",
    ),
    (
        "outstanding::outstanding",
        "a new leader asks for it page by page",
    ),
    (
        "partition::insert_partitions",
        "a QC failure is split off with it",
    ),
    (
        "partition::shrink_partition",
        "a QC failure is split off with it",
    ),
    (
        "pending_tasks::look_up",
        "an answer about a job or a unit is made of it",
    ),
    ("admitted::claim_admitted", "units are handed out with it"),
    ("publisher::claim_step", "units are handed out with it"),
    ("publisher::published", "units are handed out with it"),
    ("rate::put_rates", "the tick of workers does it"),
    (
        "reactor::store_pages",
        "it runs what a question asks, page by page",
    ),
    (
        "reactor::take_back",
        "it runs what a question asks, page by page",
    ),
    (
        "redrive::redrive_units",
        "a retry brings units back with it",
    ),
    (
        "retention::put_aging_time",
        "the sweep of the retention does it",
    ),
    ("retention::sweep", "the sweep of the retention does it"),
    (
        "retry::preview",
        "it runs what a question asks, page by page",
    ),
    ("rows::unit_row", "it reads one row by key"),
    ("schedule::put_speculation", "units are handed out with it"),
    ("sheet::put_sheets", "a settlement and a release do it"),
    ("sheet::put_verdicts", "a settlement and a release do it"),
    ("slices::attach", "units are handed out with it"),
    ("slices::claim", "units are handed out with it"),
    (
        "slices::outstanding",
        "a new leader asks for it page by page",
    ),
    ("step::add_to_step", "a settlement and a release do it"),
    ("step::set_cursor", "units are handed out with it"),
    (
        "summary::summary",
        "an answer about a job or a unit is made of it",
    ),
    (
        "summary::totals",
        "an answer about a job or a unit is made of it",
    ),
    (
        "take_back::take_back",
        "units that are lost are taken back with it",
    ),
    (
        "take_back::take_back_all",
        "units that are lost are taken back with it",
    ),
    ("task::end_tasks", "a cancellation does it"),
    (
        "task::insert_task",
        "nothing but tests and imports does it alone: open_tasks does it in a settlement",
    ),
    ("task::insert_task_event", "a decision does it"),
    (
        "task::insert_task_events",
        "a settlement and a release do it",
    ),
    (
        "task::insert_task_pictures",
        "a settlement and a release do it",
    ),
    ("task::open_tasks", "a settlement and a release do it"),
    ("task::put_task_pictures", "a decision does it"),
    ("task::update_task", "a decision does it"),
    ("tombstone::put_tombstones", "removals do it"),
    (
        "wait_details::since",
        "an answer about a job or a unit is made of it",
    ),
    (
        "wait_details::slots",
        "an answer about a job or a unit is made of it",
    ),
    ("waivers::about", "a settlement and a release do it"),
    ("waivers::cover", "a settlement and a release do it"),
    ("waivers::look_up", "a settlement and a release do it"),
    (
        "waivers::of_causes",
        "the gauges and the forecast ask for it",
    ),
    ("worker::forget_workers", "the tick of workers does it"),
    ("worker::put_workers", "the tick of workers does it"),
    (
        "workers::refund",
        "it runs what a question asks, page by page",
    ),
    ("workers::write_workers", "the tick of workers does it"),
    ("workflows::for_job", "it reads one row by key"),
    ("workflows::is_aside", "it reads one row by key"),
    ("workflows::of", "it reads one row by key"),
    ("workflows::readable", "it reads one row by key"),
];

/// A function over a transaction.
struct Function {
    /// The modules that a call may name, the nearest first.
    modules: Vec<String>,
    name: String,
    method: bool,
}

impl Function {
    fn title(&self) -> String {
        format!("{}::{}", self.modules[0], self.name)
    }

    /// Whether a question calls it.
    fn is_asked(&self) -> bool {
        let call = format!("{}(", self.name);
        QUESTIONS.match_indices(&call).any(|(at, _)| {
            let before = &QUESTIONS[..at];
            match self.method {
                true => before.ends_with('.') || before.ends_with("::"),
                false => {
                    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':');
                    !before.ends_with(is_name)
                        || self
                            .modules
                            .iter()
                            .any(|m| before.ends_with(&format!("{m}::")))
                }
            }
        })
    }
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let (dirs, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"));
    files
        .chain(dirs.iter().flat_map(|dir| sources(dir)))
        .collect()
}

/// The names of the file and its folder; a file `mod.rs` has the name of its folder.
fn modules_of(path: &Path) -> Vec<String> {
    let names = path.with_extension("");
    let names = names
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .rev();
    names.skip_while(|name| name == "mod").take(2).collect()
}

/// Methods of the traits of the store.
fn methods_of_the_store() -> Vec<Function> {
    let mut found = Vec::new();
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/store/src"))) {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        for (at, _) in text.match_indices("\npub trait ") {
            let body = &text[at + 1..];
            let body = &body[..body.find("\n}").expect("a trait ends")];
            if !body
                .lines()
                .next()
                .is_some_and(|line| line.ends_with("Tx {"))
            {
                continue;
            }
            let methods = body
                .lines()
                .filter_map(|line| line.strip_prefix("    fn ")?.split('(').next());
            found.extend(methods.map(|name| Function {
                modules: modules_of(&path),
                name: name.to_owned(),
                method: true,
            }));
        }
    }
    found
}

/// Public functions of the coordinator that take a transaction.
fn functions_over_transactions() -> Vec<Function> {
    let mut found = Vec::new();
    for path in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in text.match_indices("pub fn ") {
            let signature = &text[at + "pub fn ".len()..];
            let signature = &signature[..signature.find(" {\n").unwrap_or(signature.len())];
            if !signature.contains("tx: &mut dyn Tx") {
                continue;
            }
            let name: String = signature
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let method = text[..at].ends_with("    ");
            found.push(Function {
                modules: modules_of(&path),
                name,
                method,
            });
        }
    }
    found
}

#[test]
fn questions_about_plans_leave_no_statement_out() {
    let (methods, functions) = (methods_of_the_store(), functions_over_transactions());
    assert!(
        methods.len() > 100 && functions.len() > 70,
        "{} and {} were found",
        methods.len(),
        functions.len()
    );
    let all: Vec<Function> = methods.into_iter().chain(functions).collect();
    let exempt: BTreeSet<String> = EXEMPT.iter().map(|(name, _)| (*name).to_owned()).collect();
    let unasked: BTreeSet<String> = all
        .iter()
        .filter(|function| !function.is_asked())
        .map(Function::title)
        .collect();
    let forgotten: Vec<&String> = unasked.difference(&exempt).collect();
    assert!(
        forgotten.is_empty(),
        "no question calls these functions: {forgotten:#?}\nadd one to coordinator/tests/it/plans/queries.rs (queries and \
         commands), reads.rs (methods of the store), settlements.rs or turns.rs (duties of the leader), or give the \
         reason for none in EXEMPT of coverage.rs"
    );
    let needless: Vec<&String> = exempt.difference(&unasked).collect();
    assert!(
        needless.is_empty(),
        "these are asked, or gone, and need no exemption: {needless:#?}"
    );
}
