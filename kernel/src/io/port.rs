//! Ports. [TDVF 4.4]

use core::marker::PhantomData;

use tdcall::ghci::VmcallError;

use super::PortRegister;
use crate::td::{Td, Tdcall};

/// A port that moves values of type `T`: what IN and OUT with AL, AX or EAX do.
///
/// No port of a TD reaches private memory, so that any may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<T> {
    number: u16,
    moves: PhantomData<T>,
}

impl<T: PortRegister> Port<T> {
    /// The port with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self { number, moves: PhantomData }
    }

    /// IN.
    #[inline]
    pub fn read(self) -> Result<T, VmcallError> {
        self.read_by(&mut Td)
    }

    /// OUT.
    #[inline]
    pub fn write(self, value: T) -> Result<(), VmcallError> {
        self.write_by(&mut Td, value)
    }

    #[inline]
    fn read_by(self, td: &mut impl Tdcall) -> Result<T, VmcallError> {
        td.io_read(self.number, T::PORT_WIDTH).map(|value| T::cut(value.into()))
    }

    #[inline]
    fn write_by(self, td: &mut impl Tdcall, value: T) -> Result<(), VmcallError> {
        td.io_write(self.number, T::PORT_WIDTH, value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ve::fakes::{Asked, Host};
    use abi::IoWidth;

    #[test]
    fn a_port_asks_for_its_width_and_gives_no_more() {
        let mut host = Host::answering(0xFFFF_FFFF_1234_5678);
        assert_eq!(Port::<u8>::new(0x3F8).read_by(&mut host), Ok(0x78));
        assert_eq!(Port::<u16>::new(0x3F8).read_by(&mut host), Ok(0x5678));
        assert_eq!(Port::<u32>::new(0x3F8).read_by(&mut host), Ok(0x1234_5678));
        Port::<u16>::new(0xCFC).write_by(&mut host, 0xABCD).unwrap();
        assert_eq!(host.asked[1], Asked::IoRead(0x3F8, IoWidth::Word));
        assert_eq!(host.asked[3], Asked::IoWrite(0xCFC, IoWidth::Word, 0xABCD));
    }

    #[test]
    fn a_refusal_is_an_error() {
        assert!(Port::<u8>::new(1).read_by(&mut Host::refusing()).is_err());
        assert!(Port::<u8>::new(1).write_by(&mut Host::refusing(), 0).is_err());
    }
}
