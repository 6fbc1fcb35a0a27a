//! What a node does with what it should never be sent. `table.txt` is the table: route, input, status, code. After each of its rows every
//! stored row, the roots and the last `seq` are what they were. A node's memory is looked at after them.

mod memory;
mod rows;
mod scene;
mod table;
mod talk;
