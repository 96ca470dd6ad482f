package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
)

// HTTP serves a Service on raw connections: net/http would repair what is to be broken.
type HTTP struct {
	service  *Service
	listener *net.TCPListener
	running  sync.WaitGroup

	mu     sync.Mutex
	open   map[*net.TCPConn]struct{}
	closed bool
}

// ListenHTTP serves the service on an address; port 0 is a free one. Close it after use.
func (s *Service) ListenHTTP(addr string) (*HTTP, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	l, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, err
	}
	h := &HTTP{service: s, listener: l, open: map[*net.TCPConn]struct{}{}}
	h.running.Go(h.accept)
	return h, nil
}

// Addr is the address the service listens on.
func (h *HTTP) Addr() string { return h.listener.Addr().String() }

// Close ends all connections and waits for their goroutines.
func (h *HTTP) Close() {
	h.mu.Lock()
	h.closed = true
	for c := range h.open {
		_ = c.Close()
	}
	h.mu.Unlock()
	_ = h.listener.Close()
	h.running.Wait()
}

func (h *HTTP) accept() {
	for {
		c, err := h.listener.AcceptTCP()
		if err != nil {
			return
		}
		h.mu.Lock()
		if h.closed {
			_ = c.Close()
		} else {
			h.open[c] = struct{}{}
			h.running.Go(func() { h.serve(c) })
		}
		h.mu.Unlock()
	}
}

func (h *HTTP) serve(c *net.TCPConn) {
	defer func() {
		_ = c.Close()
		h.mu.Lock()
		delete(h.open, c)
		h.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		call, a := h.service.receive(path.Base(r.URL.Path), r.Header, body)
		if !h.answer(c, call, a) {
			return
		}
	}
}

// answer reports whether the connection can be used for another call.
func (h *HTTP) answer(c *net.TCPConn, call Call, a Answer) bool {
	text := a.Raw
	if text == "" {
		text = a.http()
	}
	send := func() { _, _ = io.WriteString(c, text) }
	switch a.Fault {
	case Silent:
		if a.Raw != "" {
			send()
		}
		_, _ = io.Copy(io.Discard, c) // until the client closes the connection
		return false
	case Late:
		h.service.postpone(call.Key, send)
		return true
	case Reset:
		_ = c.SetLinger(0)
		return false
	case Twice:
		text += text
	}
	send()
	return a.Raw == ""
}

// http is the answer as a well-formed HTTP message.
func (a Answer) http() string {
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	if _, typed := a.Header["Content-Type"]; !typed && a.Body != "" {
		b.WriteString("Content-Type: application/json\r\n")
	}
	for name, value := range a.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(a.Body), a.Body)
	} else {
		b.WriteString("\r\n")
	}
	return b.String()
}
