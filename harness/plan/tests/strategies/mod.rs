//! Strategies that draw any plan which plan text can express.
//!
//! Deliberately absent: sensible lifecycles; the grammar does not ask for sense.

use std::collections::BTreeMap;

use hotfire_plan::model::{Operation, SlotUse};
use hotfire_plan::{Args, EngineSpec, Fault, Item, Plan, Step};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A plan.
pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let env = btree_map("[A-Z_][A-Z0-9_]{0,4}", value(), 0..3);
    let item = prop_oneof![
        4 => sequential(),
        1 => vec(vec(in_lane(), 1..4), 1..=8).prop_map(Item::Lanes),
        1 => vec(1u16..=8, 1..6).prop_map(Item::Order),
    ];
    (env, vec(item, 0..8)).prop_map(|(env, items)| Plan { env: env.into_iter().collect(), items })
}

/// What may stand outside of lanes, but for lanes in repeats.
fn sequential() -> impl Strategy<Value = Item> {
    let lanes = vec(vec(in_lane(), 1..3), 1..3).prop_map(Item::Lanes);
    let leaf = prop_oneof![8 => leaf(), 1 => lanes];
    leaf.prop_recursive(3, 12, 3, |inner| repeat(inner).boxed())
}

/// What may stand inside a lane.
fn in_lane() -> impl Strategy<Value = Item> {
    leaf().prop_recursive(2, 6, 2, |inner| {
        prop_oneof![repeat(inner.clone()), vec(inner, 1..3).prop_map(Item::UntilJoined)]
    })
}

fn repeat(inner: impl Strategy<Value = Item>) -> impl Strategy<Value = Item> {
    (1u32..=100_000, vec(inner, 1..3)).prop_map(|(count, body)| Item::Repeat { count, body })
}

fn leaf() -> impl Strategy<Value = Item> {
    let pause_us = prop_oneof![0u64..=86_400_000_000, (0u64..5000).prop_map(|ms| ms * 1000)];
    prop_oneof![
        9 => step().prop_map(Item::Step),
        1 => pause_us.prop_map(|micros| Item::Pause { micros }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let operation = select(Operation::ALL.as_slice());
    let parts = (option::of(name()), vec(value(), 0..3), engine(), any::<bool>());
    let named = (btree_map(name(), value(), 0..3), host_args(), value(), option::of(fault()));
    (operation, parts, named).prop_map(
        |(operation, (slot, positional, engine, pick), (own, host, model, fault))| {
            let spec = operation.spec();
            let mut named = host;
            if spec.engine_named {
                let own = own.into_iter().filter(|(key, _)| key != "expect" && key != "on");
                named.extend(own);
            }
            let (slot, positional) = match spec.slot {
                SlotUse::Required => (Some(slot.unwrap_or_else(|| "a".into())), positional),
                SlotUse::Optional => (slot, positional),
                SlotUse::None => (None, positional),
            };
            let required = spec.positional.iter().filter(|argument| argument.required).count();
            let most = if spec.more_positional { usize::MAX } else { spec.positional.len() };
            let mut positional: Vec<String> = positional.into_iter().take(most).collect();
            while positional.len() < required {
                positional.push("tiny".into());
            }
            let mut step = Step { fault, operation, slot, engine: None, positional, named };
            match operation {
                Operation::Create => step.engine = Some(engine),
                Operation::Swap if pick => step.engine = Some(engine),
                Operation::Swap => drop(step.named.insert("model".into(), model)),
                Operation::Await if pick => {
                    step.named.insert("timeout".into(), "5s".into());
                }
                Operation::Exit if pick => {
                    step.named.insert("how".into(), "quick".into());
                    step.named.insert("code".into(), "3".into());
                }
                Operation::Drop if pick => drop(step.named.insert("via".into(), "gc".into())),
                _ => {}
            }
            step
        },
    )
}

fn host_args() -> impl Strategy<Value = Args> {
    (option::weighted(0.2, select(vec!["ok", "error", "any"])), prop::bool::weighted(0.1)).prop_map(
        |(expect, on_loop)| {
            let expect = expect.map(|expect| ("expect".to_owned(), expect.to_owned()));
            let on = on_loop.then(|| ("on".to_owned(), "loop".to_owned()));
            expect.into_iter().chain(on).collect::<BTreeMap<_, _>>()
        },
    )
}

fn engine() -> impl Strategy<Value = EngineSpec> {
    (name(), btree_map(name(), value(), 0..3)).prop_map(|(kind, args)| EngineSpec { kind, args })
}

fn fault() -> impl Strategy<Value = Fault> {
    ("[a-z_][a-z0-9_]{0,6}", 1u32..).prop_map(|(function, count)| Fault { function, count })
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_.-]{0,4}"
}

/// A value: mostly bare words, also whatever a string can hold.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z0-9_./:+,@%~-]{1,8}",
        1 => "[\\PC\n\t\"\\\\#;|\\[\\]() =']{0,8}",
    ]
}
