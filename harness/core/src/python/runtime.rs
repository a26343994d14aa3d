//! Finds the interpreter of a process, its version, and where it keeps what.
//!
//! A process has one where a file that it runs code of exports `_PyRuntime`; nothing depends on how
//! the file is called. Deliberately absent: programs that link the interpreter in and export nothing.

use hotfire_sys::procfs::MapLine;

use super::conventions::Conventions;
use super::debug_offsets::{TOLD_BY_3_14, told};
use super::layout::Layout;
use super::offsets::{PYTHON_3_8, PYTHON_3_9, PYTHON_3_10, PYTHON_3_11, PYTHON_3_12, TOLD_BY_3_13};
use super::source::{Read, Source};
use crate::symbolize::{Exports, Symbolizer};
use crate::unwind::Memory;

/// The interpreter's state, and what else is asked for: the version, and the types of objects.
const RUNTIME: &str = "_PyRuntime";
const OTHERS: &[&str] = &[
    "Py_Version",
    "PyCode_Type",
    "PyUnicode_Type",
    "PyBytes_Type",
    "PyFrame_Type",
    "PyCode_NewWithPosOnlyArgs",
    "PyInterpreterState_Get",
    "PyIter_Send",
];

/// An interpreter in a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Runtime {
    pub(super) address: u64,
    pub(super) version: String,
    pub(super) layout: Layout,
    pub(super) conventions: Conventions,
    pub(super) types: Types,
}

/// Where the types of objects lie, to know the objects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Types {
    pub(super) code: u64,
    pub(super) text: u64,
    pub(super) bytes: u64,
    pub(super) frame: u64,
}

/// The files of a process that are interpreters.
pub(super) fn find(
    symbolizer: &mut Symbolizer,
    maps: &[MapLine],
    memory: &mut dyn Memory,
) -> Vec<Exports> {
    symbolizer.exporting(maps, memory, (RUNTIME, OTHERS))
}

impl Runtime {
    /// Reads the version of what a file exports, and how it is laid out.
    pub(super) fn read(source: &mut Source<'_>, exports: &Exports) -> Read<Self> {
        let address = |name: &str| {
            let address = exports.address(name);
            address.ok_or_else(|| format!("the interpreter does not export {name}"))
        };
        let types = Types {
            code: address("PyCode_Type")?,
            text: address("PyUnicode_Type")?,
            bytes: address("PyBytes_Type")?,
            frame: address("PyFrame_Type")?,
        };
        let runtime = address(RUNTIME)?;
        let (minor, version) = version(source, exports)?;
        let unknown = || format!("Python {version} is not one of the versions that are known");
        let conventions = Conventions::of(minor).ok_or_else(unknown)?;
        let layout = match minor {
            8 => PYTHON_3_8,
            9 => PYTHON_3_9,
            10 => PYTHON_3_10,
            11 => PYTHON_3_11,
            12 => PYTHON_3_12,
            13 => told(source, runtime, &TOLD_BY_3_13)?,
            14 => told(source, runtime, &TOLD_BY_3_14)?,
            _ => return Err(unknown()),
        };
        Ok(Self { address: runtime, version, layout, conventions, types })
    }
}

/// The minor version, and the version as far as it is known. Before 3.11 the interpreter says it
/// nowhere that has a name; what it exports grew from version to version.
fn version(source: &mut Source<'_>, exports: &Exports) -> Read<(u8, String)> {
    if let Some(place) = exports.address("Py_Version") {
        let hex = source.word(place, 0)?;
        let [_, micro, minor, major, rest @ ..] = hex.to_le_bytes();
        if major != 3 || rest != [0; 4] {
            return Err(format!("{hex:#x} is no version of Python 3"));
        }
        return Ok((minor, format!("3.{minor}.{micro}")));
    }
    let has = |name| exports.address(name).is_some();
    let minor = match () {
        () if has("PyIter_Send") => 10,
        () if has("PyInterpreterState_Get") => 9,
        () if has("PyCode_NewWithPosOnlyArgs") => 8,
        () => return Err("Python before 3.8 is not one of the versions that are known".to_owned()),
    };
    Ok((minor, format!("3.{minor}")))
}
