//! What the guides tell people to type, and the first things they will try.
use std::path::{Path, PathBuf};
use testkit::Scratch;
use tests::fleet::Fleet;

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guide = std::fs::read_dir(root.join("docs/guide")).expect("there is a guide");
    let mut pages: Vec<PathBuf> = guide
        .map(|page| page.expect("it can be read").path())
        .collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// Every command line of ours in a page: in blocks of code, and in code within a line that has more than a name.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, part) in page.split("```").enumerate() {
        if n % 2 == 1 {
            let uncommented = part
                .lines()
                .map(|line| line.split(" #").next().unwrap_or_default());
            found.extend(
                uncommented
                    .flat_map(|line| line.split(['|', ';']))
                    .map(|line| line.trim().to_owned()),
            );
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let ours = |text: &str| {
        text.find("showrunner ")
            .map(|at| text[at..].trim_end_matches(')').to_owned())
    };
    let begins = |text: &String| {
        text.starts_with("showrunner ")
            || text.contains("$(showrunner ")
            || text.contains("= showrunner ")
    };
    found
        .into_iter()
        .filter(begins)
        .filter_map(|text| ours(&text))
        .collect()
}

/// Words as a shell splits them, as far as the guides go.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, c) if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The commands that a line names: `list|pause` is two.
fn meant(words: Vec<String>) -> Vec<Vec<String>> {
    let Some(at) = words.iter().position(|word| word.contains('|')) else {
        return vec![words];
    };
    let chosen = |word: &str| [&words[..at], &[word.to_owned()], &words[at + 1..]].concat();
    words[at].split('|').map(chosen).collect()
}

#[test]
fn commands_in_the_guides_exist() {
    let scratch = Scratch::new();
    let mut tried = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page can be read");
        for line in commands(&text) {
            for mut args in meant(words(&line)) {
                // Everything before it is read first, so a flag or a name that is not there is an error still.
                args.push("--help".into());
                let args: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
                let ran = scratch.run(&args);
                assert!(ran.code == 0, "{}: {line}\n{}", page.display(), ran.stderr);
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "only {tried} commands were found");
}

#[test]
fn doctor_checks_the_configured_servers() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    let doctor = |database: &str, redis: &str| {
        let mut command = fleet.scratch.showrunner(&["doctor", "-o", "json"]);
        command
            .env("SHOWRUNNER_DATABASE", database)
            .env("SHOWRUNNER_REDIS", redis);
        command.env(
            "SHOWRUNNER_SERVER",
            format!("http://{}", coordinator.address),
        );
        let ran = testkit::Ran::of(command);
        assert!(ran.code < 2, "{ran:#?}");
        let findings = ran.json();
        let of = |check: &str| {
            let all = findings.as_array().expect("findings are a list").iter();
            all.clone()
                .find(|f| f["check"] == check)
                .map(|f| (f["state"].clone(), f["message"].to_string()))
        };
        ["database", "redis", "server"]
            .map(|check| of(check).unwrap_or_else(|| panic!("{check}: {findings:#}")))
    };
    let [database, redis, server] = doctor(&fleet.database, &fleet.redis.url());
    assert_eq!(
        (database.0.as_str(), server.0.as_str()),
        (Some("ok"), Some("ok")),
        "{database:?} {server:?}"
    );
    assert!(
        database.1.contains("open jobs") && server.1.contains("leader"),
        "{database:?} {server:?}"
    );
    assert_eq!(redis.0.as_str(), Some("ok"), "{redis:?}");
    let [database, redis, _] = doctor(
        "postgres://u:canary@127.0.0.1:1/x",
        "redis://u:canary@127.0.0.1:1/",
    );
    for (state, message) in [database, redis] {
        assert!(
            state == "failed" && message.contains("127.0.0.1") && !message.contains("canary"),
            "{message}"
        );
    }
}
