//! The module over a fake machine: lifecycles, tables of the reference, properties.

mod audit;
mod catalogue;
mod debug_memory;
mod entry;
mod fake;
mod faulty;
mod guest;
mod host;
mod hostile;
mod injected;
mod lifecycle;
mod lists;
mod memory;
mod model;
mod nested;
mod op_states;
mod operands;
mod relocate;
mod reports;
mod resize;
mod service;
mod shutdown;
mod sizes;
mod system;
mod violations;
mod zero_step;
