//! How a judgement ends when it does not end well.

use protocol::{Code, Rejection};

/// How far a rule got, in the order of steps 7 and 8: of several rules that refuse, the furthest one answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// No permission.
    Unauthorized,
    /// No such alias, slot key or event.
    NotFound,
    /// The rank does not reach.
    RankTooLow,
    /// The State, the scope, or what is held does not fit.
    BadState,
    /// The gate is closed.
    GateClosed,
}

impl Refusal {
    fn code(self) -> Code {
        match self {
            Refusal::Unauthorized => Code::Unauthorized,
            Refusal::NotFound => Code::NotFound,
            Refusal::RankTooLow => Code::RankTooLow,
            Refusal::BadState => Code::BadState,
            Refusal::GateClosed => Code::GateClosed,
        }
    }
}

/// Either the rules refuse or the view could not be read.
pub(crate) enum Fault<E> {
    /// The rules refuse.
    Refused(Rejection),
    /// The view could not be read.
    View(E),
}

impl<E> Fault<E> {
    /// Puts another refusal in the place of this one; a fault of the view stays.
    pub(crate) fn map_refusal(self, change: impl FnOnce(Rejection) -> Rejection) -> Fault<E> {
        match self {
            Fault::Refused(rejection) => Fault::Refused(change(rejection)),
            Fault::View(error) => Fault::View(error),
        }
    }
}

impl<E> From<Rejection> for Fault<E> {
    fn from(rejection: Rejection) -> Self {
        Fault::Refused(rejection)
    }
}

impl<E> From<Code> for Fault<E> {
    fn from(code: Code) -> Self {
        Fault::Refused(code.into())
    }
}

impl<E> From<Refusal> for Fault<E> {
    fn from(refusal: Refusal) -> Self {
        refusal.code().into()
    }
}

/// Tells the two apart again, for callers.
pub(crate) fn split<T, E>(outcome: Result<T, Fault<E>>) -> Result<Result<T, Rejection>, E> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Refused(rejection)) => Ok(Err(rejection)),
        Err(Fault::View(error)) => Err(error),
    }
}
