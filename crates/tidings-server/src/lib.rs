//! The shell: sockets, TLS, one loop per core, HTTP, embedded pages.
