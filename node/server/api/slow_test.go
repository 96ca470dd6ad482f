package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderly-engine/orderly/messages"
	"github.com/orderly-engine/orderly/messages/natstest"
	"github.com/orderly-engine/orderly/node/server/api"
)

// slowBody is a request that has sent its header and one byte of its body.
type slowBody struct {
	net.Conn
	answer *bufio.Reader
}

// slowly sends the header of a request and a byte of its body, and returns once the node reads the body, or answers.
func slowly(t *testing.T, base string, length int) slowBody {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s := slowBody{c, bufio.NewReader(c)}
	fmt.Fprintf(c, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n{", length)
	line, _ := s.answer.ReadString('\n') // a connection that was closed has none
	if strings.Contains(line, " 100 ") {
		_, _ = s.answer.ReadString('\n')
	}
	return s
}

// response reads the response.
func (s slowBody) response(t *testing.T) reply {
	t.Helper()
	r, err := http.ReadResponse(s.answer, &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Request, _ = http.NewRequest(http.MethodPost, "/v1/orders", nil)
	return reply{r, string(text)}
}

// TestSlowBodies: clients that send their bodies slowly, more of them than requests are served at once, disturb no other client.
func TestSlowBodies(t *testing.T) {
	w := &fakeBackend{}
	base, _ := serve(t, w, api.Config{})
	for range 520 {
		slowly(t, base, 100)
	}
	began := time.Now()
	for range 20 {
		do(t, "POST", base+"/v1/orders", sample).success(t, 202)
		do(t, "GET", base+"/v1/orders", "").success(t, 200)
	}
	t.Logf("40 requests beside 520 slow bodies: %s", time.Since(began))
}

// TestSlowBodyIsCut: a body without progress gets 408, and its connection ends.
func TestSlowBodyIsCut(t *testing.T) {
	base, _ := serve(t, &fakeBackend{}, api.Config{BodyTimeout: 50 * time.Millisecond})
	for _, length := range []int{100, messages.MaxBody} {
		s := slowly(t, base, length)
		s.response(t).problem(t, 408, "too slow")
		if _, err := s.answer.ReadByte(); err != io.EOF {
			t.Errorf("the connection is still open: %v", err)
		}
	}
	// A body that nobody reads does not keep its connection either.
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
	if text, err := io.ReadAll(c); err != nil || !strings.Contains(string(text), "live") {
		t.Errorf("%q, %v", text, err)
	}
}

// TestBodyWithProgress: a body may take longer than the limit of a pause, as long as it makes progress.
func TestBodyWithProgress(t *testing.T) {
	const pause = 3 * time.Second
	a := newAPI(t, &fakeBackend{}, http.NotFoundHandler(), api.Config{BodyTimeout: pause})
	a.LimitConnections(pause)
	start(t, a)
	base := "http://" + a.Addr()
	padded := sample + strings.Repeat(" ", 160<<10-len(sample))
	s := slowly(t, base, len(padded))
	began := time.Now()
	ticks := time.NewTicker(pause / 8)
	defer ticks.Stop()
	for sent := 1; sent < len(padded); sent += 16 << 10 {
		if _, err := io.WriteString(s, padded[sent:min(sent+16<<10, len(padded))]); err != nil {
			t.Fatal(err)
		}
		<-ticks.C
	}
	s.response(t).success(t, 202)
	if took := time.Since(began); took < pause {
		t.Errorf("the body took %s, less than a pause: the test shows nothing", took)
	}
}

// TestLargeBodiesAreBounded: few large bodies are in memory at once, and small ones do not wait for them.
func TestLargeBodiesAreBounded(t *testing.T) {
	base, a := serve(t, &fakeBackend{}, api.Config{BodyTimeout: patience})
	padded := sample + strings.Repeat(" ", 100<<10)
	large := make([]slowBody, api.MaxLargeBodies/2)
	for i := range large {
		large[i] = slowly(t, base, len(padded)+1) // one byte is missing
	}
	var wait sync.WaitGroup
	for _, s := range large {
		wait.Go(func() { _, _ = io.WriteString(s, padded[1:]) })
	}
	wait.Wait()
	natstest.Within(t, patience, "all slots of one client taken", func() bool { return a.LargeBodies() == len(large) })
	do(t, "POST", base+"/v1/orders", padded).problem(t, 429, "large bodies")
	do(t, "POST", base+"/v1/orders", sample).success(t, 202)
	for _, s := range large {
		if _, err := io.WriteString(s, " "); err != nil {
			t.Fatal(err)
		}
		s.response(t).success(t, 202)
	}
	natstest.Within(t, patience, "all slots free", func() bool { return a.LargeBodies() == 0 })
	do(t, "POST", base+"/v1/orders", padded).success(t, 202)
}
