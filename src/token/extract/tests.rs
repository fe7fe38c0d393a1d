//! Where tokens are found, in which order, and that nothing of them is left behind.
