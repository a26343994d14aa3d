//! Text to step, and to engine specification, checked against the table of operations.
//!
//! Deliberately absent: what stands around steps (`parse.rs`); whether a step is legal when it
//! comes, since illegal steps are allowed on purpose.

use std::ops::Range;

use crate::cursor::{Cursor, is_bare, is_name};
use crate::duration::parse_duration_us;
use crate::error::{PlanError, PlanProblem};
use crate::model::{NamedArgument, Operation, OperationSpec, SlotUse, Values};
use crate::plan::{Args, EngineSpec, Fault, Step};
use crate::suggest::nearest;

/// Words that begin an item and are no operations; candidates for typos.
const OTHER_ITEMS: [&str; 4] = ["until-joined", "pause", "env", "fail"];

impl EngineSpec {
    /// Reads `kind[:key=value,…]`, as after `--engine`.
    ///
    /// # Errors
    /// What is wrong, with its place and the fix.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let mut cursor = Cursor::new(text);
        let engine = engine_spec(&mut cursor)?;
        if cursor.peek().is_some() {
            return Err(cursor.unexpected("`,` or the end", "write `kind:key=value,key=value`"));
        }
        Ok(engine)
    }
}

impl std::str::FromStr for EngineSpec {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        Self::parse(text)
    }
}

/// A step, whose operation must stand here.
pub(crate) fn step(cursor: &mut Cursor<'_>, fault: Option<Fault>) -> Result<Step, PlanError> {
    let operation = operation(cursor)?;
    let spec = operation.spec();
    let name_end = cursor.at();
    let slot = slot(cursor, spec)?;
    let engine = if operation == Operation::Create { Some(created(cursor)?) } else { None };
    let mut step =
        Step { fault, operation, slot, engine, positional: Vec::new(), named: Args::new() };
    loop {
        let had_blank = skip_blanks(cursor);
        if cursor.is_item_end() {
            break;
        }
        if !had_blank {
            return Err(cursor.unexpected(
                "a blank or `;`",
                "arguments are separated by blanks; text with other characters stands in quotes",
            ));
        }
        argument(cursor, spec, &mut step)?;
    }
    check_complete(&step, name_end - operation.name().len()..name_end)?;
    Ok(step)
}

fn operation(cursor: &mut Cursor<'_>) -> Result<Operation, PlanError> {
    let (word, span) = cursor.word();
    if word.is_empty() {
        return Err(cursor.unexpected("a step", "a step is like `load a tiny`"));
    }
    Operation::parse(word).ok_or_else(|| {
        let names = Operation::ALL.into_iter().map(Operation::name).chain(OTHER_ITEMS);
        let near = nearest(word, names);
        PlanError::new(PlanProblem::UnknownOperation { word: word.to_owned(), near }, span)
    })
}

fn slot(cursor: &mut Cursor<'_>, spec: &OperationSpec) -> Result<Option<String>, PlanError> {
    if spec.slot == SlotUse::None {
        return Ok(None);
    }
    let mut ahead = cursor.clone();
    ahead.skip_blanks();
    let (word, span) = ahead.word();
    let is_argument = spec.operation != Operation::Create && ahead.peek() == Some('=');
    if is_name(word) && !is_argument {
        *cursor = ahead;
        return Ok(Some(word.to_owned()));
    }
    if spec.slot == SlotUse::Optional {
        return Ok(None);
    }
    let problem = PlanProblem::Missing {
        operation: spec.operation,
        what: "a slot: a name that begins with a letter, like `a`",
    };
    Err(PlanError::new(problem, span))
}

fn created(cursor: &mut Cursor<'_>) -> Result<EngineSpec, PlanError> {
    cursor.skip_blanks();
    let here = cursor.at();
    if !cursor.eat('=') {
        let problem =
            PlanProblem::Missing { operation: Operation::Create, what: "`=` and an engine" };
        return Err(PlanError::new(problem, here..here));
    }
    cursor.skip_blanks();
    engine_spec(cursor)
}

