//! `service` as a WebAssembly module: the Runtime as imports, the entry points as exports, bytes in between.
//!
//! A value that the host hands over is written into memory that `reserve` gave, and comes back as `pointer << 32 | length`; a fault is a
//! negative number. Rows and parameters are tagged values ([`wire`]). Nothing here knows a rule.
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

mod host;
#[cfg(test)]
mod memory;
mod wire;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use host::Imports;
use protocol::json::{self, MAX_DEPTH};
use service::cache::Cache;
use service::runtime::{Fault, NodeFacts};

// Elsewhere than in WebAssembly only the tests of the memory that crosses are built, with a standard library.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Enclaves that one object remembers.
const REMEMBERED: usize = 16;

struct Module {
    cache: Cache,
    facts: NodeFacts,
}

/// A module has one thread.
struct OneThread(RefCell<Option<Module>>);

// SAFETY: wasm32-unknown-unknown without the threads proposal runs on one thread only.
unsafe impl Sync for OneThread {}

static MODULE: OneThread = OneThread(RefCell::new(None));

/// Memory for `len` bytes that the host writes and the module takes over.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(len: u32) -> *mut u8 {
    Box::leak(vec![0; len as usize].into_boxed_slice()).as_mut_ptr()
}

/// Begins: the facts of the node as JSON at `packed`, and the tables. Answers 0 or a fault.
#[unsafe(no_mangle)]
pub extern "C" fn init(packed: u64) -> i32 {
    let bytes = host::take(packed);
    let facts = json::parse(&bytes, MAX_DEPTH).ok().and_then(wire::facts);
    let Some(facts) = facts else { return host::code(Fault::Storage) };
    for statement in service::node::schema() {
        if let Err(fault) = service::Runtime::sql_exec(&Imports, statement, &[]) {
            return host::code(fault);
        }
    }
    *MODULE.0.borrow_mut() = Some(Module { cache: Cache::writer(REMEMBERED), facts });
    0
}

/// Answers the running request by `respond`. Answers 0, or a fault: then the host rolls back.
#[unsafe(no_mangle)]
pub extern "C" fn handle() -> i32 {
    with(|module| service::handle(&Imports, &mut module.cache, &module.facts))
}

/// Does what is due for the enclave whose 32 bytes are at `packed`. Answers 0 or a fault.
#[unsafe(no_mangle)]
pub extern "C" fn alarm(packed: u64) -> i32 {
    let Ok(enclave) = protocol::EnclaveId::try_from(&host::take(packed)[..]) else { return host::code(Fault::Storage) };
    with(|module| service::node::alarm(&Imports, &mut module.cache, &module.facts, &enclave))
}

fn with(run: impl FnOnce(&mut Module) -> Result<(), Fault>) -> i32 {
    let mut module = MODULE.0.borrow_mut();
    let Some(module) = module.as_mut() else { return host::code(Fault::Storage) };
    match run(module) {
        Ok(()) => 0,
        Err(fault) => {
            module.cache.clear();
            host::code(fault)
        }
    }
}

/// Bytes in the module's own memory.
type Bytes = Vec<u8>;
