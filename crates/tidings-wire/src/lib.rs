//! Bytes to messages and back: the native protocol, WebSocket frames, names, codes and limits.
