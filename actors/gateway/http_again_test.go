package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// TestRequestIsNotSentAgainSilently: a connection that served a call breaks after the request of another one. That call fails
// in doubt, and the service has received one request of it.
func TestRequestIsNotSentAgainSilently(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var requests atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for in := bufio.NewReader(c); ; {
				r, err := http.ReadRequest(in)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, r.Body)
				if requests.Add(1) == 2 {
					break
				}
				_, _ = io.WriteString(c, ok+"Content-Length: 11\r\n\r\n{\"done\":{}}")
			}
			_ = c.Close()
		}
	}()
	set := newSet(t, nil, gateway.Config{})
	target := "http://" + l.Addr().String() + "/wrap"
	if _, err := callAndWait(t, set, call(target)); err != nil {
		t.Fatal(err)
	}
	_, err = callAndWait(t, set, call(target))
	if f := requireFailure(t, err, messages.Transient); !f.InDoubt {
		t.Errorf("%v is not in doubt", err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("the service received %d requests of two calls", n)
	}
}
