//! Sparse memory that knows what the VMM may touch.

use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::ops::Range;
use std::rc::Rc;

use crate::machine::{Machine, TDVPS_PAGES};

pub(crate) const PAGE: u64 = 4096;

/// First byte above memory.
const END: u64 = 1 << 32;

#[derive(Clone, Default)]
pub(crate) struct Fake {
    /// Shared between clones until one of them writes.
    pages: HashMap<u64, Rc<[u8; PAGE as usize]>>,
    /// Pages that the VMM cannot reach.
    pub hidden: BTreeSet<u64>,
    pub flushes: u32,
    pub resets: u32,
    /// RIP of every vCPU.
    pub rip: u64,
    /// How far the time stamp counter was set back.
    pub tsc_set_back: u64,
    pub tsc_adjust: u64,
    pub misc_enable: u64,
    /// Ticks that passed.
    pub ticks: u64,
    random: u64,
}

impl Fake {
    /// The VMM's own write: it must be able to reach the page.
    pub(crate) fn vmm_write(&mut self, hpa: u64, bytes: &[u8]) {
        assert!(!self.hidden.contains(&(hpa & !(PAGE - 1))), "the VMM cannot reach {hpa:#x}");
        self.write(hpa, bytes);
    }

    /// The VMM's own read.
    pub(crate) fn vmm_read_u64(&self, hpa: u64) -> u64 {
        assert!(!self.hidden.contains(&(hpa & !(PAGE - 1))), "the VMM cannot reach {hpa:#x}");
        self.read_u64(hpa)
    }
}

/// The parts of `[hpa, hpa + len)` in each page: address and range of the buffer.
fn chunks(hpa: u64, len: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut done = 0;
    iter::from_fn(move || {
        let at = hpa.checked_add(done as u64)?;
        let part = ((PAGE - at % PAGE) as usize).min(len - done);
        done += part;
        (part > 0).then_some((at, done - part..done))
    })
}

fn each_page(hpa: u64, len: u64) -> impl Iterator<Item = u64> {
    assert!(
        hpa.is_multiple_of(PAGE) && len.is_multiple_of(PAGE),
        "ownership changes by whole pages"
    );
    (hpa..hpa + len).step_by(PAGE as usize)
}

impl Machine for Fake {
    fn read(&self, hpa: u64, buf: &mut [u8]) {
        for (at, range) in chunks(hpa, buf.len()) {
            let bytes = &mut buf[range];
            match self.pages.get(&(at & !(PAGE - 1))) {
                Some(page) => bytes.copy_from_slice(&page[(at % PAGE) as usize..][..bytes.len()]),
                None => bytes.fill(0),
            }
        }
    }

    fn write(&mut self, hpa: u64, bytes: &[u8]) {
        for (at, range) in chunks(hpa, bytes.len()).filter(|(at, _)| *at < END) {
            let zeros = || Rc::new([0; PAGE as usize]);
            let page = self.pages.entry(at & !(PAGE - 1)).or_insert_with(zeros);
            let bytes = &bytes[range];
            Rc::make_mut(page)[(at % PAGE) as usize..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    fn zero(&mut self, hpa: u64, len: u64) {
        for (at, range) in chunks(hpa, len as usize) {
            match range.len() as u64 {
                PAGE => drop(self.pages.remove(&at)),
                part => self.write(at, &[0; PAGE as usize][..part as usize]),
            }
        }
    }

    fn hide_from_vmm(&mut self, hpa: u64, len: u64) {
        for page in each_page(hpa, len) {
            assert!(self.hidden.insert(page), "{page:#x} was hidden already");
        }
    }

    fn show_to_vmm(&mut self, hpa: u64, len: u64) {
        for page in each_page(hpa, len) {
            assert!(self.hidden.remove(&page), "{page:#x} was the VMM's already");
        }
    }

    fn flush_td(&mut self, _: u64) {
        self.flushes += 1;
    }

    fn reset_vcpu(&mut self, _: &[u64; TDVPS_PAGES]) {
        self.resets += 1;
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random
    }

    fn tsc(&self) -> u64 {
        1_000_000 + self.ticks - self.tsc_set_back
    }

    fn guest_rip(&self, _: u64) -> u64 {
        self.rip
    }

    fn vmm_msr(&self, index: u32) -> u64 {
        match index {
            0x3B => self.tsc_adjust,
            0x1A0 => self.misc_enable,
            _ => panic!("the module has no business with MSR {index:#x}"),
        }
    }
}
