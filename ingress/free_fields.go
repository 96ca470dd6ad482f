package ingress

import (
	"reflect"

	"github.com/orderly-engine/orderly/messages"
)

// tolerance is which values of a field are accepted besides the wanted one.
type tolerance int

const (
	onlyWanted tolerance = iota
	// orMore accepts larger numbers.
	orMore
	// anyValue leaves the field to the operator of the server.
	anyValue
)

// freeEverywhere are fields of streams and consumers on which the protocol does not rely.
var freeEverywhere = map[string]tolerance{
	"Description": anyValue, "Metadata": anyValue, "Placement": anyValue, "Compression": anyValue, "RePublish": anyValue,
	"SampleFrequency": anyValue, "PauseUntil": anyValue, "Replicas": orMore, "MaxAckPending": orMore,
}

// freeIn are further fields of single streams.
var freeIn = map[string]map[string]tolerance{
	// The inbox may be bounded: it refuses new messages then.
	messages.StreamOrders: {"MaxMsgs": anyValue, "MaxBytes": anyValue},
	// No order depends on a dead letter.
	messages.StreamDead: {
		"MaxAge": anyValue, "MaxMsgs": anyValue, "MaxBytes": anyValue, "MaxMsgsPerSubject": anyValue, "Discard": anyValue, "Duplicates": anyValue,
	},
}

// freedom is that of a field of the named stream, or with an empty name of a consumer.
func freedom(stream, field string) tolerance {
	return max(freeEverywhere[field], freeIn[stream][field])
}

// accepts reports whether the found value of a field may stay as it is.
func accepts(stream, field string, want, found reflect.Value) bool {
	switch freedom(stream, field) {
	case anyValue:
		return true
	case orMore:
		return found.Int() >= want.Int()
	}
	return equalField(want, found)
}
