//! The machine that a number was measured on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Cores, processor, kernel and the disk under a folder, in one line.
pub fn describe(folder: &Path) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {model}; Linux {}; {}", kernel.trim(), disk(folder))
}

/// The load average of the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Whether a folder lies in memory, so that nothing there is durable.
pub fn is_memory(folder: &Path) -> bool {
    file_system(folder) == "tmpfs"
}

/// Has the kernel forget the files that it has read. It says why not, where it may not.
pub fn drop_page_cache() -> Result<(), String> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3\n").map_err(|error| format!("the page cache stays ({error}): be root"))
}

/// The day, as ISO 8601 has it.
pub fn day() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a day counted from 1970-01-01, by eras of 400 years that begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

fn disk(folder: &Path) -> String {
    let kind = file_system(folder);
    let Some(queue) = queue_of(folder) else { return format!("{kind}, on no disk that the kernel shows") };
    let read = |name: &str| fs::read_to_string(queue.join(name)).unwrap_or_default().trim().to_owned();
    let name = queue.parent().and_then(|path| path.file_name()).map_or("?".into(), |name| name.display().to_string());
    format!("{kind} on {name} (rotational: {}, cache: {})", read("rotational"), read("write_cache"))
}

/// The `queue` folder of the disk that a folder lies on; of a partition, its disk's.
fn queue_of(folder: &Path) -> Option<PathBuf> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let block = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    [block.join("queue"), block.parent()?.join("queue")].into_iter().find(|queue| queue.is_dir())
}

/// The type of the mount that a folder lies in, the deepest one.
fn file_system(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = text.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let within = mounts.filter(|(point, _)| folder.starts_with(point));
    within.max_by_key(|(point, _)| point.len()).map_or("unknown", |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_have_dates() {
        let rows = [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_778, (2026, 11, 21))];
        for (days, date) in rows {
            assert_eq!(civil(days), date, "{days}");
        }
    }
}
