package messages

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/types/known/structpb"
)

// CheckValue returns an error if v cannot be written as JSON, although protobuf can represent it: a value without a kind, or a
// number that is not finite; or if v nests deeper than maxDepth levels. A nil v means no data and is valid.
func CheckValue(v *structpb.Value, maxDepth int) error {
	if v == nil {
		return nil
	}
	return checkValue(v, maxDepth, maxDepth)
}

func checkValue(v *structpb.Value, depth, maxDepth int) error {
	if depth == 0 {
		return fmt.Errorf("nests deeper than %d levels", maxDepth)
	}
	switch kind := v.GetKind().(type) {
	case nil:
		return errors.New("has a value of no kind")
	case *structpb.Value_NumberValue:
		if math.IsNaN(kind.NumberValue) || math.IsInf(kind.NumberValue, 0) {
			return errors.New("has a number that is not finite")
		}
	case *structpb.Value_StructValue:
		for _, field := range kind.StructValue.GetFields() {
			if err := checkValue(field, depth-1, maxDepth); err != nil {
				return err
			}
		}
	case *structpb.Value_ListValue:
		for _, element := range kind.ListValue.GetValues() {
			if err := checkValue(element, depth-1, maxDepth); err != nil {
				return err
			}
		}
	}
	return nil
}
