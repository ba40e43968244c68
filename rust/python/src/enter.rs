//! The one door through which every long call leaves the interpreter.