/// `kind[:key=value,…]`, without blanks outside of quotes.
fn engine_spec(cursor: &mut Cursor<'_>) -> Result<EngineSpec, PlanError> {
    const HELP: &str = "an engine is like `reference` or `reference:defect=cleanup-order`";
    let before = cursor.clone();
    let (kind, _) = cursor.run(|character| is_bare(character) && !":,".contains(character));
    if !is_name(kind) {
        return Err(before.unexpected("an engine's name", HELP));
    }
    let mut args = Args::new();
    if cursor.eat(':') {
        loop {
            let before = cursor.clone();
            let (key, _) = cursor.word();
            if !is_name(key) {
                return Err(before.unexpected("a setting", HELP));
            }
            if !cursor.eat('=') {
                return Err(cursor.unexpected("`=`", HELP));
            }
            let (value, _) = cursor.value(|character| is_bare(character) && character != ',')?;
            args.entry(key.to_owned())
                .and_modify(|known: &mut String| {
                    known.push('+');
                    known.push_str(&value);
                })
                .or_insert(value);
            if !cursor.eat(',') {
                break;
            }
        }
    }
    Ok(EngineSpec { kind: kind.to_owned(), args })
}

/// One argument, which must stand here.
fn argument(
    cursor: &mut Cursor<'_>,
    spec: &OperationSpec,
    step: &mut Step,
) -> Result<(), PlanError> {
    let mut ahead = cursor.clone();
    let (key, key_span) = ahead.word();
    if is_name(key) && ahead.eat('=') {
        *cursor = ahead;
        return named(cursor, spec, (key, key_span), step);
    }
    let (value, span) = if cursor.peek() == Some('"') || !key.is_empty() {
        cursor.value(is_bare)?
    } else {
        return Err(cursor.unexpected(
            "an argument",
            "text with characters outside of A-Z a-z 0-9 _ - . / : + , @ % ~ stands in quotes",
        ));
    };
    if step.positional.len() >= spec.positional.len() && !spec.more_positional {
        let problem = PlanProblem::Surplus { operation: spec.operation, word: value };
        return Err(PlanError::new(problem, span));
    }
    step.positional.push(value);
    Ok(())
}

/// The value of a named argument, which must stand here, checked.
fn named(
    cursor: &mut Cursor<'_>,
    spec: &OperationSpec,
    (key, key_span): (&str, Range<usize>),
    step: &mut Step,
) -> Result<(), PlanError> {
    let known = spec.argument(key);
    if known.is_none() && !spec.engine_named {
        let near = nearest(key, spec.known_arguments());
        let problem =
            PlanProblem::UnknownArgument { operation: spec.operation, key: key.to_owned(), near };
        return Err(PlanError::new(problem, key_span));
    }
    let is_twice = step.named.contains_key(key)
        || (step.engine.is_some() && known.is_some_and(|known| known.values == Values::Engine));
    if is_twice {
        return Err(PlanError::new(PlanProblem::Twice(format!("{key}=")), key_span));
    }
    if known.is_some_and(|known| known.values == Values::Engine) {
        step.engine = Some(engine_spec(cursor)?);
        return Ok(());
    }
    let (value, span) = cursor.value(is_bare)?;
    if let Some(wanted) = known.and_then(|known| refusal(known, &value)) {
        let problem = PlanProblem::BadValue { key: key.to_owned(), value, wanted };
        return Err(PlanError::new(problem, span));
    }
    step.named.insert(key.to_owned(), value);
    Ok(())
}

/// What the argument can be, if it cannot be this value.
fn refusal(argument: &NamedArgument, value: &str) -> Option<String> {
    match argument.values {
        Values::Text | Values::Engine => None,
        Values::Duration if parse_duration_us(value).is_some() => None,
        Values::Duration => {
            Some("a time with its unit, like 500ms or 5s, at most a day".to_owned())
        }
        Values::ExitCode if value.parse::<u8>().is_ok() => None,
        Values::ExitCode => Some("a whole number from 0 to 255".to_owned()),
        Values::OneOf(words) if words.contains(&value) => None,
        Values::OneOf(words) => Some(words.join(", ")),
    }
}

fn check_complete(step: &Step, span: Range<usize>) -> Result<(), PlanError> {
    let operation = step.operation;
    let missing =
        |what| Err(PlanError::new(PlanProblem::Missing { operation, what }, span.clone()));
    let next = operation.spec().positional.get(step.positional.len());
    if let Some(argument) = next.filter(|argument| argument.required) {
        return missing(argument.wanted);
    }
    let is_swap = operation == Operation::Swap;
    if is_swap && step.engine.is_some() == step.named.contains_key("model") {
        return missing("either `engine=` or `model=`");
    }
    Ok(())
}

/// Skips blanks; whether there were any.
fn skip_blanks(cursor: &mut Cursor<'_>) -> bool {
    let before = cursor.at();
    cursor.skip_blanks();
    cursor.at() > before
}
