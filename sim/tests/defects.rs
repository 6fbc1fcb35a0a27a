//! Each defect of `DEFECTS.md` turns a seed red, by the invariant that the list names.

use service::defects::{Defect, switch};
use sim::broken::Invariant;
use sim::run::{STEPS, run};

/// Seeds of which one at least must see a defect.
const SEEDS: u64 = 40;

/// The table of `DEFECTS.md`.
fn invariant(defect: Defect) -> Invariant {
    match defect {
        Defect::AckBeforeSync => Invariant::NothingLost,
        Defect::SavepointKept => Invariant::RefusalChangesNothing,
        Defect::StalePrev => Invariant::ChainWhole,
        Defect::IndexNotRebuilt => Invariant::QueryIsScan,
        Defect::LostOutboxRow => Invariant::DeliveriesArrive,
    }
}

/// One test, because a switch is for the whole process.
#[test]
fn each_defect_is_seen() {
    for defect in Defect::ALL {
        switch(Some(defect));
        let mut others = Vec::new();
        let seen = (0..SEEDS).find(|seed| match run(*seed, STEPS, false).result {
            Err(broken) if broken.invariant == invariant(defect) => {
                println!("{}: seed {seed}: {broken}", defect.name());
                true
            }
            Err(broken) => {
                others.push(broken.to_string());
                false
            }
            Ok(_) => false,
        });
        switch(None);
        assert!(seen.is_some(), "{} is not seen by {:?}; else: {others:?}", defect.name(), invariant(defect));
    }
}
