//! Libraries that a job file names and that do not exist on this machine.
use protocol::workflow::compile::absolute;
use protocol::workflow::file::{JobFile, LibraryFile};
use protocol::yaml::{Problem, read_all};
use std::path::Path;

/// Problems with the manifest or the folder of a job file; of a file that cannot be read, those of what can.
pub(super) fn missing(path: &Path, file: &str, source: &str) -> Vec<Problem> {
    let library = match read_all::<JobFile>(file, source) {
        Ok(job) => job.library,
        Err(mistakes) => match mistakes.rest {
            Some(job) => job.library,
            None => return Vec::new(),
        },
    };
    let base = std::path::absolute(path)
        .ok()
        .and_then(|path| Some(path.parent()?.display().to_string()));
    base.map_or_else(Vec::new, |base| of_library(&base, file, source, &library))
}

fn of_library(base: &str, file: &str, source: &str, library: &LibraryFile) -> Vec<Problem> {
    let is_remote = |text: &str| text.contains("://");
    let mut problems = Vec::new();
    for (key, text, wants_folder) in [
        ("manifest", &library.manifest, false),
        ("folder", &library.folder, true),
    ] {
        let Some(text) = text.as_deref().filter(|text| !is_remote(text)) else {
            continue;
        };
        let place = absolute(base, text);
        let wrong = match std::fs::metadata(&place) {
            Ok(found) if found.is_dir() == wants_folder => continue,
            Ok(_) if wants_folder => "it is not a directory".to_owned(),
            Ok(_) => "it is a directory, not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        let problem = Problem::new(file, format!("{key} {place}: {wrong}")).hint(
            "paths start at the directory of the job file; --without-files where only workers have it",
        );
        problems.push(problem.near(source, &format!("{key}: {text}")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_library_is_a_problem_at_its_key() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("job.yaml");
        let source = |library: &str| {
            format!("job: a\nlibrary: {{ {library} }}\nsteps:\n  - {{ id: a, noop: {{}} }}\n")
        };
        std::fs::write(folder.path().join("there.csv"), "asset\n").expect("written");
        for (library, problems) in [
            ("manifest: there.csv", 0),
            ("manifest: absent.csv", 1),
            ("manifest: .", 1),
            ("folder: .", 0),
            ("folder: absent", 1),
            ("folder: there.csv", 1),
            ("folder: 's3://bucket/absent'", 0),
        ] {
            let found = missing(&path, "job.yaml", &source(library));
            assert_eq!(found.len(), problems, "{library}: {found:?}");
            assert!(
                found
                    .iter()
                    .all(|problem| problem.at.is_some_and(|at| at.0 == 2)),
                "{found:?}"
            );
        }
    }
}
