package config

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
)

// maxNodeID is the longest node id, in characters.
const maxNodeID = 64

// newNodeID names this run of the program: the host name and a random suffix.
func newNodeID() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails, by its contract
	suffix := "-" + hex.EncodeToString(random[:])

	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	host = strings.Map(func(r rune) rune {
		if isNameRune(r) {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), maxNodeID-len(suffix))] + suffix
}

func isName(s string) bool {
	return s != "" && len(s) <= maxNodeID && strings.IndexFunc(s, func(r rune) bool { return !isNameRune(r) }) < 0
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-' || r == '.'
}
