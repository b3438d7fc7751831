//! Steps that need each other in a circle.
use super::Step;

/// The ids of steps that need each other in a circle, as `a → b → a`; none where there is no circle.
pub(super) fn find_cycle(steps: &[Step]) -> Option<String> {
    let mut state = vec![0u8; steps.len()];
    let mut path = Vec::new();
    (0..steps.len()).find_map(|i| visit(steps, i, &mut state, &mut path))
}

fn visit(steps: &[Step], i: usize, state: &mut [u8], path: &mut Vec<usize>) -> Option<String> {
    match state[i] {
        2 => return None,
        1 => {
            let start = path.iter().position(|p| *p == i).unwrap_or(0);
            let names: Vec<&str> = path[start..]
                .iter()
                .chain([&i])
                .map(|p| steps[*p].id.as_str())
                .collect();
            return Some(names.join(" → "));
        }
        _ => {}
    }
    state[i] = 1;
    path.push(i);
    for need in &steps[i].needs {
        let found = visit(steps, usize::from(need.0), state, path);
        if found.is_some() {
            return found;
        }
    }
    path.pop();
    state[i] = 2;
    None
}
