package main

import (
	"net"
	"testing"
	"time"
)

// TestCut ends what waits for a peer that neither reads nor writes, and whoever dials from then on.
func TestCut(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	line := newLifeline()
	ended := make(chan error, 2)
	for _, block := range []func(net.Conn, []byte) (int, error){net.Conn.Read, net.Conn.Write} {
		conn, err := line.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		began := make(chan struct{})
		go func() {
			close(began)
			_, err := block(conn, make([]byte, 64<<20)) // more than the system buffers
			ended <- err
		}()
		<-began
	}
	closed, err := line.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil || len(line.wires) != 2 {
		t.Errorf("%d connections are held: %v", len(line.wires), err)
	}
	line.cut()
	for range 2 {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("it ended without an error")
			}
		case <-time.After(patience):
			t.Fatal("it goes on")
		}
	}
	if _, err := line.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the line leads on")
	}
}
