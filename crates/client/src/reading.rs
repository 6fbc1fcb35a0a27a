//! Reading events: each is verified, and so is that none is missing where that can be seen.

use crate::asking::Route;
use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::filter::Filter;
use crate::thread::{Thread, Whole};
use protocol::event::Content;
use protocol::fields::Fields;
use protocol::json::{self, MAX_DEPTH};
use protocol::{Event, EventHash, EventId, Json};

/// A page of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The events, in the order asked for.
    pub events: Vec<Event>,
    /// The last `seq`, when more remain that may be read.
    pub next: Option<u64>,
}

/// Pages one after the other, until there are no more. See [`Enclave::pages`].
pub struct Pages<'a> {
    enclave: &'a Enclave,
    filter: Filter,
    thread: Thread,
    done: bool,
}

impl Enclave {
    /// One page of events.
    ///
    /// # Errors
    /// [`Error::Refused`] (`unauthorized` if nothing may be read); [`Error::False`] for anything that does not verify.
    pub fn query(&self, filter: &Filter) -> Result<Page, Error> {
        let mut thread = self.thread(filter, whole_types(filter));
        self.next_page(filter, &mut thread)
    }

    /// All pages, each verified against the ones before.
    pub fn pages(&self, filter: &Filter) -> Pages<'_> {
        Pages { enclave: self, filter: filter.clone(), thread: self.thread(filter, whole_types(filter)), done: false }
    }

    /// All events of a filter.
    ///
    /// # Errors
    /// As [`Enclave::query`].
    pub fn query_all(&self, filter: &Filter) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for page in self.pages(filter) {
            events.extend(page?);
        }
        Ok(events)
    }

    /// The whole log from a place on, for a reader of everything: a missing event is an error. `after` none begins at the Manifest.
    ///
    /// # Errors
    /// As [`Enclave::query`]; [`Falsehood::Gap`] also where this identity may not read everything.
    pub fn log(&self, after: Option<u64>) -> Pages<'_> {
        let filter = Filter { after_seq: after, limit: Some(1000), ..Filter::all() };
        let thread = self.thread(&filter, Whole::Log);
        Pages { enclave: self, filter, thread, done: false }
    }

    /// One event by its id.
    ///
    /// # Errors
    /// As [`Enclave::query`]; none where it does not exist or may not be read.
    pub fn event(&self, id: EventId) -> Result<Option<Event>, Error> {
        Ok(self.query(&Filter::by_id(id))?.events.into_iter().next())
    }

    pub(crate) fn thread(&self, filter: &Filter, whole: Whole) -> Thread {
        // A page in reverse has no known start; one that begins beyond a place neither.
        let from_start = filter.after_seq.is_none() && !filter.reverse;
        Thread::new(self.lock_pin().manifest(), whole, from_start)
    }

    pub(crate) fn next_page(&self, filter: &Filter, thread: &mut Thread) -> Result<Page, Error> {
        let page = self.ask_page(filter)?;
        let in_order: Vec<&Event> =
            if filter.reverse { page.events.iter().rev().collect() } else { page.events.iter().collect() };
        for event in in_order {
            if !filter.takes(event) {
                return Err(Falsehood::Unasked { seq: event.position.seq }.into());
            }
            let event_hash = self.verify_event(event)?;
            thread.take(event, event_hash)?;
        }
        let last = page.events.last().map(|event| event.position.seq);
        if page.next.is_some() && page.next != last {
            return Err(Falsehood::Next.into());
        }
        Ok(page)
    }

    /// Verifies an event of this enclave: hash, author, bounds, sequencer, id. A Migrate is taken up.
    pub(crate) fn verify_event(&self, event: &Event) -> Result<EventHash, Error> {
        let seq = event.position.seq;
        if event.enclave != self.id() {
            return Err(Falsehood::OtherEnclave(event.enclave).into());
        }
        let event_hash = event.verify().map_err(|fault| Falsehood::Event { seq, fault })?;
        self.check_sequencer(seq, event.position.sequencer)?;
        if seq == 0 && *event != *self.lock_pin().event() {
            return Err(Falsehood::OtherManifest.into());
        }
        if event.event_type == "Migrate" {
            self.follow(event)?;
        }
        Ok(event_hash)
    }

    /// Asks for a page; only its shape is looked at.
    pub(crate) fn ask_page(&self, filter: &Filter) -> Result<Page, Error> {
        let members = vec![("type", Json::from("Query")), ("filter", filter.to_json())];
        let value = self.ask(Route::Root, members, Answer::Events)?;
        parse_page(value).map_err(|_| Falsehood::Shape(Answer::Events).into())
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Vec<Event>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.filter.reverse {
            // Each page in reverse is its own thread: they are read from the end.
            self.thread = self.enclave.thread(&self.filter, whole_types(&self.filter));
        }
        let page = self.enclave.next_page(&self.filter, &mut self.thread);
        self.done = !matches!(&page, Ok(page) if page.next.is_some());
        let page = match page {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        if self.filter.reverse {
            self.filter.before_seq = page.next.or(self.filter.before_seq);
        } else {
            self.filter.after_seq = page.next.or(self.filter.after_seq);
        }
        if page.events.is_empty() { None } else { Some(Ok(page.events)) }
    }
}

/// The JSON of an event's content; none if it is deleted.
pub fn content_of(event: &Event) -> Option<Json> {
    match &event.content {
        Content::Present(text) => json::parse(text.as_bytes(), MAX_DEPTH).ok(),
        Content::Deleted(_) => None,
    }
}

fn whole_types(filter: &Filter) -> Whole {
    if filter.takes_whole_types() { Whole::Types } else { Whole::Nothing }
}

/// Reads a page; nothing is verified.
pub(crate) fn parse_page(value: Json) -> Result<Page, protocol::Rejection> {
    let mut fields = Fields::of(value)?;
    let wrong = protocol::fields::wrong;
    if fields.text("type")? != "Response" {
        return Err(wrong("type"));
    }
    let Json::Array(rows) = fields.required("events")? else { return Err(wrong("events")) };
    let next = fields.optional("next").map(|next| next.as_uint().ok_or(wrong("next"))).transpose()?;
    fields.finish()?;
    let events = rows.into_iter().map(Event::from_json).collect::<Result<Vec<_>, _>>()?;
    Ok(Page { events, next })
}
