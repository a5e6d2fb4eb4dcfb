//! The module over a fake machine: lifecycles, tables of the reference, properties.

mod debug_memory;
mod fake;
mod guest;
mod host;
mod hostile;
mod lifecycle;
mod memory;
mod model;
mod relocate;
mod resize;
mod shutdown;
mod system;
mod violations;
