// Package ordertest compares the states of orders in tests.
package ordertest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/orderly-engine/orderly/actors/order"
	"github.com/orderly-engine/orderly/messages"
)

// Difference is the first field in which two states differ, or "".
func Difference(a, b *order.State) string {
	x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range x.NumField() {
		if f, g := x.Field(i).Interface(), y.Field(i).Interface(); !same(f, g) {
			return fmt.Sprintf("%s: %v and %v", x.Type().Field(i).Name, f, g)
		}
	}
	return ""
}

// same compares values of which some are protobuf messages.
func same(a, b any) bool {
	switch x := a.(type) {
	case proto.Message:
		return proto.Equal(x, b.(proto.Message))
	case []order.Result:
		return slices.Equal(x, b.([]order.Result))
	case []*messages.Signalled:
		return slices.EqualFunc(x, b.([]*messages.Signalled), func(r, s *messages.Signalled) bool { return proto.Equal(r, s) })
	case time.Time:
		return x.Equal(b.(time.Time))
	}
	return reflect.DeepEqual(a, b)
}
