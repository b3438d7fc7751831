//! The outcome of a decision as text.
use crate::cli::change::changes;
use crate::output;
use coordinator::review::DecisionOutcome;

/// What a decision changed, or would change.
pub(super) fn render_decision(d: &DecisionOutcome) -> String {
    let mut text = changes(&format!("task {}", d.task), &d.state, &d.changes, d.dry_run);
    if d.units > 0 {
        let units = output::counted(d.units, "unit");
        let would = if d.dry_run { "would " } else { "" };
        let continues = if d.units == 1 && !d.dry_run {
            "continues"
        } else {
            "continue"
        };
        text.push_str(&format!("  {units} {would}{continues}\n"));
    }
    if !d.standing.is_empty() && d.state == "open" {
        let word = if d.dry_run {
            "would still fail"
        } else {
            "still fail"
        };
        text.push_str(&format!(
            "  checks that {word}: {}\n",
            d.standing.join(", ")
        ));
    }
    text
}
