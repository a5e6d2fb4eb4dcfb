//! Stub.
use super::hardware::Hardware;
use super::vmm::Vmm;
use super::world_switch::Host;
use crate::Module;
use crate::machine::VcpuId;
/// Stub.
pub fn until_exit(_: &mut Vmm, _: &mut Module, _: &mut Hardware, _: &Host, _: VcpuId) {}
