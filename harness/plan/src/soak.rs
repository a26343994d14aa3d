//! A plan whose lifecycle is lived many times in one process: `Nx(…)` around its steps, with a
//! `drop` for each slot that is still alive at a cycle's end, and its `exit` behind.
//!
//! Deliberately absent: running it beside the plan itself, and what a difference means (the
//! command and hotfire-core's `judge`).

use crate::model::{Operation, States, final_states};
use crate::plan::{Args, Item, Plan, Step};
use crate::program::{Node, Program, StepIndex};

/// A plan made to live its lifecycle many times in one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soaked {
    /// The plan: one repeat, and behind it the `exit` step where the original ends with one.
    pub plan: Plan,
    /// How many cycles.
    pub cycles: u32,
    /// How many `drop` steps were added to each cycle.
    pub drops: u32,
}

/// Why a plan has no cycles; a lowercase fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotSoaked {
    /// `kill`, `interrupt` or `exit how=abort`.
    #[error("it asks for the death of its process")]
    AsksForDeath,
    /// An `exit` that is not the plan's last item.
    #[error("its `exit` stands before or within other steps")]
    ExitWithin,
    /// `@order(…)`.
    #[error("its recorded schedule is one of a single lifecycle")]
    Schedule,
    /// Nothing but an `exit`, or nothing at all.
    #[error("it has no steps to repeat")]
    Empty,
    /// A limit of plan text: steps, bytes, depth.
    #[error("repeated it is beyond a limit of plan text (docs/plan-text.md)")]
    TooLarge,
}

impl Soaked {
    /// The plan with its lifecycle lived `cycles` times.
    ///
    /// # Errors
    /// Why it has no cycles.
    pub fn new(plan: &Plan, cycles: u32) -> Result<Self, NotSoaked> {
        let program = Program::from(plan);
        if program.steps.iter().any(asks_for_death) {
            return Err(NotSoaked::AsksForDeath);
        }
        if plan.items.iter().any(|item| matches!(item, Item::Order(_))) {
            return Err(NotSoaked::Schedule);
        }
        let (body, exit) = match plan.items.split_last() {
            Some((Item::Step(last), body)) if last.operation == Operation::Exit => {
                (body, Some(last))
            }
            _ => (plan.items.as_slice(), None),
        };
        let exits = program.steps.iter().filter(|step| step.operation == Operation::Exit).count();
        if exits > usize::from(exit.is_some()) {
            return Err(NotSoaked::ExitWithin);
        }
        if program.steps.len() == exits {
            return Err(NotSoaked::Empty);
        }
        let drops = drops(&program);
        let count = u32::try_from(drops.len()).map_err(|_| NotSoaked::TooLarge)?;
        let cycle = body.iter().cloned().chain(drops.into_iter().map(Item::Step)).collect();
        let repeat = Item::Repeat { count: cycles, body: cycle };
        let items = [repeat].into_iter().chain(exit.cloned().map(Item::Step)).collect();
        let soaked = Plan { env: plan.env.clone(), items };
        // The text is the reproducer: what cannot be read back is no plan.
        match Plan::parse(&soaked.to_string()) {
            Ok(read) if read == soaked => Ok(Self { plan: soaked, cycles, drops: count }),
            _ => Err(NotSoaked::TooLarge),
        }
    }

    /// The number in the soaked plan of the step with this number in the original, which has
    /// `steps` steps: `exit` stands behind the added ones.
    #[must_use]
    pub fn step(&self, original: StepIndex, steps: usize) -> StepIndex {
        let is_last = usize::try_from(original) == Ok(steps);
        let ends_with_exit = self.plan.items.len() > 1;
        if is_last && ends_with_exit { original + self.drops } else { original }
    }

    /// The cycle, from 1, in which the soaked plan's step with this number was begun for the time
    /// `iteration` (from 0). `None`: it is no step of the cycle, or a hammer, whose turns differ
    /// from cycle to cycle.
    #[must_use]
    pub fn cycle_of(&self, step: StepIndex, iteration: u64) -> Option<u32> {
        let program = Program::from(&self.plan);
        let Some(Node::Repeat { body, .. }) = program.body.first() else { return None };
        let turns = turns(body, step, 1)?;
        let cycle = u32::try_from(iteration / turns).ok()?.checked_add(1)?;
        (cycle <= self.cycles).then_some(cycle)
    }
}

fn asks_for_death(step: &Step) -> bool {
    let aborts = step.named.get("how").is_some_and(|how| how == "abort");
    match step.operation {
        Operation::Kill | Operation::Interrupt => true,
        Operation::Exit => aborts,
        _ => false,
    }
}

