//! The load: so many connections, each with one request on its way.

use crate::commits::Work;
use crate::node::Node;
use anyhow::{Context, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a round gave.
pub struct Outcome {
    /// Receipts that arrived.
    pub acknowledged: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Time from sending to the whole receipt, sorted.
    pub latencies: Vec<Duration>,
}

impl Outcome {
    /// Receipts a second.
    pub fn rate(&self) -> f64 {
        self.acknowledged as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that `share` of the commits stay within.
    pub fn percentile(&self, share: f64) -> Duration {
        let place = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(place.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Sends until the time is up or the work is done.
pub async fn run(node: &Node, work: Work, clients: usize, time: Duration) -> anyhow::Result<Outcome> {
    let (requests, next) = (work.requests(), Arc::new(AtomicUsize::new(0)));
    let start = Instant::now();
    let end = start + time;
    let mut tasks = Vec::with_capacity(clients);
    for _ in 0..clients {
        let stream = TcpStream::connect(node.address()).await?;
        stream.set_nodelay(true)?;
        tasks.push(tokio::spawn(client(stream, Arc::clone(&requests), Arc::clone(&next), end)));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    Ok(Outcome { acknowledged: latencies.len() as u64, elapsed, latencies })
}

async fn client(
    mut stream: TcpStream,
    requests: Arc<Vec<Box<[u8]>>>,
    next: Arc<AtomicUsize>,
    end: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while Instant::now() < end {
        let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
        let sent = Instant::now();
        stream.write_all(request).await?;
        answer(&mut stream, &mut buffer).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer; anything but a receipt ends the run.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        anyhow::ensure!(read > 0, "the node closed a connection");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head]).context("headers")?;
        if !text.starts_with("HTTP/1.1 200") {
            bail!("refused: {}", String::from_utf8_lossy(&buffer[..filled]));
        }
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if filled >= head + 4 + length.context("no Content-Length")? {
            return Ok(());
        }
    }
}
