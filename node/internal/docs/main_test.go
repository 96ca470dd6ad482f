package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orderly-engine/orderly/node/cli"
)

// TestMain is also the programs that the transcripts run, when it is called by their names.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "orderly":
		os.Exit(cli.Main())
	case "nats":
		os.Exit(natsMain(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// natsMain does what the transcripts want of the NATS command line: nats pub [-H NAME:VALUE] SUBJECT BODY.
func natsMain(args []string) int {
	if err := natsPub(args); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		return 1
	}
	return 0
}

func natsPub(args []string) error {
	m := &nats.Msg{Header: nats.Header{}}
	if len(args) > 2 && args[1] == "-H" {
		name, value, _ := strings.Cut(args[2], ":")
		m.Header.Set(name, value)
		args = append(args[:1:1], args[3:]...)
	}
	if len(args) != 3 || args[0] != "pub" {
		return fmt.Errorf("%q: want pub [-H NAME:VALUE] SUBJECT BODY", args)
	}
	m.Subject, m.Data = args[1], []byte(args[2])
	nc, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := nc.RequestMsg(m, 5*time.Second); err != nil {
		return err
	}
	fmt.Printf("Published %d bytes to %q\n", len(m.Data), m.Subject)
	return nil
}