/// A `drop` for each slot that may still hold an engine; where that is not sure, either answer
/// will do.
fn drops(program: &Program) -> Vec<Step> {
    final_states(program)
        .into_iter()
        .filter(|(_, states)| !States::ABSENT.covers(*states))
        .map(|(slot, states)| {
            let is_sure = States::LIVE.covers(states);
            let either = (!is_sure).then(|| ("expect".to_owned(), "any".to_owned()));
            Step {
                fault: None,
                operation: Operation::Drop,
                slot: Some(slot),
                engine: None,
                positional: Vec::new(),
                named: either.into_iter().collect::<Args>(),
            }
        })
        .collect()
}

/// How often a step is begun in one turn of the body, which itself is begun `outer` times.
fn turns(body: &[Node], wanted: StepIndex, outer: u64) -> Option<u64> {
    body.iter().find_map(|node| match node {
        Node::Step(index) => (*index == wanted).then_some(outer),
        Node::Repeat { count, body } => {
            turns(body, wanted, outer.checked_mul(u64::from(*count))?.max(1))
        }
        Node::Lanes(lanes) => lanes.iter().find_map(|lane| turns(&lane.body, wanted, outer)),
        Node::UntilJoined(_) | Node::Pause { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soaked(text: &str) -> Result<Soaked, NotSoaked> {
        Soaked::new(&Plan::parse(text).unwrap(), 9)
    }

    #[test]
    fn a_cycle_ends_with_all_slots_empty_and_exit_behind() {
        for (text, expected) in [
            (
                "create a = r; load a tiny; unload a; drop a; exit",
                "9x(create a = r; load a tiny; unload a; drop a); exit",
            ),
            (
                "env K=V; create b = r; create a = r; load a tiny",
                "env K=V; 9x(create b = r; create a = r; load a tiny; drop a; drop b)",
            ),
            (
                "create a = r; [load a tiny | drop a expect=any]; exit how=quick code=3",
                "9x(create a = r; [load a tiny | drop a expect=any]; drop a expect=any); \
                 exit code=3 how=quick",
            ),
            ("load a tiny expect=error; exit", "9x load a tiny expect=error; exit"),
            ("2x(create a = r; drop a)", "9x(2x(create a = r; drop a))"),
        ] {
            assert_eq!(soaked(text).map(|soaked| soaked.plan.to_string()), Ok(expected.into()));
        }
    }

    #[test]
    fn what_has_no_cycles_says_why() {
        for (text, why) in [
            ("create a = r; kill", NotSoaked::AsksForDeath),
            ("create a = r; interrupt; exit", NotSoaked::AsksForDeath),
            ("create a = r; exit how=abort", NotSoaked::AsksForDeath),
            ("create a = r; exit; drop a", NotSoaked::ExitWithin),
            ("create a = r; [exit | drop a]", NotSoaked::ExitWithin),
            ("exit; exit", NotSoaked::ExitWithin),
            ("create a = r; @order(1,2); exit", NotSoaked::Schedule),
            ("pause 1ms; exit", NotSoaked::Empty),
            ("", NotSoaked::Empty),
        ] {
            assert_eq!(soaked(text), Err(why), "{text}");
        }
        let longest = format!("create a = r; {}", vec!["generate a"; 999].join("; "));
        assert_eq!(soaked(&longest), Err(NotSoaked::TooLarge));
    }

    #[test]
    fn the_exit_step_moves_behind_the_added_drops() {
        let both = soaked("create a = r; create b = r; exit").unwrap();
        assert_eq!((both.step(1, 3), both.step(2, 3), both.step(3, 3)), (1, 2, 5));
        let none = soaked("create a = r; create b = r").unwrap();
        assert_eq!((none.step(1, 2), none.step(2, 2)), (1, 2));
    }

    #[test]
    fn a_step_tells_its_cycle() {
        let plan = "create a = r; 3x load a m; [2x generate a | until-joined(cancel a)]; exit";
        let soaked = soaked(plan).unwrap();
        let cycles = |step, iterations: [u64; 3]| iterations.map(|it| soaked.cycle_of(step, it));
        assert_eq!(cycles(1, [0, 8, 9]), [Some(1), Some(9), None]);
        assert_eq!(cycles(2, [2, 3, 26]), [Some(1), Some(2), Some(9)]);
        assert_eq!(cycles(3, [1, 2, 17]), [Some(1), Some(2), Some(9)]);
        // A hammer, the added drop, and the exit.
        assert_eq!((soaked.cycle_of(4, 0), soaked.cycle_of(5, 4)), (None, Some(5)));
        assert_eq!(soaked.cycle_of(6, 0), None);
    }
}
