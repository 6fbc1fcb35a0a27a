//! SQLite's way to [`crate::disk`]: a VFS that is the process's default, so that the node opens its files as it always does.
//!
//! The one file with `unsafe` in it. What SQLite promises (`sqlite3_vfs`, `sqlite3_io_methods`): a method gets a file that `open` filled
//! and `close` has not yet had, buffers have the stated lengths, names are zero-terminated, shared memory is used through the locks that
//! are asked for here. The wal-index lives in this process's memory, as it does in a node's; it is gone when the last connection is.

use crate::disk;
use rusqlite::ffi;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::slice;
use std::sync::Once;

/// Locks of a wal-index.
const SHM_LOCKS: usize = 8;
/// A day in 2024, as SQLite counts them, in milliseconds: no statement of the node asks.
const JULIAN_MS: i64 = 212_574_240_000_000;

/// An open file, as SQLite allots it.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    /// Made by `open`, dropped by `close`.
    handle: *mut Handle,
}

struct Handle {
    /// Tells handles apart.
    number: u64,
    name: String,
    temporary: bool,
}

/// What this thread's connections share beside the disk.
#[derive(Default)]
struct Table {
    opened: u64,
    /// Of each file, who holds which lock level.
    levels: BTreeMap<String, BTreeMap<u64, c_int>>,
    shared: BTreeMap<String, Shared>,
}

/// A wal-index.
#[derive(Default)]
struct Shared {
    regions: Vec<Box<[u64]>>,
    mapped: BTreeSet<u64>,
    sharing: [BTreeSet<u64>; SHM_LOCKS],
    excluding: [Option<u64>; SHM_LOCKS],
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes this the VFS of every connection of the process.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<OpenFile>() as c_int,
            mxPathname: 512,
            pNext: null_mut(),
            zName: c"simulated".as_ptr(),
            pAppData: null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: None,
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: the structure is never freed, as SQLite asks of a VFS that stays registered.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 1) };
        assert_eq!(code, ffi::SQLITE_OK, "a VFS can be registered");
    });
}

/// The handle of a file.
///
/// # Safety
/// `file` was filled by `open` and not yet closed.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: `open` put a live handle there.
    unsafe { &*(*file.cast::<OpenFile>()).handle }
}

