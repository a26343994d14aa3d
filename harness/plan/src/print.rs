//! Plan to text: the canonical form on one line, and the form of a file.
//!
//! Deliberately absent: checks; what the parser cannot have made is printed as it is.

use std::fmt::{self, Display, Formatter, Write};

use crate::cursor::is_bare;
use crate::duration::print_duration_us;
use crate::model::Operation;
use crate::parse::VERSION_WORD;
use crate::plan::{EngineSpec, Item, Plan, Step};

impl Plan {
    /// The plan as a file: the version line, then one item per line.
    #[must_use]
    pub fn to_file_text(&self) -> String {
        let mut text = format!("{VERSION_WORD} 1\n");
        for part in self.parts() {
            text.push_str(&part);
            text.push('\n');
        }
        text
    }

    /// `env` items and items, printed.
    fn parts(&self) -> impl Iterator<Item = String> {
        let env = self.env.iter().map(|(name, value)| format!("env {name}={}", Word::bare(value)));
        env.chain(self.items.iter().map(Item::to_string))
    }
}

/// The canonical form, on one line, without the version line.
impl Display for Plan {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{part}")?;
        }
        Ok(())
    }
}

impl Display for Item {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => step.fmt(formatter),
            Self::Lanes(lanes) => {
                formatter.write_char('[')?;
                for (index, lane) in lanes.iter().enumerate() {
                    formatter.write_str(if index == 0 { "" } else { " | " })?;
                    write_sequence(lane, formatter)?;
                }
                formatter.write_char(']')
            }
            Self::Repeat { count, body } => match body.as_slice() {
                [single @ (Self::Step(_) | Self::Pause { .. })] => {
                    write!(formatter, "{count}x {single}")
                }
                _ => {
                    write!(formatter, "{count}x(")?;
                    write_sequence(body, formatter)?;
                    formatter.write_char(')')
                }
            },
            Self::UntilJoined(body) => {
                formatter.write_str("until-joined(")?;
                write_sequence(body, formatter)?;
                formatter.write_char(')')
            }
            Self::Pause { micros } => write!(formatter, "pause {}", print_duration_us(*micros)),
            Self::Order(lanes) => {
                let lanes: Vec<String> = lanes.iter().map(u16::to_string).collect();
                write!(formatter, "@order({})", lanes.join(","))
            }
        }
    }
}

impl Display for Step {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.fault {
            write!(formatter, "fail({}@{}) ", fault.function, fault.count)?;
        }
        formatter.write_str(self.operation.name())?;
        if let Some(slot) = &self.slot {
            write!(formatter, " {slot}")?;
        }
        match &self.engine {
            Some(engine) if self.operation == Operation::Create => {
                write!(formatter, " = {engine}")?
            }
            Some(engine) => write!(formatter, " engine={engine}")?,
            None => {}
        }
        for value in &self.positional {
            write!(formatter, " {}", Word::bare(value))?;
        }
        for (key, value) in &self.named {
            write!(formatter, " {key}={}", Word::bare(value))?;
        }
        Ok(())
    }
}

impl Display for EngineSpec {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        for (index, (key, value)) in self.args.iter().enumerate() {
            let separator = if index == 0 { ':' } else { ',' };
            write!(formatter, "{separator}{key}={}", Word::without_comma(value))?;
        }
        Ok(())
    }
}

fn write_sequence(items: &[Item], formatter: &mut Formatter<'_>) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        formatter.write_str(if index == 0 { "" } else { "; " })?;
        item.fmt(formatter)?;
    }
    Ok(())
}

/// A value, bare where the grammar allows, else in quotes.
enum Word<'a> {
    Bare(&'a str),
    Quoted(&'a str),
}

impl<'a> Word<'a> {
    fn bare(text: &'a str) -> Self {
        if !text.is_empty() && text.chars().all(is_bare) {
            Self::Bare(text)
        } else {
            Self::Quoted(text)
        }
    }

    /// In an engine's settings a comma separates.
    fn without_comma(text: &'a str) -> Self {
        if text.contains(',') { Self::Quoted(text) } else { Self::bare(text) }
    }
}

impl Display for Word<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(text) => formatter.write_str(text),
            Self::Quoted(text) => {
                formatter.write_char('"')?;
                for character in text.chars() {
                    match character {
                        '\n' => formatter.write_str("\\n")?,
                        '"' | '\\' => write!(formatter, "\\{character}")?,
                        plain => formatter.write_char(plain)?,
                    }
                }
                formatter.write_char('"')
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            ("create a=reference\n\nload a tiny;;", "create a = reference; load a tiny"),
            ("[generate a 16|unload a];exit", "[generate a 16 | unload a]; exit"),
            ("3x(generate a 16)", "3x generate a 16"),
            ("3x (load a tiny;unload a)", "3x(load a tiny; unload a)"),
            ("2x(3x(unload a))", "2x(3x unload a)"),
            ("create a = r:defect=b,z=1,defect=a", "create a = r:defect=b+a,z=1"),
            (r#"load a "tiny""#, "load a tiny"),
            (r#"load a "ti ny""#, r#"load a "ti ny""#),
            (r#"load a "x=\"\\\n""#, r#"load a "x=\"\\\n""#),
            (r#"create a = r:model="a,b""#, r#"create a = r:model="a,b""#),
            ("swap a engine=python:x=1 expect=error", "swap a engine=python:x=1 expect=error"),
            ("env A=1; env B=\"\"; pause 5000us", "env A=1; env B=\"\"; pause 5ms"),
            ("@order( 1, 2,1 )", "@order(1,2,1)"),
            ("fail(malloc@3)  load a tiny z=1 b=2", "fail(malloc@3) load a tiny b=2 z=1"),
            (
                "[load a tiny | until-joined(generate a 4; pause 1s)]",
                "[load a tiny | until-joined(generate a 4; pause 1s)]",
            ),
            ("# c\nhotfire-plan 1 # c\nexit # c", "exit"),
        ] {
            let plan = Plan::parse(text).unwrap_or_else(|error| panic!("{}", error.render(text)));
            assert_eq!(plan.to_string(), canonical);
            assert_eq!(Plan::parse(canonical).unwrap(), plan, "{canonical}");
            assert_eq!(Plan::parse(&plan.to_file_text()).unwrap(), plan);
        }
    }

    #[test]
    fn a_file_has_an_item_per_line() {
        let plan = Plan::parse("env A=1; load a tiny; [unload a | cancel a]").unwrap();
        assert_eq!(
            plan.to_file_text(),
            "hotfire-plan 1\nenv A=1\nload a tiny\n[unload a | cancel a]\n"
        );
    }
}
