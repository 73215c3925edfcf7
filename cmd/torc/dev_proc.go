package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"torc/internal/errs"
)

// pollEvery is how often the tool looks whether a process has ended or is ready.
const pollEvery = 50 * time.Millisecond

// proc is a server process known by pid and kernel start time, so that a reused
// pid is never mistaken for it.
type proc struct {
	pid   int
	start string
}

// process returns the running process of a server, or false.
func (r *devRing) process(s devServer) (proc, bool) {
	data, err := os.ReadFile(r.pidFile(s))
	if err != nil {
		return proc{}, false
	}
	f := strings.Fields(string(data))
	if len(f) != 2 {
		return proc{}, false
	}
	pid, err := strconv.Atoi(f[0])
	if err != nil {
		return proc{}, false
	}
	p := proc{pid: pid, start: f[1]}
	return p, p.alive()
}

// alive reports whether the very process still runs (a zombie does not).
func (p proc) alive() bool {
	state, start, err := procStat(p.pid)
	return err == nil && start == p.start && state != "Z" && state != "X"
}

// stopped reports whether the process is frozen by SIGSTOP.
func (p proc) stopped() bool {
	state, _, err := procStat(p.pid)
	return err == nil && state == "T"
}

// procStat reads state and start time from /proc/PID/stat (proc(5), fields 3 and 22).
func procStat(pid int) (state, start string, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", err
	}
	i := bytes.LastIndexByte(data, ')') // the command name may hold anything
	f := strings.Fields(string(data[i+1:]))
	if i < 0 || len(f) < 20 {
		return "", "", errs.E("dev", errs.Corrupt, "/proc/%d/stat: %d fields", pid, len(f))
	}
	return f[0], f[19], nil
}

// spawn starts a server process, detached from this terminal, logging to its file.
func (r *devRing) spawn(s devServer) (proc, error) {
	exe, err := os.Executable()
	if err != nil {
		return proc{}, err
	}
	log, err := os.OpenFile(r.logFile(s), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return proc{}, err
	}
	defer log.Close()
	cmd := exec.Command(exe, "server", "--config", r.config(s))
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, r.serverDir(s)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return proc{}, errs.E("dev", errs.Other, "start server %s: %w", s.ID, err)
	}
	_, start, err := procStat(cmd.Process.Pid)
	if err != nil {
		return proc{}, err
	}
	// Reap it if it ends while this tool still runs, so that it never looks alive as a zombie.
	go func() { _ = cmd.Wait() }()
	p := proc{cmd.Process.Pid, start}
	return p, os.WriteFile(r.pidFile(s), fmt.Appendf(nil, "%d %s\n", p.pid, p.start), 0o600)
}

// stop ends a process with TERM, and with KILL after grace.
func (p proc) stop(ctx context.Context, grace time.Duration) error {
	if p.stopped() {
		_ = syscall.Kill(p.pid, syscall.SIGCONT)
	}
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
		return err
	}
	if p.waitEnd(ctx, grace) {
		return nil
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return err
	}
	if !p.waitEnd(ctx, grace) {
		return errs.E("dev", errs.Timeout, "process %d does not end", p.pid)
	}
	return nil
}

// waitEnd waits until the process is gone, at most d.
func (p proc) waitEnd(ctx context.Context, d time.Duration) bool {
	deadline := time.Now().Add(d)
	for p.alive() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return false
		}
		time.Sleep(pollEvery)
	}
	return true
}

// logTail returns the last lines of a server's log.
func (r *devRing) logTail(s devServer, lines int) string {
	data, err := os.ReadFile(r.logFile(s))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
