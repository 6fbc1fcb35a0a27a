//! What a node does with what it should never be sent. `table.txt` is the table: route, input, status, code. After each of its rows every
//! stored row, the roots and the last `seq` are what they were. Slow, silent and greedy peers, and addresses that a node must not be
//! sent to, are scenarios of their own. A node's memory is looked at after all of them.

mod crowds;
mod forgery;
mod memory;
mod outward;
mod pace;
mod rows;
mod scene;
mod sockets;
mod table;
mod talk;
