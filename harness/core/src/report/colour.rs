//! Colours for terminals, off by default: eight ANSI colours and bold (ECMA-48 SGR).
//!
//! Deliberately absent: finding out whether there is a terminal; the command does.

/// How text is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderContext {
    /// With ANSI colours.
    pub color: bool,
    /// Columns; 80 to 98 are used, whatever is asked for.
    pub width: usize,
}

impl Default for RenderContext {
    fn default() -> Self {
        Self { color: false, width: 98 }
    }
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Doubtful,
    Quiet,
    Strong,
}

impl RenderContext {
    /// The columns that are used.
    pub(crate) fn columns(self) -> usize {
        self.width.clamp(80, 98)
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32;1",
            Tone::Bad => "31;1",
            Tone::Doubtful => "33;1",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
