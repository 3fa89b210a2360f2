//! The manual: its configurations are right, its commands run, and its outputs look as they do.
//!
//! A block of code may have a name behind its language, of the file that it is:
//! ```` ```toml /etc/amanda-fw/amanda-fw.toml ````. The commands of a page find such files where they
//! say.

mod commands;
mod facts;
mod outputs;
mod page;
mod walk;
