//! Making and checking app tokens of every generation: functions of bytes, key and time.
