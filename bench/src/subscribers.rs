//! Many WebSocket subscribers of one enclave: how late events reach them, and whether each does exactly once.

use crate::fill;
use crate::load::{self, Load, Order, Pace};
use crate::node::{Node, Trace};
use crate::people;
use crate::request::{self, Request};
use crate::run::Run;
use crate::section::{Section, Standing};
use crate::socket::{Frame, Socket};
use crate::statistics::{Latencies, median, whole};
use anyhow::{Context, ensure};
use protocol::EnclaveId;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds for 99 of 100 deliveries.
const P99_MS: f64 = 250.0;
/// How long the last deliveries may take once all commits are answered.
const LAST: Duration = Duration::from_secs(30);
/// Commits are numbered from here, so that all numbers have as many digits and stand at the same place of a frame.
const BASE: u64 = 1_000_000_000;
/// How a frame with one of our events begins, up to its number: canonical order puts the content there.
const BEFORE_NUMBER: &[u8] = br#"{"event":{"alg":"schnorr","content":{"n":"#;
const DIGITS: usize = 10;

/// An event that has reached a subscriber.
struct Delivery {
    number: u32,
    /// Since the clock that all deliveries of a round share.
    micros: u32,
}

/// Measures so many subscribers at so many events a second.
pub fn measure(run: &Run, subscribers: u64, rate: u64) -> anyhow::Result<Standing> {
    let options = format!("--subscribers {subscribers} --rate {rate}");
    let mut section = Section::begin("subscribers", "Subscribers", run, &options);
    let (mut rows, mut p99s, mut complete) = (Vec::new(), Vec::new(), true);
    for round in 1..=run.rounds {
        let found = round_of(run, subscribers, rate)?;
        let ms = |share| format!("{:.1}", found.latencies.ms(share));
        eprintln!("round {round}: p50 {} ms, p99 {} ms, {} missing", ms(0.5), ms(0.99), found.missing);
        rows.push(vec![
            round.to_string(),
            whole(found.commits as f64),
            whole(found.latencies.len() as f64),
            found.missing.to_string(),
            found.doubled.to_string(),
            ms(0.5),
            ms(0.99),
            ms(1.0),
            format!("{:.0} %", found.cpu * 100.0),
        ]);
        p99s.push(found.latencies.ms(0.99));
        complete &= found.missing == 0 && found.doubled == 0;
    }
    section.say(&format!(
        "One enclave, {} sockets with a subscription each, of {} members; {rate} commits a second by a fixed schedule. A delivery's \
         latency is the time from the scheduled moment of the commit until the subscriber has read the frame. Configuration: \
         `websocket.sockets_per_address` and `subscriptions_per_identity` above the number of sockets, which all come from one address.",
        whole(subscribers as f64),
        people::AUTHORS
    ));
    let head = ["round", "commits", "deliveries", "missing", "twice", "p50 ms", "p99 ms", "most ms", "node's CPU"];
    section.table(&head, &rows);
    let target = format!("{rate} events/s to {subscribers} subscribers, each exactly once");
    section.judge(&target, if complete { "all, once" } else { "not all, or twice" }, complete);
    let p99 = median(&p99s);
    section.judge(&format!("p99 of a delivery below {P99_MS} ms"), &format!("{p99:.1} ms"), p99 < P99_MS);
    section.end(run)
}

struct Found {
    commits: u64,
    latencies: Latencies,
    missing: u64,
    doubled: u64,
    cpu: f64,
}

