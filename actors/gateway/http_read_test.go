package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/orderly-engine/orderly/actors/gateway"
	"github.com/orderly-engine/orderly/messages"
)

// connectionEnd is what a server does after it sent its bytes.
type connectionEnd int

const (
	closes connectionEnd = iota
	resets
	hangs
)

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

const ok = "HTTP/1.1 200 OK\r\n"

// rawAnswers are the bytes that a server sends, and their meaning.
var rawAnswers = []struct {
	answer
	bytes string
	end   connectionEnd
}{
	{answer{name: "whole", want: "done"}, ok + "Content-Length: 11\r\n\r\n{\"done\":{}}", hangs},
	{answer{name: "whole, in chunks", want: "done"}, ok + "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"done\r\n5\r\n\":{}}\r\n0\r\n\r\n", hangs},
	{answer{name: "whole, zipped", want: "done"}, ok + "Content-Encoding: gzip\r\n\r\n" + zipped(`{"done":{}}`), closes},
	{answer{name: "whole, ended by the connection", want: "done"}, ok + "\r\n{\"done\":{}}", closes},
	{answer{name: "empty, zipped", want: "done"}, ok + "Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", hangs},
	{answer{name: "after 100 and 103", want: "done"}, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", hangs},
	{answer{name: "bytes after it", want: "done"}, ok + "Content-Length: 0\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n", closes},

	{answer{name: "length not reached", want: unreadable, words: "broke off after 11 bytes"}, ok + "Content-Length: 100\r\n\r\n{\"done\":{}}", closes},
	{answer{name: "no byte of the body", want: unreadable, words: "broke off after 0 bytes"}, ok + "Content-Length: 100\r\n\r\n", closes},
	{answer{name: "reset in the body", want: unreadable, words: "broke off"}, ok + "Content-Length: 100\r\n\r\n{\"done\":{}}", resets},
	{answer{name: "last chunk missing", want: unreadable, words: "broke off"}, ok + "Transfer-Encoding: chunked\r\n\r\nb\r\n{\"done\":{}}\r\n", closes},
	{answer{name: "broken chunk", want: unreadable, words: "broke off"}, ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{\"done\":{}}\r\n0\r\n\r\n", hangs},
	{answer{name: "zipped and cut", want: unreadable, words: "broke off"}, ok + "Content-Encoding: gzip\r\n\r\n" + zipped(`{"done":{}}`)[:20], closes},
	{answer{name: "not zipped, although it says so", want: unreadable, words: "broke off"}, ok + "Content-Encoding: gzip\r\nContent-Length: 11\r\n\r\n{\"done\":{}}", hangs},
	{answer{name: "an encoding that was not asked for", want: unreadable}, ok + "Content-Encoding: br\r\nContent-Length: 4\r\n\r\n\x8b\x00\x80{", hangs},
	{answer{name: "body that does not end", want: unreadable, words: "it did not end within"}, ok + "Content-Length: 100\r\n\r\n{\"done\":{}}", hangs},
	{answer{name: "empty body that does not end", want: unreadable, words: "it did not end within"}, ok + "Transfer-Encoding: chunked\r\n\r\n", hangs},
	{answer{name: "204 with a body", status: 204, want: "done"}, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", closes},

	// After another status than 2xx the status decides.
	{answer{name: "422 cut", status: 422, want: refused}, "HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n{\"done\":{}}", closes},
	{answer{name: "422 that does not end", status: 422, want: refused}, "HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n{\"done\":{}}", hangs},
	{answer{name: "404 cut", status: 404, want: setup}, "HTTP/1.1 404 No\r\nContent-Length: 100\r\n\r\n", closes},
	{answer{name: "409 cut", status: 409, want: transientInDoubt}, "HTTP/1.1 409 No\r\nContent-Length: 100\r\n\r\n{\"rejected\":{}}", resets},
	{answer{name: "503 that does not end", status: 503, want: transientInDoubt, words: "answered 503"}, "HTTP/1.1 503 No\r\nRetry-After: 3\r\nContent-Length: 100\r\n\r\n", hangs},
	{answer{name: "101", status: 101, want: transientInDoubt, words: "answered 101"}, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", hangs},

	// Without a status nothing is known.
	{answer{name: "nothing", want: transientInDoubt, words: "EOF"}, "", closes},
	{answer{name: "nothing, reset", want: transientInDoubt}, "", resets},
	{answer{name: "nothing for ever", want: transientInDoubt, words: "did not answer within"}, "", hangs},
	{answer{name: "header cut", want: transientInDoubt}, ok + "Content-Le", closes},
	{answer{name: "header that does not end", want: transientInDoubt, words: "did not answer within"}, ok + "Content-Le", hangs},
	{answer{name: "another protocol", want: transientInDoubt, words: "malformed HTTP"}, "SSH-2.0-OpenSSH_9.9\r\n", closes},
	{answer{name: "a status that is no number", want: transientInDoubt}, "HTTP/1.1 fine OK\r\n\r\n", closes},
	{answer{name: "two lengths", want: transientInDoubt}, ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n11", closes},
	{answer{name: "large header", want: transientInDoubt}, ok + "X: " + strings.Repeat("x", 128<<10) + "\r\n\r\n", closes},
	{answer{name: "large status", want: transientInDoubt}, "HTTP/1.1 2" + strings.Repeat("0", 32<<10) + " OK\r\n\r\n", closes},
}

// dialRaw connects to a server in this process that answers a request with the bytes and ends the connection that way.
func dialRaw(t *testing.T, answer string, end connectionEnd) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		go func() {
			defer server.Close()
			r, err := http.ReadRequest(bufio.NewReader(server))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if _, err = io.WriteString(server, answer); err == nil && end == hangs {
				<-over
			}
		}()
		if end == resets {
			return resetConn{client}, nil
		}
		return client, nil
	}
}

// resetConn is a connection that is reset, not closed, by its other end.
type resetConn struct{ net.Conn }

func (c resetConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	return n, err
}

func TestRawAnswers(t *testing.T) {
	for _, a := range rawAnswers {
		t.Run(a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set := newSet(t, nil, gateway.Config{Transport: &http.Transport{
					DialContext: dialRaw(t, a.bytes, a.end), MaxResponseHeaderBytes: 64 << 10,
				}})
				reply, err := callAndWait(t, set, call("http://packing.example/wrap"))
				checkAnswer(t, a.answer, reply, err)
				set.Close()
			})
		})
	}
}

