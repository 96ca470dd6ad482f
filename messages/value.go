package messages

import (
	"errors"
	"math"

	"google.golang.org/protobuf/types/known/structpb"
)

// checkValue refuses what protobuf can carry and JSON cannot: values of no kind, and numbers that are not finite.
// A nil value is no data, and fine.
func checkValue(v *structpb.Value) error {
	if v == nil {
		return nil
	}
	switch k := v.Kind.(type) {
	case nil:
		return errors.New("has a value of no kind")
	case *structpb.Value_NumberValue:
		if math.IsNaN(k.NumberValue) || math.IsInf(k.NumberValue, 0) {
			return errors.New("has a number that is not finite")
		}
	case *structpb.Value_StructValue:
		for _, field := range k.StructValue.GetFields() {
			if err := checkElement(field); err != nil {
				return err
			}
		}
	case *structpb.Value_ListValue:
		for _, item := range k.ListValue.GetValues() {
			if err := checkElement(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkElement(v *structpb.Value) error {
	if v == nil {
		return errors.New("has a value of no kind")
	}
	return checkValue(v)
}
