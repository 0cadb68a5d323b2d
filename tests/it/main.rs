//! End to end: the real binary, a real chain, both databases.

mod adversaries;
mod cli;
mod credits;
mod delivery;
mod faults;
mod kill;
mod leases;
mod lying;
mod model;
mod pay;
mod promotions;
mod refuse;
mod rescan;
mod restart;
mod spending;
mod stories;
mod tamper;
mod topology;
mod twap;
mod wallets;
