package natsclient

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// API is the JetStream API behind a connection.
type API struct {
	Conn   *nats.Conn
	prefix string
}

// NewAPI returns the API that js uses, with its API prefix or domain.
func NewAPI(js jetstream.JetStream) API {
	prefix := jetstream.DefaultAPIPrefix
	switch options := js.Options(); {
	case options.APIPrefix != "":
		prefix = strings.TrimSuffix(options.APIPrefix, ".") + "."
	case options.Domain != "":
		prefix = "$JS." + options.Domain + ".API."
	}
	return API{js.Conn(), prefix}
}

// Subject is the subject of an operation, such as STREAM.MSG.GET.ORDERS.
func (a API) Subject(operation string) string { return a.prefix + operation }

// DirectGet is the subject of direct gets from a stream, which any server with a copy of it answers.
func (a API) DirectGet(stream string) string { return a.Subject("DIRECT.GET." + stream) }

// LeaderGet is the subject of gets from a stream's leader.
func (a API) LeaderGet(stream string) string { return a.Subject("STREAM.MSG.GET." + stream) }
