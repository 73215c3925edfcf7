package meta

import (
	"fmt"
	"log/slog"
)

// raftLogger passes what the raft library says to slog. Its Panic and Fatal
// panic: the driver turns that into a broken replica, never a dead process.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) Debug(v ...any)                 {}
func (l raftLogger) Debugf(format string, v ...any) {}
func (l raftLogger) Info(v ...any)                  { l.log.Debug("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Infof(format string, v ...any)  { l.log.Debug("raft: " + fmt.Sprintf(format, v...)) }
func (l raftLogger) Warning(v ...any)               { l.log.Warn("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Warningf(format string, v ...any) {
	l.log.Warn("raft: " + fmt.Sprintf(format, v...))
}
func (l raftLogger) Error(v ...any) { l.log.Error("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Errorf(format string, v ...any) {
	l.log.Error("raft: " + fmt.Sprintf(format, v...))
}
func (l raftLogger) Fatal(v ...any)                 { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                 { panic("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }

// pebbleLogger passes Pebble's errors to slog and drops its chatter. A Fatalf is
// Pebble's answer to a disk that failed under it: it must not return, so it panics.
type pebbleLogger struct{ log *slog.Logger }

func (l pebbleLogger) Infof(format string, v ...any) {}
func (l pebbleLogger) Errorf(format string, v ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, v...))
}
func (l pebbleLogger) Fatalf(format string, v ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, v...))
	panic("pebble: " + fmt.Sprintf(format, v...))
}
