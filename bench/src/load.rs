//! The load client: at most two threads, each waiting by epoll for its share of keep-alive connections. A connection has one request on
//! its way. Of an answer it looks at status and length only, so that the node, which shares its cores, is slowed as little as may be.

use crate::answer::Answer;
use crate::request::Request;
use crate::statistics::Latencies;
use anyhow::{Context, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Threads at most; pgbench is given as many.
const THREADS: usize = 2;
/// Connections that a thread of its own is worth.
const WORTH_A_THREAD: usize = 16;
/// How long an answer may be awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// In which order requests are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Each once; the round ends early when they are used up.
    Once,
    /// From the beginning again after the last.
    Around,
}

/// When requests are sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends as soon as it has its answer.
    Closed,
    /// So many a second by a fixed schedule, however the answers come. A latency counts from the scheduled time, so that a node that
    /// stalls is not spared the requests that it kept from being sent.
    PerSecond(f64),
}

/// What a round is made of.
pub struct Load<'a> {
    /// The node.
    pub address: SocketAddr,
    /// Connections, over all threads.
    pub connections: usize,
    /// What is sent.
    pub requests: &'a [Request],
    /// In which order.
    pub order: Order,
    /// When.
    pub pace: Pace,
    /// How long.
    pub time: Duration,
    /// Every so many-th answer of a thread is kept whole; 0 keeps none.
    pub keep_every: u64,
    /// How many units of work an answer is worth; an error ends the round.
    pub count: fn(&Answer) -> anyhow::Result<u64>,
}

/// What a round gave.
pub struct Outcome {
    /// Units of work done.
    pub done: u64,
    /// When the first request was due. The k-th of a schedule was due k/rate later.
    pub start: Instant,
    /// From then to the last answer.
    pub elapsed: Duration,
    /// Of each request, until its answer was whole.
    pub latencies: Latencies,
    /// Kept answers: the number of the request, and the body.
    pub kept: Vec<(usize, Vec<u8>)>,
}

impl Outcome {
    /// Units a second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }
}

/// Counts an answer as one, if it is 200.
pub fn one(answer: &Answer) -> anyhow::Result<u64> {
    ensure!(answer.status() == 200, "refused: {} {}", answer.status(), String::from_utf8_lossy(&answer.body()));
    Ok(1)
}

/// Counts the receipts of an answer to `POST /commits`; a line that is none is an error.
pub fn receipts(answer: &Answer) -> anyhow::Result<u64> {
    one(answer)?;
    let body = answer.body();
    let mut count = 0;
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        // Canonical order puts `alg` first in a receipt; no refusal has it.
        ensure!(line.starts_with(b"{\"alg\":"), "refused: {}", String::from_utf8_lossy(line));
        count += 1;
    }
    Ok(count)
}

impl Load<'_> {
    /// Sends until the time is up or the requests are used up, and waits for every answer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let threads = (self.connections / WORTH_A_THREAD).clamp(1, THREADS);
        let (next, mut workers) = (AtomicUsize::new(0), Vec::with_capacity(threads));
        for number in 0..threads {
            let share = (self.connections + threads - 1 - number) / threads;
            workers.push(Worker::connect(self, &next, (number, threads), share)?);
        }
        let start = Instant::now();
        let results: Vec<anyhow::Result<Tally>> = std::thread::scope(|scope| {
            let running: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || worker.run(start))).collect();
            running.into_iter().map(|thread| thread.join().expect("a load thread does not panic")).collect()
        });
        let elapsed = start.elapsed();
        let (mut done, mut micros, mut kept) = (0, Vec::new(), Vec::new());
        for tally in results {
            let tally = tally?;
            done += tally.done;
            micros.extend(tally.micros);
            kept.extend(tally.kept);
        }
        Ok(Outcome { done, start, elapsed, latencies: Latencies::new(micros), kept })
    }
}

#[derive(Default)]
struct Tally {
    done: u64,
    answers: u64,
    micros: Vec<u32>,
    kept: Vec<(usize, Vec<u8>)>,
}

struct Connection {
    stream: TcpStream,
    answer: Answer,
    request: usize,
    sent: usize,
    since: Instant,
    /// The node takes no more at present: epoll tells when it does again.
    blocked: bool,
}

