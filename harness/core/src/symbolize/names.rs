//! Names out of symbol tables: one pass over the tables for all places that are asked for. What is
//! not asked for is not kept; a table of half a million symbols costs a few milliseconds, and no
//! memory. Tables are untrusted: what they may cost has a limit.
//!
//! Source: System V ABI, chapter 4 (symbol table); GNU gABI extensions (STT_GNU_IFUNC).
//! Deliberately absent: where the tables come from (`modules`), and symbols of PLT entries.

use std::cmp::{Ordering, Reverse};

use hotfire_sys::Deadline;

use crate::unwind::{Memory, Sections, u16_at, u32_at, u64_at};

const SYMBOL_BYTES: usize = 24;
/// Bytes of a table that are read at once.
const CHUNK_BYTES: usize = SYMBOL_BYTES * 4_096;
/// Symbols that are looked at, and places that they cover, of all tables of one pass: a few times
/// what the largest browsers have.
const WORK_MAX: u64 = 16_000_000;
/// The longest name that is read, in bytes.
const NAME_BYTES_MAX: usize = 8_192;
/// Names of one place that are compared.
const ALIASES_MAX: usize = 8;

/// `sh_type` of symbol tables, and of sections whose bytes are not in the file.
const SYMTAB: u32 = 2;
const DYNSYM: u32 = 11;
const NOBITS: u32 = 8;
const EXECUTABLE: u64 = 4;
/// `st_info`: kinds of symbols, and how they are bound.
const NOTYPE: u8 = 0;
const FUNCTION: u8 = 2;
const INDIRECT_FUNCTION: u8 = 10;
const GLOBAL: u8 = 1;
const WEAK: u8 = 2;

/// A symbol table of a file and its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Table {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    strings: u64,
    strings_bytes: u64,
    /// Whether it names all functions, not only those that other files may use.
    pub(super) is_whole: bool,
    /// By number: the addresses of sections with code.
    code: Vec<Option<(u64, u64)>>,
}

impl Table {
    /// The tables of a file. A whole one repeats what the other says.
    pub(super) fn of(sections: &Sections) -> Vec<Self> {
        let table = |kind| sections.iter().find(|section| section.kind == kind);
        let found = [table(SYMTAB), table(DYNSYM)].into_iter().flatten();
        let code: Vec<_> = sections
            .iter()
            .map(|section| {
                let end = section.address.saturating_add(section.bytes);
                (section.flags & EXECUTABLE != 0).then_some((section.address, end))
            })
            .collect();
        found
            .filter_map(|section| {
                let strings = sections.get(usize::try_from(section.link).ok()?)?;
                if strings.kind == NOBITS {
                    return None;
                }
                Some(Self {
                    offset: section.offset,
                    bytes: section.bytes,
                    strings: strings.offset,
                    strings_bytes: strings.bytes,
                    is_whole: section.kind == SYMTAB,
                    code: code.clone(),
                })
            })
            .collect()
    }
}

/// A place whose name is asked for. Addresses are as linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) address: u64,
    /// Where its function begins, as its unwind information tells it.
    pub(super) function_start: Option<u64>,
}

/// A symbol that may name a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    start: u64,
    /// Functions before labels, then global, weak and local names.
    rank: u8,
    /// Where its name stands: the file, its place, and where the names end.
    file: usize,
    name: u64,
    names_end: u64,
}

impl Candidate {
    /// The greatest is the best.
    fn order(&self) -> (u64, Reverse<u8>) {
        (self.start, Reverse(self.rank))
    }
}

/// One pass over all tables.
#[derive(Debug)]
pub(super) struct Search<'a> {
    /// In order.
    places: &'a [Place],
    /// Of each place: the symbols that cover it and begin last.
    covering: Vec<Vec<Candidate>>,
    /// Of each place: the last symbol that begins before it and behind the place before, and how
    /// far it reaches where it has no length of its own.
    before: Vec<Option<(Candidate, u64)>>,
    work: u64,
    deadline: Deadline,
}

impl<'a> Search<'a> {
    /// For places in order, until the deadline.
    pub(super) fn new(places: &'a [Place], deadline: Deadline) -> Self {
        let (covering, before) = (vec![Vec::new(); places.len()], vec![None; places.len()]);
        Self { places, covering, before, work: 0, deadline }
    }

