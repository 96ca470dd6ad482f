package server

import (
	"net"
	"testing"
	"time"
)

// TestCut: cut ends reads and writes that block on an unresponsive peer, and refuses further dials.
func TestCut(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDialer()
	ended := make(chan error, 2)
	for _, block := range []func(net.Conn, []byte) (int, error){net.Conn.Read, net.Conn.Write} {
		conn, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		began := make(chan struct{})
		go func() {
			close(began)
			_, err := block(conn, make([]byte, 64<<20)) // more than the kernel buffers
			ended <- err
		}()
		<-began
	}
	closed, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil || len(d.conns) != 2 {
		t.Errorf("%d connections are tracked, want 2: %v", len(d.conns), err)
	}
	d.cut()
	for range 2 {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a blocked call ended without an error")
			}
		case <-time.After(time.Minute):
			t.Fatal("a blocked call did not end")
		}
	}
	if _, err := d.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("a dial after cut succeeded")
	}
}
