//! Reason codes: what the code can give as the reason of a failure, and what the guide explains.
use crate::source::{Source, root, workspace};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{
    Block, Expr, ExprCall, ExprStruct, ImplItemFn, ItemConst, ItemFn, Lit, LitStr, Signature,
};

/// Reason codes that sources can produce.
#[derive(Default)]
struct Reasons {
    found: BTreeSet<String>,
    /// Constants that name a reason.
    constants: BTreeSet<String>,
    /// Functions that take a reason from their callers.
    passed_on: BTreeSet<String>,
    /// Reasons that the walk could not follow, with the function.
    unclear: Vec<String>,
    function: Vec<Function>,
}

/// A function around the current expression.
struct Function {
    name: String,
    parameters: Vec<String>,
    literals: BTreeSet<String>,
}

/// Every string literal below an expression.
#[derive(Default)]
struct Literals(BTreeSet<String>);

impl<'a> Visit<'a> for Literals {
    fn visit_lit_str(&mut self, literal: &'a LitStr) {
        self.0.insert(literal.value());
    }
}

fn literals(block: &Block) -> BTreeSet<String> {
    let mut found = Literals::default();
    found.visit_block(block);
    found.0
}

/// Whether a text looks like a reason code of several words.
fn is_code(text: &str) -> bool {
    let of_words = |c: char| c.is_ascii_lowercase() || c == '_';
    text.contains('_') && text.chars().all(of_words) && !text.starts_with('_')
}

impl Reasons {
    /// Notes the expression of a reason.
    fn note(&mut self, expr: &Expr) {
        match expr {
            Expr::Lit(lit) => {
                if let Lit::Str(text) = &lit.lit {
                    self.found.insert(text.value());
                }
            }
            Expr::Reference(inner) => self.note(&inner.expr),
            Expr::Paren(inner) => self.note(&inner.expr),
            Expr::Group(inner) => self.note(&inner.expr),
            Expr::MethodCall(call)
                if ["into", "to_owned", "clone"]
                    .iter()
                    .any(|name| call.method == name) =>
            {
                self.note(&call.receiver)
            }
            // Found where the method is.
            Expr::MethodCall(call) if call.method == "reason" => {}
            Expr::Path(path) => {
                let Some(name) = path.path.segments.last().map(|s| s.ident.to_string()) else {
                    return;
                };
                if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                    self.constants.insert(name);
                    return;
                }
                let Some(function) = self.function.last() else {
                    return self.unclear.push(name);
                };
                if function.parameters.contains(&name) {
                    self.passed_on.insert(function.name.clone());
                } else {
                    let codes = function.literals.iter().filter(|text| is_code(text));
                    self.found.extend(codes.cloned().collect::<Vec<_>>());
                }
            }
            Expr::If(_) | Expr::Match(_) => {
                let mut inside = Literals::default();
                inside.visit_expr(expr);
                self.found
                    .extend(inside.0.into_iter().filter(|text| is_code(text)));
            }
            // A copy of a failure that was made elsewhere.
            Expr::Field(_) => {}
            _ => {
                let function = self.function.last().map(|function| function.name.clone());
                self.unclear.push(function.unwrap_or_default());
            }
        }
    }

    fn within(&mut self, signature: &Signature, block: &Block, walk: impl FnOnce(&mut Self)) {
        let parameters = signature.inputs.iter().filter_map(|input| match input {
            syn::FnArg::Typed(typed) => match &*typed.pat {
                syn::Pat::Ident(pat) => Some(pat.ident.to_string()),
                _ => None,
            },
            syn::FnArg::Receiver(_) => None,
        });
        let (name, literals) = (signature.ident.to_string(), literals(block));
        if name == "reason" {
            self.found
                .extend(literals.iter().filter(|text| is_code(text)).cloned());
        }
        self.function.push(Function {
            name,
            parameters: parameters.collect(),
            literals,
        });
        walk(self);
        self.function.pop();
    }
}

fn last(path: &Expr, back: usize) -> Option<String> {
    let Expr::Path(path) = path else { return None };
    let segments = &path.path.segments;
    let at = segments.len().checked_sub(back + 1)?;
    Some(segments[at].ident.to_string())
}

