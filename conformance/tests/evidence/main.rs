//! A node that signs two histories is caught by clients that compare, and what they write down is proof for anybody, offline.

mod histories;
mod moved;
mod person;
mod put_back;
mod witnessed;