fn round_of(run: &Run, subscribers: u64, rate: u64) -> anyhow::Result<Found> {
    let most = subscribers + 64;
    let config = format!("[websocket]\nsockets_per_address = {most}\nsubscriptions_per_identity = {most}\n");
    let node = Node::start(&run.encd, Trace::Off, &config)?;
    let enclave = fill::enclaves(&node, 1)?[0];
    let mut listeners = Listeners::open(&node, enclave, subscribers)?;
    let requests = commits(enclave, (rate as f64 * run.time.as_secs_f64()).ceil() as u64);
    let load = Load {
        address: node.address(),
        connections: 8,
        requests: &requests,
        order: Order::Once,
        pace: Pace::PerSecond(rate as f64),
        time: run.time,
        keep_every: 0,
        count: load::one,
    };
    let (expected, clock, before) = (AtomicU64::new(u64::MAX), Instant::now(), node.cpu()?);
    let (outcome, heard) = std::thread::scope(|scope| {
        let hearing = scope.spawn(|| listeners.hear(clock, &expected));
        let outcome = load.run();
        // Where the commits failed nobody is waited for.
        let done = outcome.as_ref().map_or(0, |outcome| outcome.done);
        expected.store(done * subscribers, Ordering::Release);
        (outcome, hearing.join().expect("the listening thread does not panic"))
    });
    let (outcome, deliveries) = (outcome?, heard?);
    let cpu = (node.cpu()? - before).as_secs_f64() / clock.elapsed().as_secs_f64();
    let begun = outcome.start.duration_since(clock).as_micros() as f64;
    let due = |number: u32| begun + f64::from(number) / rate as f64 * 1e6;
    let micros = deliveries.iter().flatten().map(|delivery| (f64::from(delivery.micros) - due(delivery.number)) as u32);
    let latencies = Latencies::new(micros.collect());
    let (mut missing, mut doubled) = (0, 0);
    for of_one in &deliveries {
        let mut seen = vec![0u32; requests.len()];
        of_one.iter().for_each(|delivery| seen[delivery.number as usize] += 1);
        missing += seen[..outcome.done as usize].iter().filter(|count| **count == 0).count() as u64;
        doubled += seen.iter().filter(|count| **count > 1).count() as u64;
    }
    Ok(Found { commits: outcome.done, latencies, missing, doubled, cpu })
}

fn commits(enclave: EnclaveId, count: u64) -> Vec<Request> {
    let (authors, exp) = (people::authors(), people::expiry());
    fill::make(0..count, |number| {
        let author = &authors[number as usize % authors.len()];
        request::post("/", &people::body(&people::message(author, enclave, BASE + number, exp)))
    })
}

struct Listeners {
    sockets: Vec<Socket>,
    epoll: OwnedFd,
}

impl Listeners {
    /// Opens the sockets and subscribes; every subscription is past its history when this returns.
    fn open(node: &Node, enclave: EnclaveId, count: u64) -> anyhow::Result<Listeners> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut sockets = Vec::new();
        let authors = people::authors();
        let sessions: Vec<String> = authors.iter().map(|key| people::session(key, &node.sequencer())).collect();
        for number in 0..count {
            let place = (number % people::AUTHORS) as usize;
            let mut socket = Socket::open(node.address())?;
            socket.send_text(&format!(
                r#"{{"type":"Query","sub_id":"s","enclave":"{enclave}","from":"{}","session":"{}","filter":{{"type":"message"}}}}"#,
                authors[place].public(),
                sessions[place]
            ))?;
            socket.wait_for_text(br#"{"sub_id":"s","type":"EOSE"}"#)?;
            socket.begin_to_poll()?;
            epoll::add(&epoll, socket.stream(), epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
            sockets.push(socket);
        }
        Ok(Listeners { sockets, epoll })
    }

    /// Reads until there have been as many deliveries as `expected` says at last; answers those of each subscriber.
    fn hear(&mut self, clock: Instant, expected: &AtomicU64) -> anyhow::Result<Vec<Vec<Delivery>>> {
        let mut heard: Vec<Vec<Delivery>> = self.sockets.iter().map(|_| Vec::new()).collect();
        let (mut count, mut answered, mut scratch) = (0, None, vec![0; 256 << 10]);
        let mut events = Vec::with_capacity(256);
        let short = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        loop {
            let wanted = expected.load(Ordering::Acquire);
            if count >= wanted {
                return Ok(heard);
            }
            if wanted != u64::MAX && answered.get_or_insert_with(Instant::now).elapsed() > LAST {
                return Ok(heard);
            }
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&short))?;
            for event in &events {
                let place = usize::try_from(event.data.u64()).context("a place")?;
                let deliveries = &mut heard[place];
                let before = deliveries.len();
                self.sockets[place].read_frames(&mut scratch, |frame| match frame {
                    Frame::Text(text) => {
                        let micros =
                            u32::try_from(clock.elapsed().as_micros()).context("a round of an hour at most")?;
                        deliveries.push(Delivery { number: number_of(text)?, micros });
                        Ok(())
                    }
                    Frame::End => anyhow::bail!("the node closed a subscriber"),
                })?;
                count += (deliveries.len() - before) as u64;
            }
        }
    }
}

fn number_of(text: &[u8]) -> anyhow::Result<u32> {
    let digits = text.strip_prefix(BEFORE_NUMBER).and_then(|rest| rest.get(..DIGITS));
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
    let number = number.and_then(|number| number.checked_sub(BASE));
    ensure!(number.is_some(), "not one of the events: {}", String::from_utf8_lossy(text));
    Ok(u32::try_from(number.unwrap_or_default())?)
}
