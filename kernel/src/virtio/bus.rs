//! The virtio functions of bus 0: which there are, which are in use.

use alloc::vec::Vec;

use spin::Mutex;

use super::error::VirtioError;
use super::transport::Guarded;
use super::{structures, windows};
use crate::Memory;
use crate::pci::{self, Address, Ports, Snapshot, Window};

/// Vendor of virtio devices, and the device id of type 0. [VIRTIO 4.1.2]
const VENDOR: u32 = 0x1AF4;
const FIRST_DEVICE: u32 = 0x1040;
/// Functions that are looked at.
const MAX_FUNCTIONS: usize = 8;

static BUS: Mutex<Option<Bus>> = Mutex::new(None);

/// What was found.
struct Bus {
    functions: Vec<Function>,
    window: Window,
}

struct Function {
    at: Address,
    kind: u32,
    state: State,
}

/// A function's state.
enum State {
    /// Nobody wanted it yet.
    Found,
    /// Its memory is mapped, and it is off.
    Off(Snapshot),
    /// A driver has it.
    InUse(Snapshot),
    /// It failed.
    Broken(VirtioError),
}

/// The first function of this virtio type that is not in use, switched on. `Ok(None)`: there is
/// none of the type.
pub(super) fn open(memory: &mut Memory, kind: u32) -> Result<Option<Guarded>, VirtioError> {
    let snapshot = {
        let mut bus = BUS.lock();
        match bus.get_or_insert_with(Bus::find).switch_on(memory, kind) {
            Some(snapshot) => snapshot?,
            None => return Ok(None),
        }
    };
    let transport = Guarded::new(&snapshot);
    if let Err(error) = transport {
        // The transport's own end has released it, or there was none: that stands here.
        broken(snapshot.at, error);
        return Err(error);
    }
    transport.map(Some)
}

/// Whether there is a function of this type.
pub(super) fn has(kind: u32) -> bool {
    let mut bus = BUS.lock();
    bus.get_or_insert_with(Bus::find).functions.iter().any(|function| function.kind == kind)
}

/// A driver is done. A device that does not come to rest is not used again.
pub(super) fn release(at: Address, is_reset: bool) {
    with(at, |function| {
        if let State::InUse(snapshot) = &function.state {
            let mut snapshot = snapshot.clone();
            let is_off = snapshot.switch_off(&mut Ports).is_ok();
            function.state = if is_reset && is_off {
                State::Off(snapshot)
            } else {
                State::Broken(VirtioError::Busy(at))
            };
        }
    });
}

fn broken(at: Address, error: VirtioError) {
    release(at, false);
    with(at, |function| function.state = State::Broken(error));
}

fn with(at: Address, act: impl FnOnce(&mut Function)) {
    let mut bus = BUS.lock();
    let mut functions = bus.iter_mut().flat_map(|bus| &mut bus.functions);
    if let Some(function) = functions.find(|function| function.at == at) {
        act(function);
    }
}

impl Bus {
    /// Looks at bus 0. A host that refuses to answer has no devices.
    fn find() -> Self {
        let mut functions = Vec::new();
        let scan = pci::functions(&mut Ports, |at, id| {
            let kind = (id >> 16).checked_sub(FIRST_DEVICE);
            if let Some(kind) = kind
                && id & 0xFFFF == VENDOR
                && functions.len() < MAX_FUNCTIONS
            {
                functions.push(Function { at, kind, state: State::Found });
            }
        });
        if scan.is_err() {
            functions.clear();
        }
        Self { functions, window: Window::new() }
    }

    /// Switches a function of this type on. None if there is none.
    fn switch_on(
        &mut self,
        memory: &mut Memory,
        kind: u32,
    ) -> Option<Result<Snapshot, VirtioError>> {
        let Self { functions, window } = self;
        let mut of_kind = functions.iter_mut().filter(|function| function.kind == kind);
        let mut function = of_kind.next()?;
        for other in of_kind {
            if matches!(function.state, State::Found | State::Off(_)) {
                break;
            }
            function = other;
        }
        let at = function.at;
        let snapshot = match &function.state {
            State::Found => set_up(memory, window, at),
            State::Off(snapshot) => {
                let mut snapshot = snapshot.clone();
                let on = snapshot.switch_on(&mut Ports);
                on.map(|()| snapshot).map_err(|error| VirtioError::Pci(at, error.into()))
            }
            State::InUse(_) => return Some(Err(VirtioError::Busy(at))),
            State::Broken(error) => return Some(Err(*error)),
        };
        function.state = match &snapshot {
            Ok(snapshot) => State::InUse(snapshot.clone()),
            Err(error) => State::Broken(*error),
        };
        Some(snapshot)
    }
}

/// Places a function's memory and maps what has virtio structures.
fn set_up(memory: &mut Memory, window: &mut Window, at: Address) -> Result<Snapshot, VirtioError> {
    let snapshot = Snapshot::take(&mut Ports, at, window);
    let snapshot = snapshot.map_err(|why| VirtioError::Pci(at, why))?;
    let registers = structures::registers(&snapshot, windows::MAX_BYTES);
    let registers = registers.ok_or(VirtioError::BadStructure(at))?;
    let has_structures = |index: &u8| registers >> index & 1 == 1;
    for range in (0..8).filter(has_structures).filter_map(|index| snapshot.memory(index)) {
        windows::map(memory, range);
    }
    Ok(snapshot)
}