/// A name as SQLite passes it.
///
/// # Safety
/// `name` is zero-terminated and lives as long as the call.
unsafe fn text(name: *const c_char) -> String {
    // SAFETY: as above.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let number = TABLE.with_borrow_mut(|table| {
        table.opened += 1;
        table.opened
    });
    let temporary = name.is_null();
    // SAFETY: `file` has room for an `OpenFile`, `name` is a C string or null, `out_flags` may be null.
    unsafe {
        let file = file.cast::<OpenFile>();
        let name = if temporary { format!("temporary-{number}") } else { text(name) };
        if !temporary && flags & ffi::SQLITE_OPEN_CREATE == 0 && !disk::with(|disk| disk.exists(&name)) {
            (*file).base.pMethods = null();
            return ffi::SQLITE_CANTOPEN;
        }
        disk::with(|disk| disk.create(&name));
        (*file).handle = Box::into_raw(Box::new(Handle { number, name, temporary }));
        (*file).base.pMethods = &METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once.
    let handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    TABLE.with_borrow_mut(|table| {
        if let Some(levels) = table.levels.get_mut(&handle.name) {
            levels.remove(&handle.number);
        }
    });
    if handle.temporary {
        disk::delete(&handle.name);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, len: c_int, at: i64) -> c_int {
    let (len, at) = (len as usize, at as usize);
    // SAFETY: the buffer has `len` bytes.
    let (handle, into) = unsafe { (handle(file), slice::from_raw_parts_mut(into.cast::<u8>(), len)) };
    let found = disk::with(|disk| disk.read(&handle.name, at, into));
    into[found..].fill(0);
    if found == len { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: the buffer has `len` bytes.
    let (handle, bytes) = unsafe { (handle(file), slice::from_raw_parts(from.cast::<u8>(), len as usize)) };
    match disk::write(&handle.name, at as usize, bytes) {
        Ok(()) => ffi::SQLITE_OK,
        Err(disk::NoRoom) => ffi::SQLITE_FULL,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: the file is open.
    disk::truncate(unsafe { &handle(file).name }, len as usize);
    ffi::SQLITE_OK
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: the file is open.
    disk::sync(unsafe { &handle(file).name });
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: the file is open, `size` can be written.
    unsafe { *size = disk::with(|disk| disk.len(&handle(file).name)) as i64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    TABLE.with_borrow_mut(|table| {
        let levels = table.levels.entry(handle.name.clone()).or_default();
        let others = levels.iter().filter(|(number, _)| **number != handle.number).map(|(_, level)| *level).max();
        let busy = match (level, others.unwrap_or(ffi::SQLITE_LOCK_NONE)) {
            (ffi::SQLITE_LOCK_SHARED, others) => others >= ffi::SQLITE_LOCK_PENDING,
            (ffi::SQLITE_LOCK_RESERVED, others) => others >= ffi::SQLITE_LOCK_RESERVED,
            (_, others) => others >= ffi::SQLITE_LOCK_SHARED,
        };
        if busy {
            return ffi::SQLITE_BUSY;
        }
        let held = levels.entry(handle.number).or_default();
        *held = level.max(*held);
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    TABLE.with_borrow_mut(|table| {
        let held = table.levels.entry(handle.name.clone()).or_default().entry(handle.number).or_default();
        *held = level.min(*held);
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: the file is open, `held` can be written.
    unsafe {
        let name = &handle(file).name;
        *held = TABLE.with_borrow(|table| {
            let levels = table.levels.get(name).into_iter().flat_map(BTreeMap::values);
            c_int::from(levels.copied().any(|level| level >= ffi::SQLITE_LOCK_RESERVED))
        });
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// What SQLite assumes of a disk of the system: bytes beside those that are written stay as they are.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    len: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    let region = region as usize;
    let found = TABLE.with_borrow_mut(|table| {
        let shared = table.shared.entry(handle.name.clone()).or_default();
        shared.mapped.insert(handle.number);
        while extend != 0 && shared.regions.len() <= region {
            shared.regions.push(vec![0; len as usize / size_of::<u64>()].into_boxed_slice());
        }
        shared.regions.get_mut(region).map_or(null_mut(), |region| region.as_mut_ptr().cast())
    });
    // SAFETY: `out` can be written. The memory stays where it is until the last handle has unmapped it.
    unsafe { *out = found };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    let slots = first as usize..(first + count) as usize;
    TABLE.with_borrow_mut(|table| {
        let shared = table.shared.entry(handle.name.clone()).or_default();
        let me = handle.number;
        let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            for slot in slots {
                if exclusive {
                    shared.excluding[slot] = None;
                } else {
                    shared.sharing[slot].remove(&me);
                }
            }
            return ffi::SQLITE_OK;
        }
        let busy = slots.clone().any(|slot| {
            let excluded = shared.excluding[slot].is_some_and(|other| other != me);
            excluded || exclusive && shared.sharing[slot].iter().any(|other| *other != me)
        });
        if busy {
            return ffi::SQLITE_BUSY;
        }
        for slot in slots {
            if exclusive {
                shared.excluding[slot] = Some(me);
            } else {
                shared.sharing[slot].insert(me);
            }
        }
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    TABLE.with_borrow_mut(|table| {
        let Some(shared) = table.shared.get_mut(&handle.name) else { return };
        shared.mapped.remove(&handle.number);
        for slot in 0..SHM_LOCKS {
            shared.sharing[slot].remove(&handle.number);
            shared.excluding[slot].take_if(|number| *number == handle.number);
        }
        if shared.mapped.is_empty() {
            table.shared.remove(&handle.name);
        }
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int) -> c_int {
    // SAFETY: `name` is a C string.
    match disk::delete(&unsafe { text(name) }) {
        true => ffi::SQLITE_OK,
        false => ffi::SQLITE_IOERR_DELETE_NOENT,
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int, found: *mut c_int) -> c_int {
    // SAFETY: `name` is a C string, `found` can be written.
    unsafe {
        let name = text(name);
        *found = c_int::from(disk::with(|disk| disk.exists(&name)));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: `name` is a C string, `out` has `room` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > room as usize {
            return ffi::SQLITE_CANTOPEN;
        }
        slice::from_raw_parts_mut(out.cast::<u8>(), bytes.len()).copy_from_slice(bytes);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `out` has `len` bytes.
    let out = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), len as usize) };
    for byte in out {
        *byte = disk::with(|disk| disk.random()) as u8;
    }
    len
}

/// Nobody else runs who could give a lock back: waiting is over at once.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: `out` can be written.
    unsafe { *out = JULIAN_MS };
    ffi::SQLITE_OK
}