impl<'a> Visit<'a> for Reasons {
    fn visit_item_fn(&mut self, item: &'a ItemFn) {
        self.within(&item.sig, &item.block, |reasons| {
            visit::visit_item_fn(reasons, item)
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'a ImplItemFn) {
        self.within(&item.sig, &item.block, |reasons| {
            visit::visit_impl_item_fn(reasons, item)
        });
    }

    fn visit_expr_call(&mut self, call: &'a ExprCall) {
        if last(&call.func, 1).as_deref() == Some("Failure") {
            let at = match last(&call.func, 0).as_deref() {
                Some("permanent" | "transient") => Some(0),
                Some("new") => Some(1),
                _ => None,
            };
            if let Some(reason) = at.and_then(|at| call.args.iter().nth(at)) {
                self.note(reason);
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_struct(&mut self, item: &'a ExprStruct) {
        let name = item.path.segments.last().map(|s| s.ident.to_string());
        // Rows that cannot be used become failures only in the summary of the job.
        if matches!(name.as_deref(), Some("Failure" | "FailureSummary")) {
            let mut fields = item.fields.iter();
            let reason = fields.find(
                |field| matches!(&field.member, syn::Member::Named(name) if name == "reason"),
            );
            reason.into_iter().for_each(|field| self.note(&field.expr));
        }
        visit::visit_expr_struct(self, item);
    }
}

/// Values of constants by name, and literals that are given to functions by name.
#[derive(Default)]
struct Names {
    constants: BTreeMap<String, BTreeSet<String>>,
    arguments: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Visit<'a> for Names {
    fn visit_item_const(&mut self, item: &'a ItemConst) {
        if let Expr::Lit(value) = &*item.expr
            && let Lit::Str(text) = &value.lit
        {
            let values = self.constants.entry(item.ident.to_string()).or_default();
            values.insert(text.value());
        }
    }

    fn visit_expr_call(&mut self, call: &'a ExprCall) {
        if let Some(name) = last(&call.func, 0) {
            let mut given = Literals::default();
            call.args
                .iter()
                .for_each(|argument| given.visit_expr(argument));
            self.arguments.entry(name).or_default().extend(given.0);
        }
        visit::visit_expr_call(self, call);
    }
}

/// Reasons that these sources can give.
fn reasons(sources: &[Source]) -> BTreeSet<String> {
    let (mut reasons, mut names) = (Reasons::default(), Names::default());
    for source in sources {
        let file = syn::parse_file(&source.production_text()).expect("the sources compile");
        // `Failure::permanent` itself passes on what it is given.
        if source.path != "protocol/src/failure.rs" {
            reasons.visit_file(&file);
        }
        names.visit_file(&file);
    }
    assert!(
        reasons.unclear.is_empty(),
        "reasons of failures must be literals, constants or parameters: {:?}",
        reasons.unclear
    );
    let constants = reasons.constants.iter();
    let constants = constants.filter_map(|name| names.constants.get(name));
    let passed_on = reasons.passed_on.iter();
    let passed_on = passed_on.filter_map(|name| names.arguments.get(name));
    let passed_on = passed_on.flatten().filter(|text| is_code(text));
    let more: Vec<String> = constants.flatten().chain(passed_on).cloned().collect();
    reasons.found.extend(more);
    reasons.found
}

/// Whether a file is in a part that gives no unit a reason: it reads them back, or its failures are messages of a command.
fn is_reader(path: &str) -> bool {
    ["benches/", "coordinator/store/", "ops/"]
        .iter()
        .any(|part| path.starts_with(part))
}

/// The codes in the first column of the guide's table of reasons.
fn explained(page: &str) -> BTreeSet<String> {
    let lines = page
        .lines()
        .skip_while(|line| *line != "| reason | meaning |");
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    let codes = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    codes.map(str::to_owned).collect()
}

#[test]
fn every_reason_code_is_explained_in_the_guide_and_exists() {
    let sources: Vec<Source> = workspace()
        .into_iter()
        .filter(|source| source.is_production() && !is_reader(&source.path))
        .collect();
    let reasons = reasons(&sources);
    let page = std::fs::read_to_string(root().join("docs/guide/jobs.md")).expect("it is there");
    let explained = explained(&page);
    assert!(reasons.len() > 50, "the walk finds the codes: {reasons:?}");
    let unexplained: Vec<&String> = reasons.difference(&explained).collect();
    assert!(
        unexplained.is_empty(),
        "add these reason codes to the table in docs/guide/jobs.md: {unexplained:?}"
    );
    let unknown: Vec<&String> = explained.difference(&reasons).collect();
    assert!(
        unknown.is_empty(),
        "the table in docs/guide/jobs.md explains reason codes that no code gives: {unknown:?}"
    );
}

#[test]
fn reasons_are_found_in_every_form() {
    let text = r#"
        const TOO_LONG: &str = "is_too_long";
        fn f(error: &E) -> Failure { Failure::permanent("literal", "m") }
        fn g() -> Failure { Failure::transient(limits::TOO_LONG, "m") }
        fn h(reason: &str) -> Failure { Failure::new(class(), reason, "m") }
        fn i() { h("passed_on"); }
        fn j(e: u8) -> Failure {
            let reason = match e { 0 => "first_of_two", _ => "second_of_two" };
            Failure::new(class(), reason, "m")
        }
        impl E { fn reason(&self) -> &str { "of_a_method" } }
        fn k() -> Failure { Failure { reason: "field".into(), ..other() } }
        #[cfg(test)]
        mod tests {
            fn l() -> Failure { Failure::permanent("of_a_test", "m") }
        }
    "#;
    let text = text.replace("\n        ", "\n");
    let source = Source {
        path: "worker/src/a.rs".into(),
        text,
    };
    let expected = [
        "field",
        "first_of_two",
        "is_too_long",
        "literal",
        "of_a_method",
        "passed_on",
        "second_of_two",
    ];
    let found: Vec<String> = reasons(&[source]).into_iter().collect();
    assert_eq!(found, expected);
    let page = "x\n\n| reason | meaning |\n|---|---|\n| `a_b`, `c` | says `d` |\n\n| `e` | f |\n";
    assert_eq!(
        explained(page),
        BTreeSet::from(["a_b".to_owned(), "c".to_owned()])
    );
}
