//! Events and state in words.

use client::Name;
use protocol::event::Content;
use protocol::ids::hex;
use protocol::manifest::TraitIndex;
use protocol::state::{Bitmask, DELETED, GATE_OPEN, Lifecycle};
use protocol::{Event, Manifest};
use std::io::IsTerminal;

/// The first digits of an id, enough to tell a few apart.
pub fn short(id: &[u8]) -> String {
    hex(&id[..4])
}

/// Characters of content that a line shows on a terminal; in a pipe all of it goes on.
const SHOWN: usize = 120;

/// One line for an event: place, time, type, author, content.
pub fn event_line(event: &Event) -> String {
    let content = match &event.content {
        Content::Present(text) => text.as_str(),
        Content::Deleted(_) => "(deleted)",
    };
    let content = match content.char_indices().nth(SHOWN) {
        Some((end, _)) if std::io::stdout().is_terminal() => format!("{}…", &content[..end]),
        Some(_) | None => content.into(),
    };
    let tags: String = event.tags.iter().map(|tag| format!(" [{}]", tag.join(","))).collect();
    let time = utc(event.position.timestamp);
    let (seq, event_type) = (event.position.seq, &event.event_type);
    format!("{seq:>6}  {time}  {event_type:<12} {}  {}{tags}  id {}", short(&event.from.0), content, event.id)
}

/// What the value of a state name means.
pub fn state_words(manifest: &Manifest, name: &Name, value: Option<[u8; 32]>) -> String {
    match name {
        Name::Identity(_) => roles(manifest, &Bitmask::from_value(value)),
        Name::Event(_) => match value {
            None => "live".into(),
            Some(DELETED) => "deleted".into(),
            Some(update) => format!("updated by {}", hex(&update)),
        },
        Name::Shared(_) | Name::Own(..) => match value {
            None => "empty".into(),
            Some(hash) => format!("set, content hash {}", hex(&hash)),
        },
        Name::Gate(_) => match value {
            Some(GATE_OPEN) => "open".into(),
            Some(_) | None => "closed".into(),
        },
        Name::Lifecycle => match Lifecycle::from_value(value.as_ref()) {
            Some(lifecycle) => lifecycle.as_str().into(),
            None => "unknown".into(),
        },
    }
}

/// A bitmask by the names of the manifest.
pub fn roles(manifest: &Manifest, mask: &Bitmask) -> String {
    let state = manifest.state_name(mask.state()).unwrap_or("undeclared state");
    let held = (0..).zip(&manifest.rbac.traits).filter(|(index, _)| mask.has(TraitIndex(*index)));
    let traits: Vec<&str> = held.map(|(_, declared)| declared.name.as_str()).collect();
    if traits.is_empty() { state.into() } else { format!("{state} with {}", traits.join(", ")) }
}

/// Milliseconds since the epoch as `YYYY-MM-DD hh:mm:ss` in UTC.
pub fn utc(ms: u64) -> String {
    let (days, secs) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Days are counted from 1 March of year 0, in eras of 400 years: leap days come last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let rows = [
            (0, "1970-01-01 00:00:00"),
            (951_782_399_000, "2000-02-28 23:59:59"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (1_706_000_000_000, "2024-01-23 08:53:20"),
            (4_107_542_399_999, "2100-02-28 23:59:59"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
        ];
        for (ms, expected) in rows {
            assert_eq!(utc(ms), expected);
        }
    }
}
