package conformance

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// ListenNATS serves the service on all subjects <prefix>.<route>. Unsubscribe after use.
func (s *Service) ListenNATS(nc *nats.Conn, prefix string) (*nats.Subscription, error) {
	return nc.Subscribe(prefix+".>", func(m *nats.Msg) {
		call, a := s.receive(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], http.Header(m.Header), m.Data)
		send := func() { _ = m.RespondMsg(a.nats()) }
		switch a.Fault {
		case Silent, Reset:
		case Late:
			s.postpone(call.Key, send)
		case Twice:
			send()
			send()
		default:
			send()
		}
	})
}

// nats is the answer as a NATS message.
func (a Answer) nats() *nats.Msg {
	m := &nats.Msg{Header: nats.Header{}, Data: []byte(a.Body)}
	for name, value := range a.Header {
		m.Header.Set(name, value)
	}
	if a.Status != 0 {
		m.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(a.Status))
	}
	return m
}