// The final URL is named without what may be secret, and the answer to a redirect is not followed.
func TestRedirectsAreNamed(t *testing.T) {
	for location, words := range map[string]string{
		"https://other.example/a%2Fb?token=s3cret#s3cret": "answered 302: Location https://other.example/a%2Fb: redirects are not followed: name the final URL in the plan or in the downstreams file",
		"https://user:s3cret@other.example/a":             "Location https://other.example/a:",
		"/elsewhere?s3cret":                               "/elsewhere: redirects",
		"http://%zz/?s3cret":                              "answered 302: Found: redirects are not followed",
		"":                                                "answered 302: Found: redirects are not followed",
		"https://other.example/" + strings.Repeat("x", 9000): "Location https://other.example/xxx",
		"https://other.example/a\tb\xff":                     "302",
		"mailto:s3cret@other.example":                        "302",
	} {
		t.Run(fmt.Sprintf("%.20s", location), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/wrap" {
					t.Errorf("the redirect was followed to %s", r.URL)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusFound)
			}))
			defer s.Close()
			_, err := callAndWait(t, newSet(t, nil, gateway.Config{}), call(s.URL+"/wrap"))
			if f := requireFailure(t, err, messages.Setup, s.URL+"/wrap", words); f.InDoubt {
				t.Errorf("%v is in doubt", err)
			}
			if strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 3<<10 {
				t.Errorf("error %q contains a secret, or is too long", err)
			}
		})
	}
}

func TestUnreachableServicesAreNotInDoubt(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		target, want, words string
	}{
		"refused":             {gone.URL, transient, "connection refused"},
		"unknown certificate": {secure.URL, setup, "certificate"},
		"no TLS":              {strings.Replace(plain.URL, "http:", "https:", 1), setup, "does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			reply, err := callAndWait(t, newSet(t, nil, gateway.Config{}), longCall(c.target+"/wrap?token=s3cret"))
			checkAnswer(t, answer{want: c.want, words: c.words}, reply, err)
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error contains a secret: %v", err)
			}
		})
	}
}

func TestTimeoutWhileDialingIsNotInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, nil, gateway.Config{Transport: &http.Transport{DialContext: dialUntilCancelled}})
		_, err := callAndWait(t, set, call("http://packing.example/wrap"))
		if f := requireFailure(t, err, messages.Transient, "did not answer within 5s"); f.InDoubt {
			t.Error("a call without a connection is in doubt")
		}
		set.Close()
	})
}

func dialUntilCancelled(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A service that wants a certificate of the client refuses the connection after the handshake, so perhaps after the request.
func TestMissingClientCertificateIsSetup(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	_, err := callAndWait(t, newSet(t, nil, gateway.Config{Transport: s.Client().Transport}), longCall(s.URL+"/wrap"))
	_ = requireFailure(t, err, messages.Setup, "certificate required")
}
