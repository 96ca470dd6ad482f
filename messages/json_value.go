package messages

import (
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// NewValue returns v as encoding/json writes it; nil for nil.
func NewValue(v any) (*structpb.Value, error) {
	if v == nil {
		return nil, nil
	}
	body, err := json.Marshal(v)
	value := &structpb.Value{}
	if err == nil {
		err = protojson.Unmarshal(body, value)
	}
	if err != nil {
		return nil, fmt.Errorf("data cannot be written as JSON: %w", err)
	}
	return value, nil
}
