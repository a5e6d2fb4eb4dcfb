//! Every host leaf in every state: see `hosts::scenarios`.
#![no_std]
#![no_main]

hosts::program!(hosts::scenarios::run);
