//go:build unix

package api

import "syscall"

// manyFiles is more open files than the API can need.
const manyFiles = 1 << 20

// openFiles is how many files the process may have open. The Go runtime has raised the soft limit to the hard one.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return manyFiles
	}
	return int(min(limit.Cur, manyFiles))
}
