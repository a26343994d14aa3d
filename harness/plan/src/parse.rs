//! Text to plan: the sequence, lanes, repeats and the like of docs/plan-text.md.
//!
//! Deliberately absent: steps and engine specifications (`parse_step.rs`); numbering of steps.

use std::ops::Range;

use crate::cursor::{Cursor, is_bare, is_identifier};
use crate::duration::parse_duration_us;
use crate::error::{PlanError, PlanProblem};
use crate::parse_step;
use crate::plan::{Fault, Item, Plan};

/// The longest plan text, in bytes; also of the canonical form.
pub const PLAN_BYTES_MAX: usize = 32 * 1024;
/// The most steps of a plan, as written.
pub const STEPS_MAX: usize = 1000;
/// The most lanes of a block.
pub const LANES_MAX: usize = 8;
/// The most turns of one repeat.
pub const REPEAT_MAX: u32 = 100_000;
/// The deepest nesting of brackets.
pub const DEPTH_MAX: usize = 16;

/// The word of the version line.
pub(crate) const VERSION_WORD: &str = "hotfire-plan";
/// What the version line adds to the canonical form, at most.
const VERSION_BYTES: usize = 32;

impl Plan {
    /// Reads plan text: DESIGN's grammar, in full in docs/plan-text.md.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and the fix.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let too_long = PlanError::new(
            PlanProblem::Limit { what: "a plan too long, in bytes", limit: PLAN_BYTES_MAX },
            PLAN_BYTES_MAX..text.len(),
        );
        if text.len() > PLAN_BYTES_MAX {
            return Err(too_long);
        }
        let plan = Parser::new(text).plan()?;
        // A reproducer is printed, so what cannot be read back when printed is refused here.
        if plan.to_string().len() + VERSION_BYTES > PLAN_BYTES_MAX {
            return Err(PlanError { span: 0..text.len(), ..too_long });
        }
        Ok(plan)
    }
}

