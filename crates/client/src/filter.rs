//! What a Query asks for, as a client writes it (`docs/protocol.md`, Query).

use protocol::commit::tags_to_json;
use protocol::{CommitHash, Event, EventId, Json, MAX_INTEGER, PublicKey};

/// Events of a page when nothing else is asked for.
pub const PAGE_EVENTS: u64 = 100;

/// Which events are asked for. Members that are empty or none restrict nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these ids.
    pub ids: Vec<EventId>,
    /// Any of these commits.
    pub hashes: Vec<CommitHash>,
    /// Any of these authors.
    pub authors: Vec<PublicKey>,
    /// Any of these types.
    pub types: Vec<String>,
    /// Only places beyond this one.
    pub after_seq: Option<u64>,
    /// Only places before this one.
    pub before_seq: Option<u64>,
    /// Only times from this one on, milliseconds.
    pub since: Option<u64>,
    /// Only times before this one, milliseconds.
    pub until: Option<u64>,
    /// Any of these tags, by their first one or two strings.
    pub tags: Vec<Vec<String>>,
    /// Events of a page, at most 1000.
    pub limit: Option<u64>,
    /// Newest first.
    pub reverse: bool,
}

impl Filter {
    /// Everything that may be read.
    pub fn all() -> Filter {
        Filter::default()
    }

    /// One type.
    pub fn of_type(event_type: &str) -> Filter {
        Filter { types: vec![event_type.into()], ..Filter::default() }
    }

    /// One event.
    pub fn by_id(id: EventId) -> Filter {
        Filter { ids: vec![id], ..Filter::default() }
    }

    /// What became of one commit.
    pub fn by_hash(hash: CommitHash) -> Filter {
        Filter { hashes: vec![hash], ..Filter::default() }
    }

    /// Events beyond a place.
    pub fn after(mut self, seq: u64) -> Filter {
        self.after_seq = Some(seq);
        self
    }

    /// As it is sent.
    pub fn to_json(&self) -> Json {
        let mut members: Vec<(&str, Json)> = Vec::new();
        let mut list = |name, items: Vec<Json>| {
            if !items.is_empty() {
                members.push((name, Json::Array(items)));
            }
        };
        list("id", self.ids.iter().map(|id| Json::from(id.hex())).collect());
        list("hash", self.hashes.iter().map(|hash| Json::from(hash.hex())).collect());
        list("from", self.authors.iter().map(|key| Json::from(key.hex())).collect());
        list("type", self.types.iter().map(|name| Json::from(name.as_str())).collect());
        let seq = [("start_after", self.after_seq), ("end_before", self.before_seq)];
        let timestamp = [("start_at", self.since), ("end_before", self.until)];
        for (name, bounds) in [("seq", seq), ("timestamp", timestamp)] {
            let range: Vec<_> = bounds.into_iter().filter_map(|(bound, at)| Some((bound, Json::from(at?)))).collect();
            if !range.is_empty() {
                members.push((name, Json::object(range)));
            }
        }
        if !self.tags.is_empty() {
            members.push(("tags", tags_to_json(&self.tags)));
        }
        if let Some(limit) = self.limit {
            members.push(("limit", Json::from(limit)));
        }
        if self.reverse {
            members.push(("reverse", Json::Bool(true)));
        }
        Json::object(members)
    }

    /// Whether the filter asks for this event.
    pub fn takes(&self, event: &Event) -> bool {
        fn among<T: PartialEq>(wanted: &[T], value: &T) -> bool {
            wanted.is_empty() || wanted.contains(value)
        }
        let (seq, timestamp) = (event.position.seq, event.position.timestamp);
        among(&self.ids, &event.id)
            && among(&self.hashes, &event.hash)
            && among(&self.authors, &event.from)
            && among(&self.types, &event.event_type)
            && self.after_seq.is_none_or(|bound| seq > bound)
            && seq < self.before_seq.unwrap_or(MAX_INTEGER + 1)
            && timestamp >= self.since.unwrap_or(0)
            && timestamp < self.until.unwrap_or(MAX_INTEGER + 1)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| event.tags.iter().any(|held| held.starts_with(tag))))
    }

    /// Whether nothing but types, places and the page restricts it: what is readable of a type then comes whole.
    pub(crate) fn takes_whole_types(&self) -> bool {
        self.ids.is_empty()
            && self.hashes.is_empty()
            && self.authors.is_empty()
            && self.since.is_none()
            && self.until.is_none()
            && self.tags.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_written_as_the_table_lists_them() {
        let key = PublicKey([7; 32]);
        let cases = [
            (Filter::all(), "{}".to_string()),
            (Filter::of_type("Message").after(4), r#"{"seq":{"start_after":4},"type":["Message"]}"#.into()),
            (
                Filter { authors: vec![key], since: Some(1), until: Some(2), reverse: true, ..Filter::all() },
                format!(r#"{{"from":["{key}"],"reverse":true,"timestamp":{{"end_before":2,"start_at":1}}}}"#),
            ),
            (
                Filter { tags: vec![vec!["r".into()]], limit: Some(5), before_seq: Some(9), ..Filter::all() },
                r#"{"limit":5,"seq":{"end_before":9},"tags":[["r"]]}"#.into(),
            ),
        ];
        for (filter, expected) in cases {
            assert_eq!(filter.to_json().to_jcs(), expected);
        }
    }
}
