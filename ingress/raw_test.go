package ingress_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// rawClient speaks to the server without a client library, so that it can send what none would.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func dial(t testing.TB, b *broker) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", b.srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
	c.line() // INFO
	fmt.Fprint(conn, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n")
	c.ping()
	return c
}

func (c *rawClient) publish(subject, block, body string) {
	fmt.Fprintf(c.conn, "HPUB %s %d %d\r\n%s%s\r\n", subject, len(block), len(block)+len(body), block, body)
	c.ping()
}

func (c *rawClient) ping() {
	c.t.Helper()
	fmt.Fprint(c.conn, "PING\r\n")
	for {
		if l := c.line(); strings.HasPrefix(l, "PONG") {
			return
		} else if strings.HasPrefix(l, "-ERR") {
			c.t.Fatal(l)
		}
	}
}

func (c *rawClient) line() string {
	c.t.Helper()
	l, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}