impl std::str::FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        Self::parse(text)
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    steps: usize,
    depth: usize,
    in_lane: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { cursor: Cursor::new(text), steps: 0, depth: 0, in_lane: false }
    }

    fn plan(&mut self) -> Result<Plan, PlanError> {
        self.version()?;
        let env = self.env()?;
        let items = self.sequence()?;
        if self.cursor.peek().is_some() {
            return Err(self.cursor.unexpected("a step", "remove it, or open it before"));
        }
        Ok(Plan { env, items })
    }

    fn version(&mut self) -> Result<(), PlanError> {
        self.cursor.skip_separators();
        if !self.try_word(VERSION_WORD) {
            return Ok(());
        }
        self.cursor.skip_blanks();
        let (version, span) = self.cursor.word();
        if version != "1" {
            return Err(PlanError::new(PlanProblem::Version(version.to_owned()), span));
        }
        self.item_end()
    }

    fn env(&mut self) -> Result<Vec<(String, String)>, PlanError> {
        const HELP: &str = "write `env NAME=value`, with the value in quotes where it has blanks";
        let mut env: Vec<(String, String)> = Vec::new();
        loop {
            self.cursor.skip_separators();
            if !self.try_word("env") {
                return Ok(env);
            }
            self.cursor.skip_blanks();
            let before = self.cursor.clone();
            let (name, span) = self.cursor.word();
            if !is_identifier(name) {
                return Err(before.unexpected("a variable's name", HELP));
            }
            if !self.cursor.eat('=') {
                return Err(self.cursor.unexpected("`=`", HELP));
            }
            if env.iter().any(|(known, _)| known == name) {
                return Err(PlanError::new(PlanProblem::Twice(name.to_owned()), span));
            }
            let (value, _) = self.cursor.value(is_bare)?;
            env.push((name.to_owned(), value));
            self.item_end()?;
        }
    }

    /// Items up to the text's end or a closing character, which is left for the caller.
    fn sequence(&mut self) -> Result<Vec<Item>, PlanError> {
        let mut items = Vec::new();
        loop {
            self.cursor.skip_separators();
            if self.cursor.is_item_end() {
                return Ok(items);
            }
            items.push(self.item()?);
            self.item_end()?;
        }
    }

    fn item(&mut self) -> Result<Item, PlanError> {
        let start = self.cursor.clone();
        match self.cursor.peek() {
            Some('[') => return self.lanes(),
            Some('@') => return self.order(),
            Some('0'..='9') => return self.repeat(),
            _ => {}
        }
        let (word, span) = self.cursor.word();
        match word {
            "until-joined" => self.until_joined(span),
            "pause" => self.pause(),
            "env" => Err(misplaced(
                "`env` after a step",
                "put all `env` items before the first step; they hold for the whole child",
                span,
            )),
            VERSION_WORD => Err(misplaced(
                "the version line after something else",
                "make it the first line, or leave it out",
                span,
            )),
            "fail" => {
                let fault = self.fault()?;
                self.step(Some(fault))
            }
            _ => {
                self.cursor = start;
                self.step(None)
            }
        }
    }

    fn step(&mut self, fault: Option<Fault>) -> Result<Item, PlanError> {
        self.cursor.skip_blanks();
        let start = self.cursor.at();
        let step = parse_step::step(&mut self.cursor, fault)?;
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(limit("too many steps", STEPS_MAX, start..self.cursor.at()));
        }
        Ok(Item::Step(step))
    }

    fn lanes(&mut self) -> Result<Item, PlanError> {
        let open = self.cursor.at()..self.cursor.at() + 1;
        if self.in_lane {
            return Err(misplaced(
                "lanes inside a lane",
                "put all lanes into one block: `[x | y | z]`",
                open,
            ));
        }
        self.open('[')?;
        self.in_lane = true;
        let mut lanes = Vec::new();
        loop {
            let start = self.cursor.at();
            let lane = self.sequence()?;
            let span = start..self.cursor.at();
            if self.cursor.peek().is_none() {
                return Err(PlanError::new(PlanProblem::Unclosed('['), open));
            }
            if lane.is_empty() {
                return Err(PlanError::new(PlanProblem::Empty("lane"), span));
            }
            if lanes.len() == LANES_MAX {
                return Err(limit("too many lanes", LANES_MAX, span));
            }
            lanes.push(lane);
            if self.cursor.eat('|') {
                continue;
            }
            if !self.cursor.eat(']') {
                return Err(self.cursor.unexpected("`|` or `]`", "lanes end with `]`"));
            }
            self.in_lane = false;
            self.depth -= 1;
            return Ok(Item::Lanes(lanes));
        }
    }

    fn repeat(&mut self) -> Result<Item, PlanError> {
        const HELP: &str = "a repeat is `3x step` or `3x(step; step)`";
        let before = self.cursor.clone();
        let (word, span) = self.cursor.word();
        let Some(digits) = word.strip_suffix('x').filter(|digits| is_number(digits)) else {
            return Err(before.unexpected("a step or a repeat like `3x`", HELP));
        };
        let count = digits.parse().ok().filter(|count| (1..=REPEAT_MAX).contains(count));
        let Some(count) = count else {
            let found = format!("`{digits}`");
            let wanted = "a number of turns from 1 to 100000";
            return Err(PlanError::new(
                PlanProblem::Unexpected { found, wanted, help: HELP },
                span,
            ));
        };
        self.cursor.skip_blanks();
        let body = match self.cursor.peek() {
            Some('(') => self.body("repeat")?,
            Some('[' | '@' | '0'..='9') => {
                return Err(self.cursor.unexpected("`(` or a step", HELP));
            }
            _ if self.cursor.is_item_end() => {
                return Err(self.cursor.unexpected("`(` or a step", HELP));
            }
            _ => vec![self.item()?],
        };
        Ok(Item::Repeat { count, body })
    }

    fn until_joined(&mut self, span: Range<usize>) -> Result<Item, PlanError> {
        if !self.in_lane {
            return Err(misplaced(
                "`until-joined` outside of lanes",
                "write `[load a tiny | until-joined(generate a 16)]`",
                span,
            ));
        }
        self.cursor.skip_blanks();
        if self.cursor.peek() != Some('(') {
            return Err(self.cursor.unexpected("`(`", "write `until-joined(generate a 16)`"));
        }
        Ok(Item::UntilJoined(self.body("until-joined")?))
    }

    /// `( sequence )`, not empty.
    fn body(&mut self, what: &'static str) -> Result<Vec<Item>, PlanError> {
        let open = self.cursor.at()..self.cursor.at() + 1;
        self.open('(')?;
        let body = self.sequence()?;
        if self.cursor.peek().is_none() {
            return Err(PlanError::new(PlanProblem::Unclosed('('), open));
        }
        if !self.cursor.eat(')') {
            return Err(self.cursor.unexpected("`)`", "close the `(` first"));
        }
        if body.is_empty() {
            return Err(PlanError::new(PlanProblem::Empty(what), open.start..self.cursor.at()));
        }
        self.depth -= 1;
        Ok(body)
    }

    fn pause(&mut self) -> Result<Item, PlanError> {
        self.cursor.skip_blanks();
        let before = self.cursor.clone();
        let (word, _) = self.cursor.word();
        let Some(micros) = parse_duration_us(word) else {
            return Err(before.unexpected(
                "a time with its unit, at most a day",
                "write `pause 5ms`; units are us, ms and s",
            ));
        };
        Ok(Item::Pause { micros })
    }

    fn order(&mut self) -> Result<Item, PlanError> {
        const HELP: &str = "write `@order(1,2,1)`: numbers of lanes, from 1";
        let start = self.cursor.clone();
        let (word, span) = self.cursor.word();
        if word != "@order" || !self.cursor.eat('(') {
            return Err(start.unexpected("`@order(`", HELP));
        }
        if self.depth > 0 {
            return Err(misplaced(
                "`@order` inside brackets",
                "put it before the lanes that it orders",
                span,
            ));
        }
        let before = self.cursor.clone();
        let (list, _) = self.cursor.run(|character| character != ')' && character != '\n');
        let order: Option<Vec<u16>> =
            list.split(',').map(|lane| lane.trim_matches([' ', '\t']).parse().ok()).collect();
        let in_range = |lane: &u16| (1..=LANES_MAX).contains(&usize::from(*lane));
        match order.filter(|order| order.iter().all(in_range)) {
            Some(order) if self.cursor.eat(')') => Ok(Item::Order(order)),
            _ => Err(before.unexpected("numbers of lanes and `)`", HELP)),
        }
    }

    fn fault(&mut self) -> Result<Fault, PlanError> {
        const HELP: &str = "write `fail(malloc@3) load a tiny`: a C function and which call of it";
        if !self.cursor.eat('(') {
            return Err(self.cursor.unexpected("`(`", HELP));
        }
        let before = self.cursor.clone();
        let (word, _) = self.cursor.word();
        let fault = word.split_once('@').and_then(|(function, count)| {
            let count =
                count.parse().ok().filter(|count| *count >= 1 && is_identifier(function))?;
            Some(Fault { function: function.to_owned(), count })
        });
        match fault {
            Some(fault) if self.cursor.eat(')') => Ok(fault),
            _ => Err(before.unexpected("a function, `@`, a number from 1, and `)`", HELP)),
        }
    }

    fn open(&mut self, bracket: char) -> Result<(), PlanError> {
        let span = self.cursor.at()..self.cursor.at() + 1;
        self.cursor.eat(bracket);
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(limit("brackets nested too deep", DEPTH_MAX, span));
        }
        Ok(())
    }

    fn item_end(&mut self) -> Result<(), PlanError> {
        self.cursor.skip_blanks();
        if self.cursor.is_item_end() {
            return Ok(());
        }
        Err(self.cursor.unexpected(
            "`;` or a new line",
            "items are separated by `;`; text with other characters stands in double quotes",
        ))
    }

    /// Eats the word if it stands here whole.
    fn try_word(&mut self, wanted: &str) -> bool {
        let before = self.cursor.clone();
        let found = self.cursor.word().0 == wanted;
        if !found {
            self.cursor = before;
        }
        found
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn misplaced(what: &'static str, help: &'static str, span: Range<usize>) -> PlanError {
    PlanError::new(PlanProblem::Misplaced { what, help }, span)
}

fn limit(what: &'static str, limit: usize, span: Range<usize>) -> PlanError {
    PlanError::new(PlanProblem::Limit { what, limit }, span)
}