struct Worker<'a> {
    load: &'a Load<'a>,
    next: &'a AtomicUsize,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// The next request of this thread's part of the schedule, and the step to the one after.
    arrival: usize,
    stride: usize,
    exhausted: bool,
    tally: Tally,
}

impl<'a> Worker<'a> {
    fn connect(
        load: &'a Load<'a>,
        next: &'a AtomicUsize,
        (number, stride): (usize, usize),
        share: usize,
    ) -> anyhow::Result<Worker<'a>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(share);
        for place in 0..share {
            let stream = TcpStream::connect(load.address).context("the node takes no connection")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
            let (answer, since) = (Answer::new(), Instant::now());
            connections.push(Connection { stream, answer, request: 0, sent: 0, since, blocked: false });
        }
        let (idle, tally) = ((0..share).collect(), Tally::default());
        Ok(Worker { load, next, epoll, connections, idle, arrival: number, stride, exhausted: false, tally })
    }

    fn run(mut self, start: Instant) -> anyhow::Result<Tally> {
        let end = start + self.load.time;
        let mut events = Vec::with_capacity(self.connections.len().max(1));
        loop {
            let wait = self.send_what_is_due(start, end)?;
            if wait.is_none() && self.idle.len() == self.connections.len() {
                return Ok(self.tally);
            }
            let timeout = wait.unwrap_or(PATIENCE);
            let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
            events.clear();
            let came = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
            ensure!(came > 0 || wait.is_some(), "no answer within {} s", PATIENCE.as_secs());
            for event in &events {
                let place = usize::try_from(event.data.u64()).context("a place")?;
                self.turn(place, event.flags)?;
            }
        }
    }

    /// Sends what is to be sent now on idle connections. Answers how long until the next is due, if that is before an answer must come.
    fn send_what_is_due(&mut self, start: Instant, end: Instant) -> anyhow::Result<Option<Duration>> {
        while let Some(place) = self.idle.last().copied() {
            if self.exhausted {
                return Ok(None);
            }
            let now = Instant::now();
            let (number, since) = match self.load.pace {
                Pace::Closed if now >= end => return Ok(None),
                Pace::Closed => (self.next.fetch_add(1, Ordering::Relaxed), now),
                Pace::PerSecond(rate) => {
                    let due = start + Duration::from_secs_f64(self.arrival as f64 / rate);
                    if due >= end {
                        return Ok(None);
                    }
                    if due > now {
                        return Ok(Some(due - now));
                    }
                    let number = self.arrival;
                    self.arrival += self.stride;
                    (number, due)
                }
            };
            let number = match self.load.order {
                Order::Around => number % self.load.requests.len(),
                Order::Once if number < self.load.requests.len() => number,
                Order::Once => {
                    self.exhausted = true;
                    return Ok(None);
                }
            };
            self.idle.pop();
            let connection = &mut self.connections[place];
            (connection.request, connection.sent, connection.since) = (number, 0, since);
            self.send(place)?;
        }
        Ok(None)
    }

    fn send(&mut self, place: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[place];
        let request = &self.load.requests[connection.request];
        while connection.sent < request.len() {
            match connection.stream.write(&request[connection.sent..]) {
                Ok(written) => connection.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the node takes no more"),
            }
        }
        let blocked = connection.sent < request.len();
        if blocked != connection.blocked {
            connection.blocked = blocked;
            let wanted = if blocked { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
            epoll::modify(&self.epoll, &connection.stream, epoll::EventData::new_u64(place as u64), wanted)?;
        }
        Ok(())
    }

    fn turn(&mut self, place: usize, flags: epoll::EventFlags) -> anyhow::Result<()> {
        if flags.contains(epoll::EventFlags::OUT) {
            self.send(place)?;
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return Ok(());
        }
        let connection = &mut self.connections[place];
        if !connection.answer.read(&mut connection.stream)? {
            return Ok(());
        }
        self.tally.done += (self.load.count)(&connection.answer)?;
        self.tally.micros.push(u32::try_from(connection.since.elapsed().as_micros()).unwrap_or(u32::MAX));
        if self.load.keep_every > 0 && self.tally.answers.is_multiple_of(self.load.keep_every) {
            self.tally.kept.push((connection.request, connection.answer.body().into_owned()));
        }
        self.tally.answers += 1;
        connection.answer.clear();
        self.idle.push(place);
        Ok(())
    }
}
