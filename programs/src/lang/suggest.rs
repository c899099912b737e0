//! "Did you mean": names near a mistaken one.

/// The nearest of the candidates, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_few(name, candidates, 1).into_iter().next()
}

/// The nearest candidates, best first, at most `count`.
pub(crate) fn nearest_few<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let lower = name.to_lowercase();
    // A third of the name may be wrong; of a short one, one letter.
    let limit = (name.chars().count() / 3).clamp(1, 6);
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit * 4)
        .filter_map(|candidate| Some((distance(&lower, &candidate.to_lowercase(), limit)?, candidate)))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    // Only what is as near as the nearest.
    let best = scored.first().map_or(0, |(distance, _)| *distance);
    scored
        .into_iter()
        .take_while(|(distance, _)| *distance == best)
        .take(count)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// Edit distance with swaps of neighbours, None above `limit`.
fn distance(left: &str, right: &str, limit: usize) -> Option<usize> {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().abs_diff(right.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replace = previous.get(j).copied().unwrap_or(0) + usize::from(a != b);
            let delete = previous.get(j + 1).copied().unwrap_or(0) + 1;
            let insert = current.get(j).copied().unwrap_or(0) + 1;
            let mut best = replace.min(delete).min(insert);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped {
                best = best.min(before.get(j - 1).copied().unwrap_or(0) + 1);
            }
            current.push(best);
        }
        before = previous;
        previous = current;
    }
    previous.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = ["process.name", "process.parent.name", "file.name", "process.args"];
        assert_eq!(nearest("process.nmae", names), Some("process.name"));
        assert_eq!(nearest("proces.name", names), Some("process.name"));
        assert_eq!(nearest("Process.Name", names), Some("process.name"));
        assert_eq!(nearest("registry.value", names), None);
        assert_eq!(nearest("wehre", ["where", "on"]), Some("where"));
        assert_eq!(nearest("", names), None);
    }
}
