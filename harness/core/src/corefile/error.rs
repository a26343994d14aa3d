//! Why a core file cannot be told of, and what to do then.

/// A core file, or the program given for it, is of no use. Lowercase fragments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// It cannot be opened or read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Another kind of file.
    #[error("it is no core file, but {0}")]
    NotACore(String),
    /// A core that was packed.
    #[error("it is compressed")]
    Compressed {
        /// The tool that unpacks it.
        tool: &'static str,
    },
    /// A core of another architecture.
    #[error("it is a core of {0}; only x86-64 of 64 bits is read")]
    OtherMachine(String),
    /// It ends before what is needed most.
    #[error("it is cut short: {there} of {whole} bytes are there, and not {what}")]
    Truncated {
        /// Bytes of the file.
        there: u64,
        /// Bytes that its headers promise, as far as they can be read.
        whole: u64,
        /// What is missing.
        what: &'static str,
    },
    /// What it says of itself cannot be.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It was taken of a living process.
    #[error("no signal had ended its process: a debugger took it of a living one")]
    NoDeath,
    /// The program given for it.
    #[error("the program {path} is of no use: {reason}")]
    Program {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
}

impl CoreError {
    /// What the user can do next.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Unreadable(_) => "name a regular file that you may read".to_owned(),
            Self::NotACore(_) => "`hotfire exec -- COMMAND` watches a program as it dies; \
                                  /proc/sys/kernel/core_pattern tells where cores go"
                .to_owned(),
            Self::Compressed { tool } => format!("unpack it first: {tool}"),
            Self::OtherMachine(_) => "use the debugger of that machine".to_owned(),
            Self::Truncated { .. } => {
                "`ulimit -c unlimited` lets the whole be written; a copy may have been cut, too"
                    .to_owned()
            }
            Self::Damaged(_) => "copy it again, or let the program die once more".to_owned(),
            Self::NoDeath => "only deaths are diagnosed".to_owned(),
            Self::Program { .. } => {
                "name the program's own file, with its symbols where there is one".to_owned()
            }
        }
    }
}
