//! Reads scenario files and judges what each party saw.