    /// Looks through a table. `file` is what [`Search::finish`] reads the names from. False where
    /// a limit was met.
    pub(super) fn table(&mut self, source: &mut dyn Memory, table: &Table, file: usize) -> bool {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut done = 0;
        while done < table.bytes {
            let left = usize::try_from(table.bytes - done).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let Some(part) = chunk.get_mut(..left) else { return true };
            let Some(place) = table.offset.checked_add(done) else { return true };
            let read = source.read(place, part);
            let Some(part) = part.get(..read) else { return true };
            for symbol in part.chunks_exact(SYMBOL_BYTES) {
                self.symbol(symbol, table, file);
            }
            self.work += (read / SYMBOL_BYTES) as u64;
            if self.work > WORK_MAX || self.deadline.has_passed() {
                return false;
            }
            if read < left {
                return true;
            }
            done += read as u64;
        }
        true
    }

    fn symbol(&mut self, symbol: &[u8], table: &Table, file: usize) -> Option<()> {
        let (info, section) = (*symbol.get(4)?, usize::from(u16_at(symbol, 6)?));
        let (start, bytes) = (u64_at(symbol, 8)?, u64_at(symbol, 16)?);
        let kind = info & 0xf;
        if !matches!(kind, NOTYPE | FUNCTION | INDIRECT_FUNCTION) || section == 0 || start == 0 {
            return None;
        }
        let first = self.places.partition_point(|place| place.address < start);
        let slot = self.before.get_mut(first)?;
        let code = table.code.get(section).copied().flatten();
        if kind == NOTYPE && code.is_none() {
            return None;
        }
        let bound = match info >> 4 {
            GLOBAL => 0,
            WEAK => 1,
            _ => 2,
        };
        let names_end = table.strings.checked_add(table.strings_bytes)?;
        let name = table.strings.checked_add(u64::from(u32_at(symbol, 0)?))?;
        let rank = bound + if kind == NOTYPE { 3 } else { 0 };
        let candidate = Candidate { start, rank, file, name, names_end };
        // One that ends before the place still ends what a label before it names.
        let label_end = if bytes > 0 { 0 } else { code.map_or(u64::MAX, |(_, end)| end) };
        let later = |(known, _): &(Candidate, u64)| candidate.order() > known.order();
        if slot.as_ref().is_none_or(later) {
            *slot = Some((candidate, label_end));
        }
        self.cover(first, candidate, start.saturating_add(bytes));
        Some(())
    }

    /// Notes a function for the places before its end, of which `first` is the first.
    fn cover(&mut self, first: usize, candidate: Candidate, end: u64) {
        let places = self.places.iter().zip(&mut self.covering).skip(first);
        for (_, known) in places.take_while(|(place, _)| place.address < end) {
            self.work += 1;
            if self.work > WORK_MAX {
                return;
            }
            match known.first().map(|known| candidate.order().cmp(&known.order())) {
                None | Some(Ordering::Greater) => *known = vec![candidate],
                Some(Ordering::Equal) if known.len() < ALIASES_MAX => known.push(candidate),
                Some(_) => {}
            }
        }
    }

    /// The names, mangled, in the places' order; `read` reads from the files of the tables.
    pub(super) fn finish(
        self,
        read: &mut dyn FnMut(usize, u64, &mut [u8]) -> usize,
    ) -> Vec<Option<String>> {
        let mut before: Option<(Candidate, u64)> = None;
        let mut names = Vec::new();
        for ((place, covering), own) in self.places.iter().zip(self.covering).zip(self.before) {
            before = own.or(before);
            let is_its = |(label, end): &(Candidate, u64)| {
                place.address < *end
                    && place.function_start.is_none_or(|start| start <= label.start)
            };
            let unsized_one = before.filter(is_its).map(|(label, _)| label);
            let candidates =
                if covering.is_empty() { unsized_one.into_iter().collect() } else { covering };
            let mut aliases: Vec<String> =
                candidates.iter().filter_map(|candidate| name(candidate, read)).collect();
            // What people call it: `raise`, not `__libc_raise`.
            aliases.sort_by_key(|name| {
                let underscores = name.len() - name.trim_start_matches('_').len();
                (
                    if name.starts_with("_Z") || name.starts_with("_R") { 0 } else { underscores },
                    name.len(),
                    name.clone(),
                )
            });
            names.push(aliases.into_iter().next());
        }
        names
    }
}

fn name(
    candidate: &Candidate,
    read: &mut dyn FnMut(usize, u64, &mut [u8]) -> usize,
) -> Option<String> {
    let left = usize::try_from(candidate.names_end.checked_sub(candidate.name)?).ok()?;
    // Most names are short.
    for limit in [256, NAME_BYTES_MAX] {
        let mut bytes = vec![0; left.min(limit)];
        let length = read(candidate.file, candidate.name, &mut bytes);
        bytes.truncate(length);
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
            return (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned());
        }
        if length < limit || limit == NAME_BYTES_MAX {
            // Without an end within its table, or longer than any: what there is of it.
            return (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    None
}
