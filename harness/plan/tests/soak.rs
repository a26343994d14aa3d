//! Soaked plans: whatever the plan, the soaked one is a plan, has the same steps in each cycle,
//! and asks of each step what the plan asks of it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this file is tests: what is not as it must be ends the test"
)]

mod strategies;

use hotfire_plan::model::{Operation, StepExpectation, expectations};
use hotfire_plan::{Item, Plan, Program, Soaked};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_soaked_plan_is_a_plan_with_the_same_steps_per_cycle(
        plan in strategies::plan(),
        cycles in 1u32..=100_000,
    ) {
        let Ok(soaked) = Soaked::new(&plan, cycles) else { return Ok(()) };
        let text = soaked.plan.to_string();
        let read = Plan::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&soaked.plan), "{}", text);
        prop_assert_eq!(&soaked.plan.env, &plan.env);
        let Some(Item::Repeat { count, body }) = soaked.plan.items.first() else {
            return Err(TestCaseError::fail(format!("no repeat: {text}")));
        };
        prop_assert_eq!(*count, cycles);
        let drops = usize::try_from(soaked.drops).unwrap();
        let (own, added) = body.split_at(body.len() - drops);
        let again = [own, &soaked.plan.items[1..]].concat();
        prop_assert_eq!(again, plan.items);
        let is_drop = |item: &Item| {
            matches!(item, Item::Step(step) if step.operation == Operation::Drop)
        };
        prop_assert!(added.iter().all(is_drop));
    }

    #[test]
    fn what_is_sure_of_a_step_is_not_contradicted_in_a_cycle(plan in strategies::plan()) {
        let Ok(soaked) = Soaked::new(&plan, 3) else { return Ok(()) };
        for (once, cycled) in expectations_of_both(&plan, &soaked) {
            let weaker = cycled == StepExpectation::Either;
            prop_assert!(once == cycled || weaker, "{plan}: {once:?} became {cycled:?}");
        }
    }

    #[test]
    fn a_legal_lifecycle_stays_legal(choices in proptest::collection::vec(any::<u8>(), 1..30)) {
        let plan = legal_lifecycle(&choices);
        let soaked = Soaked::new(&plan, 5).unwrap();
        for expectation in expectations(&Program::from(&soaked.plan)) {
            prop_assert_eq!(expectation, StepExpectation::MustSucceed, "{}", soaked.plan);
        }
    }
}

/// What is expected of each step of the plan, alone and in the cycle.
fn expectations_of_both(plan: &Plan, soaked: &Soaked) -> Vec<(StepExpectation, StepExpectation)> {
    let once = expectations(&Program::from(plan));
    let cycled = expectations(&Program::from(&soaked.plan));
    let steps = once.len();
    let of = |step: usize| cycled[soaked.step(step as u32 + 1, steps) as usize - 1];
    once.iter().enumerate().map(|(step, once)| (*once, of(step))).collect()
}

/// A lifecycle of two slots in which every step is legal.
fn legal_lifecycle(choices: &[u8]) -> Plan {
    let mut text = vec!["create a = r".to_owned()];
    let slot = |choice: u8| if choice & 1 == 0 { "a" } else { "b" };
    for choice in choices {
        let slot = slot(*choice);
        let steps = [
            format!("create {slot} = r"),
            format!("load {slot} tiny"),
            format!("generate {slot} 4"),
            format!("unload {slot}"),
            format!("cleanup {slot}"),
            format!("shutdown {slot}"),
            format!("drop {slot}"),
            format!("swap {slot} engine=r"),
        ];
        let turned = (0..steps.len()).map(|by| &steps[(usize::from(*choice / 2) + by) % 8]);
        let is_legal = |step: &&String| {
            let plan = Plan::parse(&format!("{}; {step}", text.join("; "))).unwrap();
            expectations(&Program::from(&plan)).last() == Some(&StepExpectation::MustSucceed)
        };
        let step = turned.clone().find(is_legal).cloned();
        text.extend(step);
    }
    Plan::parse(&format!("{}; exit", text.join("; "))).unwrap()
}
