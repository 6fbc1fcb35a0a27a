//! Filters: a page is what going through the whole log event by event gives.

use crate::enclave::rehearse;
use protocol::json::{MAX_DEPTH, parse};
use protocol::{Event, Json};
use service::call::Filter;

/// Bytes as a filter.
pub fn run(bytes: &[u8]) {
    // A Query nests its filter once.
    let Ok(value @ Json::Object(_)) = parse(bytes, MAX_DEPTH - 1) else { return };
    rehearse(|sample| {
        let text = sample.fill(&value.to_jcs());
        let Ok(value) = parse(text.as_bytes(), MAX_DEPTH - 1) else { return };
        let told = sample.node.query(&sample.enclave, None, &text);
        let filter = match Filter::parse(Some(value), &sample.node.facts.limits) {
            Ok(filter) => filter,
            Err(rejection) => {
                told.refused(rejection.code.as_str());
                return;
            }
        };
        let mut wanted: Vec<&Event> = sample.events.iter().filter(|event| filter.takes(event)).collect();
        if filter.reverse {
            wanted.reverse();
        }
        let more = wanted.len() as u64 > filter.limit;
        wanted.truncate(filter.limit as usize);
        let answer = told.expect(200).json();
        let Some(Json::Array(events)) = answer.member("events") else { panic!("no events in {answer:?}") };
        let events: Vec<Event> =
            events.iter().map(|event| Event::from_json(event.clone()).expect("an event as it is served")).collect();
        assert_eq!(events.iter().collect::<Vec<_>>(), wanted);
        let next = answer.member("next").and_then(Json::as_uint);
        assert_eq!(next, wanted.last().filter(|_| more).map(|last| last.position.seq));
    });
}
