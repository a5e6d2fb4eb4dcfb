//! Accesses by real instructions, and the exception that each took.

use alloc::vec::Vec;

use abi::PAGE_SIZE;
use spin::Mutex;

use super::story::watched;
use super::{Done, Next, Words, raw};
use crate::memory::{self, Device, Place};
use crate::shell::words::Complaint;
use crate::td::{Td, Tdcall};
use crate::{Kernel, msr as registers, println};

/// The pages that were mapped as devices' here, so that each is mapped once.
static DEVICES: Mutex<Vec<(u64, Device)>> = Mutex::new(Vec::new());
/// The most of them.
const MAX_DEVICES: usize = 8;

pub(super) fn msr<'a>(_: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let index = words.number("an index", 32)? as u32;
    if let Some(word) = words.clone().next() {
        let value = words.number("a value", 64)?;
        words.end()?;
        // By a call alone: an MSR that the processor has could end the kernel.
        match Td.wrmsr(index, value) {
            Ok(()) => println!("msr {index:#x} = {word}"),
            Err(error) => println!("the host refuses: {error}"),
        }
        return Ok(Next::Line);
    }
    let (value, seen) = watched(|| registers::read(index));
    match value {
        Ok(value) => println!("{value:#018x}"),
        Err(fault) => println!("{fault}"),
    }
    seen.print();
    Ok(Next::Line)
}

pub(super) fn input<'a>(_: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let port = words.number("a port", 16)? as u16;
    let width = width(&mut words, 1, 4)?;
    words.end()?;
    let (value, seen) = watched(|| raw::port_read(port, width));
    println!("{value:#x}");
    seen.print();
    Ok(Next::Line)
}

pub(super) fn output<'a>(_: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let port = words.number("a port", 16)? as u16;
    let value = words.number("a value", 32)? as u32;
    let width = width(&mut words, 1, 4)?;
    words.end()?;
    let ((), seen) = watched(|| raw::port_write(port, value, width));
    seen.print();
    Ok(Next::Line)
}

pub(super) fn peek<'a>(kernel: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let gpa = words.number("an address", 64)?;
    let width = width(&mut words, 4, 8)?;
    words.end()?;
    match memory::place_of(gpa) {
        _ if !gpa.is_multiple_of(width) => println!("an address is a multiple of the width"),
        Place::Private => match raw::private(kernel, gpa, width) {
            Some(value) => println!("{value:#x}"),
            None => println!("gone"),
        },
        Place::Unaccepted => println!("not accepted yet: a touch would end the trust domain"),
        Place::Shared => println!("shared with the host: programs reach it by SharedPages"),
        Place::Nowhere => println!("no address of this trust domain"),
        Place::Device => match device(kernel, gpa) {
            Some(device) => {
                let offset = (gpa % PAGE_SIZE) as u16;
                let (value, seen) = watched(|| raw::device_read(&device, offset, width));
                println!("{value:#x}");
                seen.print();
            }
            None => println!("at most {MAX_DEVICES} pages of devices"),
        },
    }
    Ok(Next::Line)
}

pub(super) fn poke<'a>(kernel: &mut Kernel, mut words: Words<'a>) -> Done<'a> {
    let gpa = words.number("an address", 64)?;
    let value = words.number("a value", 64)?;
    let width = width(&mut words, 4, 8)?;
    words.end()?;
    match memory::place_of(gpa) {
        _ if !gpa.is_multiple_of(width) => println!("an address is a multiple of the width"),
        Place::Device => match device(kernel, gpa) {
            Some(device) => {
                let offset = (gpa % PAGE_SIZE) as u16;
                let ((), seen) = watched(|| raw::device_write(&device, offset, value, width));
                seen.print();
            }
            None => println!("at most {MAX_DEVICES} pages of devices"),
        },
        _ => println!("only a device's memory is written: other memory is the kernel's"),
    }
    Ok(Next::Line)
}

/// Bytes of an access: a power of two up to `most`.
fn width<'a>(words: &mut Words<'a>, otherwise: u64, most: u64) -> Result<u64, Complaint<'a>> {
    let word = words.clone().next().unwrap_or("");
    let width = words.number_or("a width", 4, otherwise)?;
    let is_width = width.is_power_of_two() && width <= most;
    if is_width { Ok(width) } else { Err(Complaint::Bad(word, "a width")) }
}

/// The page of a device's address, mapped.
fn device(kernel: &mut Kernel, gpa: u64) -> Option<Device> {
    let page = gpa - gpa % PAGE_SIZE;
    let mut devices = DEVICES.lock();
    if let Some((_, device)) = devices.iter().find(|(address, _)| *address == page) {
        return Some(*device);
    }
    if devices.len() >= MAX_DEVICES {
        return None;
    }
    let device = kernel.memory.map_device(page);
    devices.push((page, device));
    Some(device)
}
