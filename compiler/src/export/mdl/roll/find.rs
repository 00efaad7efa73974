//! The run of equal parts that saves most.

use super::flow::{Flow, Given, Parts, Run};
use super::keys::{self, Keys};
use std::cmp::Reverse;

/// No part is longer.
const LONGEST: usize = 1 << 11;
/// No part is shorter.
const SHORTEST: usize = 4;
/// A run that saves fewer statements than this stays as it is.
const LEAST: usize = 12;
/// More statements than these are not looked through.
const MOST: usize = 1 << 15;
/// So many runs are tried, each at so many starts.
const TRIED: usize = 64;
/// A part shorter than this must have weights whose keys say that it is one.
const PLAIN: usize = 16;

/// The best run, and the keys of its weights.
pub(super) fn best(flow: &Flow) -> Option<(Parts, Keys)> {
    if flow.labels.len() > MOST {
        return None;
    }
    let mut found = candidates(&flow.labels);
    found.sort_by_key(|(run, _)| (Reverse(run.saved()), run.period, run.start));
    found.into_iter().take(TRIED).find_map(|(run, slack)| {
        let phases = (0..=slack).take(TRIED).map(|by| Run { start: run.start + by, ..run });
        let sound = phases.filter_map(|run| {
            let parts = flow.parts(run)?;
            let keys = keys::of(flow, &parts);
            (keys.inside > 0 || run.period >= PLAIN).then_some((parts, keys))
        });
        sound.min_by_key(|(parts, keys)| {
            let own = parts.columns.iter().filter(|(_, given)| *given == Given::Own).count();
            (keys.outside, own, parts.results.len(), parts.run.start)
        })
    })
}

/// Runs by their labels alone, each with the number of statements that its start may move by. The longest of a place comes
/// with the one that leaves out a part, for the first may be different inside.
fn candidates(labels: &[u32]) -> Vec<(Run, usize)> {
    let mut found = vec![];
    for period in SHORTEST..=(labels.len() / 2).min(LONGEST) {
        let mut start = 0;
        while start + period < labels.len() {
            let equal = (start..labels.len() - period).take_while(|at| labels[*at] == labels[at + period]).count();
            for left_out in 0..2 {
                let count = (equal / period + 1).saturating_sub(left_out);
                let run = Run { start, period, count };
                if count >= 2 && run.saved() >= LEAST {
                    found.push((run, equal - (count - 1) * period));
                }
            }
            start += equal + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::candidates;

    #[test]
    fn a_run_may_start_anywhere_within_its_slack() {
        let labels: Vec<u32> = [9, 8].into_iter().chain((0..18).map(|at| at % 6)).chain([0, 1, 7]).collect();
        let found = candidates(&labels);
        let longest = found.iter().max_by_key(|(run, _)| run.saved()).expect("a run");
        assert_eq!((longest.0.start, longest.0.period, longest.0.count, longest.1), (2, 6, 3, 2));
        assert!(candidates(&(0..40).collect::<Vec<_>>()).is_empty());
    }
}
