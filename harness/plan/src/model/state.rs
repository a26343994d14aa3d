//! The states of a slot, and sets of them: what a slot may be in where lanes or repeats leave
//! more than one possibility.
//!
//! Deliberately absent: which operation leads where (see `table.rs`).

/// What a slot is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotState {
    /// No engine.
    Absent,
    /// An engine without a model.
    Created,
    /// An engine with a model.
    Loaded,
    /// After `cleanup`.
    Released,
    /// After `shutdown`.
    Stopped,
}

impl SlotState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Absent, Self::Created, Self::Loaded, Self::Released, Self::Stopped];

    /// The word used in documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Created => "created",
            Self::Loaded => "loaded",
            Self::Released => "released",
            Self::Stopped => "stopped",
        }
    }
}

/// A set of slot states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct States(u8);

impl States {
    /// No state.
    pub const NONE: Self = Self(0);
    /// Only [`SlotState::Absent`].
    pub const ABSENT: Self = Self::of(&[SlotState::Absent]);
    /// Every state with an engine.
    pub const LIVE: Self =
        Self::of(&[SlotState::Created, SlotState::Loaded, SlotState::Released, SlotState::Stopped]);
    /// Every state.
    pub const ANY: Self = Self(Self::ABSENT.0 | Self::LIVE.0);

    /// The set of these states.
    #[must_use]
    pub const fn of(states: &[SlotState]) -> Self {
        let mut bits = 0;
        let mut rest = states;
        while let [first, tail @ ..] = rest {
            bits |= 1 << (*first as u8);
            rest = tail;
        }
        Self(bits)
    }

    /// Whether the set has no state.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every state of `other` is in this set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// States in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// States in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// States in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The states, in the order of a life.
    pub fn iter(self) -> impl Iterator<Item = SlotState> {
        SlotState::ALL.into_iter().filter(move |state| self.covers(Self::of(&[*state])))
    }
}
